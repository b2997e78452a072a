// How often a cycle sweeps over a level, and how strongly each sweep over-relaxes. The numbers come from the caller:
// src/fastsciml/solvers/schedule.py has the ones found by search, and learned ones take their place.
#pragma once

#include <cstdint>
#include <span>

#include "core/memory.h"

namespace fastsciml::multigrid {

// On the finest level one less.
inline constexpr int64_t kMostSweeps = 16;

struct Schedule {
  int64_t sweeps;
  float before[kMostSweeps], after[kMostSweeps];  // per sweep, the relaxation as a multiple of the level's
  float correction;                               // what the coarse correction is multiplied by
};

// Of the finest level and of the others, which take one sweep more: that costs a fourteenth of a cycle.
struct Schedules {
  Schedule finest, coarse;

  FASTSCIML_HOST_DEVICE const Schedule& on(bool is_finest) const { return is_finest ? finest : coarse; }
};

// The sweeps on a level, of which `sweeps` are wanted on the finest.
inline int64_t sweeps_on(bool finest, int64_t sweeps) { return finest ? sweeps : sweeps + 1; }

// Sweeps on the finest level of a schedule of so many numbers: before and after, and the correction, of both.
inline int64_t sweeps_of(std::span<const double> numbers) { return static_cast<int64_t>(numbers.size()) / 4 - 1; }

// numbers: before, after, correction of the finest level, then of the others.
inline Schedules schedules_of(std::span<const double> numbers) {
  const int64_t sweeps = sweeps_of(numbers);
  const double* next = numbers.data();
  const auto take = [&next](bool finest, int64_t wanted) {
    Schedule schedule{.sweeps = sweeps_on(finest, wanted), .before = {}, .after = {}, .correction = 1.0f};
    for (int64_t s = 0; s < schedule.sweeps; ++s) schedule.before[s] = static_cast<float>(*next++);
    for (int64_t s = 0; s < schedule.sweeps; ++s) schedule.after[s] = static_cast<float>(*next++);
    schedule.correction = static_cast<float>(*next++);
    return schedule;
  };
  const Schedule finest = take(true, sweeps);
  return {.finest = finest, .coarse = take(false, sweeps)};
}

}  // namespace fastsciml::multigrid
