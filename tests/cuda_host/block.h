// A block of CUDA threads on the host: a fiber each, which pause where they wait for others. The blocks of a launch use
// the same one after another.
//
// Threads take turns in an order of choice (thread_order), each going on until it waits or ends. A barrier opens once
// all threads of the block wait at it; an exchange within a warp, once all lanes of its mask take part. What a kernel
// may not do is a Fault that names the kernel, block, threads and source lines: a barrier that some threads do not come
// to, or come to on another line; an exchange whose lanes are elsewhere; the value of a lane that takes no part; shared
// memory beyond what a block has. Shared memory is NaN where a block begins, so that what was never written spoils
// results.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <source_location>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda_host/fiber.h"

namespace fastsciml::core::host {

using Where = std::source_location;

// A kernel broke CUDA's rules.
struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline std::string line_of(const Where& where) {
  const std::string file = where.file_name();
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(where.line());
}
inline bool same_line(const Where& a, const Where& b) {
  return a.line() == b.line() && a.column() == b.column() && std::strcmp(a.file_name(), b.file_name()) == 0;
}

// In which order a block's threads take their turns: 0 by number, else shuffled anew for every round from this seed. A
// kernel whose result depends on it has a race.
inline thread_local uint64_t thread_order = 0;

inline constexpr unsigned kWarp = 32;
// What a block has without asking for more.
inline constexpr size_t kSharedBytes = 48 << 10;

class Block {
 public:
  using Lanes = std::array<uint64_t, kWarp>;

  // `enter(t)` makes t the current thread, `body` is the kernel's call.
  Block(unsigned threads, std::function<void(unsigned)> enter, const std::function<void()>& body)
      : enter_(std::move(enter)), threads_(threads), turns_(threads), random_(thread_order) {
    for (Thread& thread : threads_) thread.fiber = std::make_unique<Fiber>(body);
    std::iota(turns_.begin(), turns_.end(), 0u);
    std::memset(shared_.get(), 0xff, kSharedBytes);
  }

  // The block that runs now.
  static Block& now() { return *running(); }

  // Runs one block after another: all of it from the beginning.
  void run() {
    const Current current(this);
    for (Thread& thread : threads_) {
      thread.fiber->restart();
      thread.state = State::runs;
    }
    std::memset(shared_.get(), 0xff, taken_);
    arrays_.clear();
    taken_ = 0;
    while (!std::ranges::all_of(threads_, [](const Thread& t) { return t.fiber->ended(); })) {
      if (thread_order != 0) std::ranges::shuffle(turns_, random_);
      bool any = false;
      for (const unsigned t : turns_) any |= take_turn(t);
      any |= open_barrier();
      any |= open_exchanges();
      if (!any) throw Fault(why_stuck());
    }
  }

  // Waits for all threads; returns for how many of them `predicate` holds.
  unsigned barrier(bool predicate, const Where& where) {
    Thread& self = threads_[now_];
    self.predicate = predicate;
    wait(self, State::barrier, where);
    return held_;
  }

  // Waits for the lanes of `mask`; returns what each of them brought.
  Lanes exchange(uint32_t mask, uint64_t value, const Where& where) {
    Thread& self = threads_[now_];
    if (!(mask >> (now_ % kWarp) & 1)) throw Fault(name(now_) + " is no lane of the mask of " + line_of(where));
    self.mask = mask;
    self.value = value;
    wait(self, State::exchange, where);
    return self.lanes;
  }

  unsigned lane() const { return now_ % kWarp; }

  // The block's shared array of this key. All threads get the same.
  void* shared(const void* key, size_t bytes) {
    for (const Shared& array : arrays_) {
      if (array.key == key) return shared_.get() + array.begin;
    }
    const size_t begin = (taken_ + 15) / 16 * 16;
    if (begin + bytes > kSharedBytes) {
      throw Fault("asks for " + std::to_string(begin + bytes) + " bytes of shared memory, of " +
                  std::to_string(kSharedBytes));
    }
    taken_ = begin + bytes;
    arrays_.push_back({key, begin});
    return shared_.get() + begin;
  }

 private:
  static Block*& running() {
    static thread_local Block* block = nullptr;
    return block;
  }
  struct Current {
    explicit Current(Block* block) { running() = block; }
    ~Current() { running() = nullptr; }
  };

  enum class State { runs, barrier, exchange };
  struct Thread {
    std::unique_ptr<Fiber> fiber;
    State state = State::runs;
    Where where = Where::current();
    bool predicate = false;
    uint32_t mask = 0;
    uint64_t value = 0;
    Lanes lanes{};
  };
  struct Shared {
    const void* key;
    size_t begin;
  };

  void wait(Thread& self, State state, const Where& where) {
    self.state = state;
    self.where = where;
    self.fiber->pause();
  }

  bool take_turn(unsigned t) {
    Thread& thread = threads_[t];
    if (thread.fiber->ended() || thread.state != State::runs) return false;
    now_ = t;
    enter_(t);
    thread.fiber->resume();
    return true;
  }

  bool open_barrier() {
    const Thread& first = threads_.front();
    for (const Thread& t : threads_) {
      if (t.fiber->ended() || t.state != State::barrier || !same_line(t.where, first.where)) return false;
    }
    held_ = static_cast<unsigned>(std::ranges::count_if(threads_, [](const Thread& t) { return t.predicate; }));
    for (Thread& t : threads_) t.state = State::runs;
    return true;
  }

  bool takes_part(unsigned t, const Thread& in) const {
    if (t >= threads_.size()) return false;
    const Thread& thread = threads_[t];
    return !thread.fiber->ended() && thread.state == State::exchange && thread.mask == in.mask &&
           same_line(thread.where, in.where);
  }

  bool open_exchanges() {
    bool any = false;
    for (unsigned t = 0; t < threads_.size(); ++t) {
      Thread& thread = threads_[t];
      if (thread.fiber->ended() || thread.state != State::exchange) continue;
      const unsigned first = t / kWarp * kWarp;
      Lanes lanes{};
      bool complete = true;
      for (unsigned lane = 0; lane < kWarp; ++lane) {
        if (!(thread.mask >> lane & 1)) continue;
        complete = complete && takes_part(first + lane, thread);
        if (complete) lanes[lane] = threads_[first + lane].value;
      }
      if (!complete) continue;
      const uint32_t mask = thread.mask;
      for (unsigned lane = 0; lane < kWarp; ++lane) {
        if (!(mask >> lane & 1)) continue;
        threads_[first + lane].lanes = lanes;
        threads_[first + lane].state = State::runs;
      }
      any = true;
    }
    return any;
  }

  std::string name(unsigned t) const { return "thread " + std::to_string(t); }
  std::string doing(unsigned t) const {
    const Thread& thread = threads_[t];
    if (thread.fiber->ended()) return name(t) + " has returned";
    const bool at_barrier = thread.state == State::barrier;
    return name(t) + " waits at the " + (at_barrier ? "barrier" : "warp's exchange") + " of " + line_of(thread.where);
  }
  // Two threads that will never meet.
  std::string why_stuck() const {
    const auto waits = std::ranges::find_if(threads_, [](const Thread& t) { return !t.fiber->ended(); });
    const auto one = static_cast<unsigned>(waits - threads_.begin());
    for (unsigned t = 0; t < threads_.size(); ++t) {
      const bool elsewhere = threads_[t].fiber->ended() || threads_[t].state != waits->state ||
                             !same_line(threads_[t].where, waits->where) || threads_[t].mask != waits->mask;
      if (elsewhere) return doing(one) + ", " + doing(t);
    }
    return doing(one) + ", whose lanes the block does not have";
  }

  std::function<void(unsigned)> enter_;
  std::vector<Thread> threads_;
  std::vector<unsigned> turns_;
  std::mt19937_64 random_;
  std::unique_ptr<unsigned char[]> shared_ = std::make_unique<unsigned char[]>(kSharedBytes);
  std::vector<Shared> arrays_;
  size_t taken_ = 0;
  unsigned now_ = 0;
  unsigned held_ = 0;
};

}  // namespace fastsciml::core::host
