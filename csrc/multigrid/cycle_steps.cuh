// Cycles as sequences of steps, for whoever runs them: the host, a launch each (run_on_device.cuh), or one block of a
// device, which runs all steps of the small levels in a single launch (tail.cuh). `run.rows(step)` and
// `run.cells(step)` do a step whole, before the next.
#pragma once

#include "multigrid/row_transfers.cuh"
#include "multigrid/schedule.h"
#include "multigrid/steps.cuh"

#ifdef __CUDACC__
// Who runs the steps on the host is a function of the host alone, and the other way round.
#pragma nv_diag_suppress 20011, 20014
#endif

namespace fastsciml::multigrid {

// What a level keeps, as LevelStorage in hierarchy.h.
struct DeviceStorage {
  Field smoothed, rhs, correction, mean_rhs;
};

// How the cycle is done on every level; see Hierarchy.
struct Manner {
  Schedules schedules;
  bool symmetric, around_solid;
};

// A half-sweep over v.
template <class Run>
FASTSCIML_HOST_DEVICE void relax(const Run& run, const LevelPair& on, float factor, int colour, ConstField f, Field v) {
  const int turns = turns_of(on.level);
#pragma unroll 1
  for (int turn = 0; turn < turns; ++turn) {
    if (on.level.z.closes_oddly()) {
      run.cells(on, RelaxCells{f, v, factor, colour, turn});
    } else if (on.level.face_x != nullptr) {
      run.rows(on, RelaxRows<true>{f, v, factor, colour, turn, turns});
    } else {
      run.rows(on, RelaxRows<false>{f, v, factor, colour, turn, turns});
    }
  }
}

// Sweeps over v; from zero, the first half-sweep of the first one is done already.
template <class Run>
FASTSCIML_HOST_DEVICE void smooth(const Run& run, const LevelPair& on, const float* factors, int64_t sweeps,
                                  bool black_first, bool begun, ConstField f, Field v) {
#pragma unroll 1
  for (int64_t s = 0; s < sweeps; ++s) {
#pragma unroll 1
    for (int half = begun && s == 0 ? 1 : 0; half < 2; ++half) {
      relax(run, on, factors[s], half ^ (black_first ? 1 : 0), f, v);
    }
  }
}

// out = guess. Not inlined: in the tail some of its registers would spill.
template <class Run>
FASTSCIML_HOST_DEVICE __noinline__ void load(const Run& run, const LevelPair& on, const DeviceGuess& guess, Field out) {
  merges_in_pairs(on.level) ? run.rows(on, LoadRows{guess, out}) : run.cells(on, LoadCells{guess, out});
}

// f_coarse = R (f - A v), or R f without v
template <class Run>
FASTSCIML_HOST_DEVICE void restrict_means(const Run& run, const LevelPair& on, ConstField f, ConstField v,
                                          Field f_coarse) {
  if (!merges_in_pairs(on.level) || on.level.z.closes_oddly()) {
    run.cells(on, RestrictCells{f, v, f_coarse});
  } else if (on.level.face_x != nullptr) {
    run.rows(on, RestrictRows<true>{f, v, f_coarse});
  } else {
    run.rows(on, RestrictRows<false>{f, v, f_coarse});
  }
}

// f_coarse = weight P* (f - A v)
template <class Run>
FASTSCIML_HOST_DEVICE void restrict_symmetrically(const Run& run, const LevelPair& on, float weight, bool around_solid,
                                                  ConstField f, ConstField v, Field residual, Field f_coarse) {
  if (around_solid || on.level.z.closes_oddly()) {
    run.cells(on, ResidualCells{f, v, residual, weight, around_solid});
  } else if (on.level.face_x != nullptr) {
    run.rows(on, ResidualRows<true>{f, v, residual, weight});
  } else {
    run.rows(on, ResidualRows<false>{f, v, residual, weight});
  }
  run.cells(on, AdjointCells{residual, f_coarse});
}

// smoothed = S (guess, f), f_coarse = R (f - A smoothed). `free` is what the way up will write.
template <class Run>
FASTSCIML_HOST_DEVICE void descend(const Run& run, const LevelPair& on, const Manner& manner, bool finest,
                                   const DeviceGuess& guess, ConstField f, Field smoothed, Field free, Field f_coarse) {
  const Schedule& schedule = manner.schedules.on(finest);
  if (guess.zero()) {
    run.rows(on, StartRows{f, smoothed, schedule.before[0]});
  } else {
    load(run, on, guess, smoothed);
  }
  smooth(run, on, schedule.before, schedule.sweeps, false, guess.zero(), f, smoothed);
  if (manner.symmetric) {
    restrict_symmetrically(run, on, schedule.correction, manner.around_solid, f, smoothed, free, f_coarse);
  } else {
    restrict_means(run, on, f, smoothed, f_coarse);
  }
}

// z = S'(smoothed + weight P e, f)
template <class Run>
FASTSCIML_HOST_DEVICE void ascend(const Run& run, const LevelPair& on, const Manner& manner, bool finest,
                                  ConstField smoothed, ConstField e, ConstField f, Field z) {
  const Schedule& schedule = manner.schedules.on(finest);
  // As in cycle_cpu.cpp.
  const float weight = manner.symmetric ? 1.0f : schedule.correction;
  load(run, on, {.v = smoothed, .e = e, .weight = weight, .around_solid = manner.around_solid}, z);
  smooth(run, on, schedule.after, schedule.sweeps, manner.symmetric, false, f, z);
}

// One V-cycle on levels[first .. count - 1]; levels[0] is the finest of all or not. `guess` is not z, but may be
// storage[first + 1].correction.
template <class Run, class Levels, class Storage>
FASTSCIML_HOST_DEVICE void v_cycle(const Run& run, const Levels& levels, const Storage& storage, int64_t first,
                                   int64_t count, const Manner& manner, bool has_finest, const DeviceGuess& guess,
                                   ConstField f, Field z) {
  const auto rhs = [&](int64_t l) { return l == first ? f : ConstField(storage[l].rhs); };
  const auto solution = [&](int64_t l) { return l == first ? z : storage[l].correction; };
#pragma unroll 1
  for (int64_t l = first; l + 1 < count; ++l) {
    descend(run, {levels[l], levels[l + 1]}, manner, l == 0 && has_finest, l == first ? guess : DeviceGuess{}, rhs(l),
            storage[l].smoothed, solution(l), storage[l + 1].rhs);
  }
  run.cells({levels[count - 1], levels[count - 1]}, CoarsestCells{rhs(count - 1), solution(count - 1)});
#pragma unroll 1
  for (int64_t l = count - 1; l-- > first;) {
    ascend(run, {levels[l], levels[l + 1]}, manner, l == 0 && has_finest, storage[l].smoothed,
           storage[l + 1].correction, rhs(l), solution(l));
  }
}

// Full multigrid on levels[0 .. count - 1], as full_cycle in cycle.h.
template <class Run, class Levels, class Storage>
FASTSCIML_HOST_DEVICE void full_cycle(const Run& run, const Levels& levels, const Storage& storage, int64_t count,
                                      const Manner& manner, bool has_finest, ConstField f, Field z) {
  const auto rhs = [&](int64_t l) { return l == 0 ? f : ConstField(storage[l].mean_rhs); };
  const auto solution = [&](int64_t l) { return l == 0 ? z : storage[l].correction; };
#pragma unroll 1
  for (int64_t l = 0; l + 1 < count; ++l) {
    restrict_means(run, {levels[l], levels[l + 1]}, rhs(l), nullptr, storage[l + 1].mean_rhs);
  }
  run.cells({levels[count - 1], levels[count - 1]}, CoarsestCells{rhs(count - 1), solution(count - 1)});
#pragma unroll 1
  for (int64_t l = count - 1; l-- > 0;) {
    const DeviceGuess guess{
        .v = nullptr, .e = storage[l + 1].correction, .weight = 1.0f, .around_solid = manner.around_solid};
    v_cycle(run, levels, storage, l, count, manner, has_finest, guess, rhs(l), solution(l));
  }
}

}  // namespace fastsciml::multigrid
