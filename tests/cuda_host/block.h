// A block of CUDA threads on the host: a fiber each, which pause where they wait for others. The blocks of a launch use
// the same one after another.
//
// Threads take turns in an order of choice, each going on until it waits or ends. A barrier opens once all threads of
// the block wait at it; an exchange within a warp, once all lanes of its mask take part. What a kernel may not do is a
// Fault that names the kernel, block, threads and source lines: a barrier that some threads do not come to, or come to
// on another line; an exchange whose lanes are elsewhere; the value of a lane that takes no part; more shared memory
// than a block has, and what shared_array.h finds there.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "cuda_host/clock.h"
#include "cuda_host/fault.h"
#include "cuda_host/fiber.h"
#include "cuda_host/language.h"
#include "cuda_host/shared_array.h"

namespace fastsciml::core::host {

// In which order blocks run and their threads take turns: 0 by number, else shuffled from this seed, the threads anew
// for every round. A kernel whose result depends on it has a race.
inline uint64_t order = 0;

// What a block has without asking for more, and the most it can ask for on every target: sm_80 has 163 KiB, sm_90 and
// sm_100 have 227. (The consumer devices of sm_86, sm_89 and sm_120 have 99.)
inline constexpr size_t kSharedBytes = 48 << 10, kMostSharedBytes = 163 << 10;

class Block {
 public:
  using Lanes = std::array<uint64_t, kWarp>;

  // `body` is the kernel's call.
  Block(const dim3& threads, size_t dynamic_bytes, std::function<void()> body)
      : body_(std::move(body)),
        warps_((threads.x * threads.y * threads.z + kWarp - 1) / kWarp),
        every_(threads.x * threads.y * threads.z),
        random_(order),
        clock_(static_cast<unsigned>(every_.size())),
        dynamic_bytes_(dynamic_bytes) {
    std::iota(every_.begin(), every_.end(), 0u);
    threads_.reserve(every_.size());
    for (unsigned z = 0; z < threads.z; ++z)
      for (unsigned y = 0; y < threads.y; ++y)
        for (unsigned x = 0; x < threads.x; ++x) threads_.emplace_back(body_, uint3{x, y, z});
    for (unsigned t = 0; t < threads_.size(); ++t) warps_[t / kWarp].all |= 1u << t % kWarp;
  }

  // The block that runs now.
  static Block& now() { return *running(); }

  // Runs one block after another: all of it from the beginning.
  void run() {
    const Current current(this);
    clock_.begin_block();
    for (Thread& thread : threads_) thread.fiber.restart();
    ready_ = every_;
    for (size_t left = threads_.size(); left > 0;) {
      if (ready_.empty()) throw Fault(why_stuck());
      if (order != 0) std::ranges::shuffle(ready_, random_);
      turns_.swap(ready_);
      ready_.clear();
      for (const unsigned t : turns_) left -= take_turn(t);
      open_barrier();
      open_exchanges();
    }
  }

  // Waits for all threads; returns for how many of them `predicate` holds.
  unsigned barrier(bool predicate, const Where& where) {
    if (at_barrier_ == 0) barrier_ = where;
    if (same_line(where, barrier_)) {
      ++at_barrier_;
      holding_ += predicate;
    }
    wait(State::barrier, where);
    return held_;
  }

  // Waits for the lanes of `mask`; returns what each of them brought. It stands until the thread waits again.
  const Lanes& exchange(uint32_t mask, uint64_t value, const Where& where) {
    if (!(mask >> lane() & 1)) throw Fault(name(now_) + " is no lane of the mask of " + line_of(where));
    threads_[now_].mask = mask;
    Warp& warp = warps_[now_ / kWarp];
    warp.brings[lane()] = value;
    warp.waiting |= 1u << lane();
    if (!std::exchange(warp.has_news, true)) warps_with_news_.push_back(now_ / kWarp);
    wait(State::exchange, where);
    return warp.brought;
  }

  unsigned thread() const { return now_; }
  unsigned lane() const { return now_ % kWarp; }
  const Clock& clock() const { return clock_; }
  Stamp stamp(const Where& where) const { return clock_.stamp(now_, where); }

  // The block's shared array of this key. All threads get the same, and all blocks of a launch.
  SharedArray& shared(const void* key, size_t entry_bytes, size_t count) {
    for (const auto& array : arrays_) {
      if (array->key() == key) return *array;
    }
    const size_t taken = std::accumulate(arrays_.begin(), arrays_.end(), size_t{0},
                                         [](size_t sum, const auto& array) { return sum + array->bytes(); });
    const size_t most = std::min(kSharedBytes, kMostSharedBytes - dynamic_bytes_);
    if (taken + entry_bytes * count > most) {
      throw Fault("asks for " + std::to_string(taken + entry_bytes * count) + " bytes of shared memory, of " +
                  std::to_string(most));
    }
    return *arrays_.emplace_back(std::make_unique<SharedArray>(key, entry_bytes, count));
  }
  // What the launch gave beyond it, as entries of one size.
  SharedArray& dynamic_shared(size_t entry_bytes, int64_t count) {
    if (count < 0 || static_cast<size_t>(count) > dynamic_bytes_ / entry_bytes) {
      throw Fault("asks for " + std::to_string(count) + " entries of " + std::to_string(entry_bytes) +
                  " bytes of dynamic shared memory, of " + std::to_string(dynamic_bytes_) + " bytes");
    }
    if (!dynamic_) dynamic_ = std::make_unique<SharedArray>(nullptr, entry_bytes, dynamic_bytes_ / entry_bytes);
    if (dynamic_->entry_bytes() != entry_bytes) {
      throw Fault("asks for dynamic shared memory in entries of " + std::to_string(dynamic_->entry_bytes()) +
                  " bytes and in entries of " + std::to_string(entry_bytes));
    }
    return *dynamic_;
  }

  // Of all blocks so far.
  uint64_t shared_accesses() const {
    return std::accumulate(arrays_.begin(), arrays_.end(), dynamic_ ? dynamic_->accesses() : 0,
                           [](uint64_t sum, const auto& array) { return sum + array->accesses(); });
  }
  uint64_t barriers() const { return barriers_; }

 private:
  static Block*& running() {
    static constinit Block* block = nullptr;
    return block;
  }
  struct Current {
    explicit Current(Block* block) { running() = block; }
    ~Current() { running() = nullptr; }
  };

  enum class State { runs, barrier, exchange };
  struct Thread {
    Thread(const std::function<void()>& body, const uint3& index) : fiber(body), index(index) {}
    Fiber fiber;
    uint3 index;
    State state = State::runs;
    uint32_t mask = 0;
    Where where{};
  };
  struct Warp {
    uint32_t all = 0, waiting = 0;  // lanes
    bool has_news = false;          // lanes have begun to wait in this round
    Lanes brings{}, brought{};      // in the exchange that waits, and in the last one
  };

  void wait(State state, const Where& where) {
    Thread& self = threads_[now_];
    self.state = state;
    self.where = where;
    self.fiber.pause();
  }

  // Returns whether the thread has ended.
  bool take_turn(unsigned t) {
    Thread& thread = threads_[t];
    now_ = t;
    threadIdx = thread.index;
    thread.state = State::runs;
    thread.fiber.resume();
    return thread.fiber.ended();
  }

  void open_barrier() {
    if (at_barrier_ < threads_.size()) return;
    held_ = std::exchange(holding_, 0);
    at_barrier_ = 0;
    ready_ = every_;
    clock_.pass_barrier();
    ++barriers_;
  }

  bool all_wait(unsigned number, const Thread& like) const {
    const uint32_t mask = like.mask;
    if ((warps_[number].waiting & mask) != mask) return false;
    for (unsigned lane = 0; lane < kWarp; ++lane) {
      if (!(mask >> lane & 1)) continue;
      const Thread& thread = threads_[number * kWarp + lane];
      if (thread.mask != mask || !same_line(thread.where, like.where)) return false;
    }
    return true;
  }

  void open_exchanges() {
    for (const unsigned number : warps_with_news_) {
      Warp& warp = warps_[number];
      warp.has_news = false;
      for (unsigned lane = 0; lane < kWarp; ++lane) {
        if (!(warp.waiting >> lane & 1)) continue;
        const Thread& thread = threads_[number * kWarp + lane];
        if (all_wait(number, thread)) open_exchange(number, thread.mask);
      }
    }
    warps_with_news_.clear();
  }
  void open_exchange(unsigned number, uint32_t mask) {
    Warp& warp = warps_[number];
    for (unsigned lane = 0; lane < kWarp; ++lane) {
      if (!(mask >> lane & 1)) continue;
      warp.brought[lane] = warp.brings[lane];
      ready_.push_back(number * kWarp + lane);
    }
    warp.waiting &= ~mask;
    clock_.pass_exchange(number, mask, mask == warp.all);
  }

  std::string doing(unsigned t) const {
    const Thread& thread = threads_[t];
    if (thread.fiber.ended()) return name(t) + " has returned";
    const bool at_barrier = thread.state == State::barrier;
    return name(t) + " waits at the " + (at_barrier ? "barrier" : "warp's exchange") + " of " + line_of(thread.where);
  }
  // Two threads that will never meet.
  std::string why_stuck() const {
    const auto waits = std::ranges::find_if(threads_, [](const Thread& t) { return !t.fiber.ended(); });
    const auto one = static_cast<unsigned>(waits - threads_.begin());
    for (unsigned t = 0; t < threads_.size(); ++t) {
      const Thread& other = threads_[t];
      const bool elsewhere = other.fiber.ended() || other.state != waits->state ||
                             !same_line(other.where, waits->where) ||
                             (other.state == State::exchange && other.mask != waits->mask);
      if (elsewhere) return doing(one) + ", " + doing(t);
    }
    return doing(one) + ", whose lanes the block does not have";
  }

  std::function<void()> body_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<unsigned> every_, turns_, ready_, warps_with_news_;  // threads by number, of this round, of the next one
  std::mt19937_64 random_;
  Clock clock_;
  size_t dynamic_bytes_;
  std::vector<std::unique_ptr<SharedArray>> arrays_;
  std::unique_ptr<SharedArray> dynamic_;
  unsigned now_ = 0;
  Where barrier_{};  // where the first one waits
  size_t at_barrier_ = 0;
  unsigned holding_ = 0, held_ = 0;
  uint64_t barriers_ = 0;
};

}  // namespace fastsciml::core::host
