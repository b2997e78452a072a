// The time of a block of threads: not the order in which they happen to take turns, but what CUDA promises of it. A
// barrier ends an epoch for all; an exchange within a warp ends a step for the lanes that take part.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "cuda_host/fault.h"

namespace fastsciml::core::host {

inline constexpr unsigned kWarp = 32;

// When a thread has done something, and where.
struct Stamp {
  uint32_t epoch = 0;  // 0: never
  uint32_t step = 0;
  unsigned thread = 0;
  Where where{};

  unsigned warp() const { return thread / kWarp; }
};

class Clock {
 public:
  explicit Clock(unsigned threads) : warps_((threads + kWarp - 1) / kWarp) {}

  void begin_block() { first_ = ++epoch_; }
  void pass_barrier() { ++epoch_; }
  // The lanes of `mask` know from now on what each of them, and whom it knew, has done before.
  void pass_exchange(unsigned number, uint32_t mask, bool all_lanes) {
    Warp& warp = warps_[number];
    const uint32_t done = warp.step++;
    if (all_lanes) {
      warp.known_to_all = done;
      return;
    }
    if (warp.known.empty()) warp.known.resize(kWarp);
    const auto takes_part = [=](unsigned lane) { return mask >> lane & 1; };
    Known together{};
    for (unsigned lane = 0; lane < kWarp; ++lane) {
      if (!takes_part(lane)) continue;
      for (unsigned of = 0; of < kWarp; ++of) together[of] = std::max(together[of], warp.known[lane][of]);
    }
    for (unsigned lane = 0; lane < kWarp; ++lane) {
      if (takes_part(lane)) together[lane] = done;
    }
    for (unsigned lane = 0; lane < kWarp; ++lane) {
      if (takes_part(lane)) warp.known[lane] = together;
    }
  }

  Stamp stamp(unsigned thread, const Where& where) const {
    return {epoch_, warps_[thread / kWarp].step, thread, where};
  }

  bool in_this_block(const Stamp& then) const { return then.epoch >= first_; }
  bool in_this_epoch(const Stamp& then) const { return then.epoch == epoch_; }
  // Whether it is over for this thread in every order of turns.
  bool over(const Stamp& then, unsigned thread) const {
    if (!in_this_epoch(then) || then.thread == thread) return true;
    if (then.warp() != thread / kWarp) return false;
    const Warp& warp = warps_[then.warp()];
    if (then.step <= warp.known_to_all) return true;
    return !warp.known.empty() && then.step <= warp.known[thread % kWarp][then.thread % kWarp];
  }

 private:
  using Known = std::array<uint32_t, kWarp>;
  struct Warp {
    uint32_t step = 1;
    uint32_t known_to_all = 0;  // the last step of all lanes that all of them know
    std::vector<Known> known;   // [lane][of which]: where exchanges of some lanes tell more
  };

  std::vector<Warp> warps_;
  uint32_t epoch_ = 0;
  uint32_t first_ = 0;
};

}  // namespace fastsciml::core::host
