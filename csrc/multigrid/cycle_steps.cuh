// Cycles as sequences of steps (steps.cuh), for whoever runs them: the host, a launch each, or one block of a device,
// which runs all steps of the small levels in a single launch (tail.cuh). `run(step)` does a step whole, before the
// next.
#pragma once

#include "multigrid/schedule.h"
#include "multigrid/steps.cuh"

#ifdef __CUDACC__
// Who runs the steps on the host is a function of the host alone, and the other way round.
#pragma nv_diag_suppress 20011, 20014
#endif

namespace fastsciml::multigrid {

// What a level keeps between the two passes, as LevelStorage in hierarchy.h.
struct DeviceStorage {
  Field smoothed, rhs, correction, mean_rhs;
};

// How the cycle is done on every level; see Hierarchy.
struct Manner {
  int64_t sweeps;
  bool symmetric, around_solid, conducts;

  FASTSCIML_HOST_DEVICE Schedule schedule(bool finest) const {
    return schedule_on(finest, sweeps, symmetric, conducts);
  }
};

// Sweeps over v; from zero, the first half-sweep of the first one is done already.
template <class Run>
FASTSCIML_HOST_DEVICE void smooth(const Run& run, const LevelPair& on, const float* factors, int64_t sweeps,
                                  bool black_first, bool begun, ConstField f, Field v) {
  for (int64_t s = 0; s < sweeps; ++s) {
    for (int half = begun && s == 0 ? 1 : 0; half < 2; ++half) {
      for (int turn = 0; turn < turns_of(on.level); ++turn) {
        run(on, RelaxStep{f, v, factors[s], half ^ (black_first ? 1 : 0), turn});
      }
    }
  }
}

// v = S (guess, f)
template <class Run>
FASTSCIML_HOST_DEVICE void smooth_guess(const Run& run, const LevelPair& on, const Schedule& schedule,
                                        const DeviceGuess& guess, ConstField f, Field v) {
  if (guess.zero()) {
    run(on, StartStep{f, v, schedule.before[0]});
  } else {
    run(on, LoadStep{guess, v});
  }
  smooth(run, on, schedule.before, schedule.sweeps, false, guess.zero(), f, v);
}

// f_coarse = P* (f - A v)
template <class Run>
FASTSCIML_HOST_DEVICE void restrict_symmetrically(const Run& run, const LevelPair& on, ConstField f, ConstField v,
                                                  Field residual, Field f_coarse) {
  run(on, ResidualStep{f, v, residual});
  run(on, AdjointStep{residual, f_coarse});
}

// z = S'(guess, f)
template <class Run>
FASTSCIML_HOST_DEVICE void correct_and_smooth(const Run& run, const LevelPair& on, const Schedule& schedule,
                                              bool black_first, const DeviceGuess& guess, ConstField f, Field z) {
  run(on, LoadStep{guess, z});
  smooth(run, on, schedule.after, schedule.sweeps, black_first, false, f, z);
}

// One V-cycle on levels[first .. count - 1]; levels[0] is the finest of all or not. `guess` is not z, but may be
// storage[first + 1].correction.
template <class Run, class Levels, class Storage>
FASTSCIML_HOST_DEVICE void v_cycle(const Run& run, const Levels& levels, const Storage& storage, int64_t first,
                                   int64_t count, const Manner& manner, bool has_finest, const DeviceGuess& guess,
                                   ConstField f, Field z) {
  const auto rhs = [&](int64_t l) { return l == first ? f : ConstField(storage[l].rhs); };
  const auto solution = [&](int64_t l) { return l == first ? z : storage[l].correction; };
  for (int64_t l = first; l + 1 < count; ++l) {
    const LevelPair on{levels[l], levels[l + 1]};
    const Schedule schedule = manner.schedule(l == 0 && has_finest);
    smooth_guess(run, on, schedule, l == first ? guess : DeviceGuess{}, rhs(l), storage[l].smoothed);
    if (manner.symmetric) {
      restrict_symmetrically(run, on, rhs(l), storage[l].smoothed, solution(l), storage[l + 1].rhs);
    } else {
      run(on, RestrictStep{rhs(l), storage[l].smoothed, storage[l + 1].rhs});
    }
  }
  run({levels[count - 1], levels[count - 1]}, CoarsestStep{rhs(count - 1), solution(count - 1)});
  for (int64_t l = count - 1; l-- > first;) {
    const Schedule schedule = manner.schedule(l == 0 && has_finest);
    const DeviceGuess corrected{.v = storage[l].smoothed,
                                .e = storage[l + 1].correction,
                                .weight = schedule.correction,
                                .around_solid = manner.around_solid};
    correct_and_smooth(run, {levels[l], levels[l + 1]}, schedule, manner.symmetric, corrected, rhs(l), solution(l));
  }
}

// Full multigrid on levels[0 .. count - 1], as full_cycle in cycle.h.
template <class Run, class Levels, class Storage>
FASTSCIML_HOST_DEVICE void full_cycle(const Run& run, const Levels& levels, const Storage& storage, int64_t count,
                                      const Manner& manner, bool has_finest, ConstField f, Field z) {
  const auto rhs = [&](int64_t l) { return l == 0 ? f : ConstField(storage[l].mean_rhs); };
  const auto solution = [&](int64_t l) { return l == 0 ? z : storage[l].correction; };
  for (int64_t l = 0; l + 1 < count; ++l) {
    run({levels[l], levels[l + 1]}, RestrictStep{rhs(l), nullptr, storage[l + 1].mean_rhs});
  }
  run({levels[count - 1], levels[count - 1]}, CoarsestStep{rhs(count - 1), solution(count - 1)});
  for (int64_t l = count - 1; l-- > 0;) {
    const DeviceGuess guess{
        .v = nullptr, .e = storage[l + 1].correction, .weight = 1.0f, .around_solid = manner.around_solid};
    v_cycle(run, levels, storage, l, count, manner, has_finest, guess, rhs(l), solution(l));
  }
}

}  // namespace fastsciml::multigrid
