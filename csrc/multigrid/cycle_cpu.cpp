// The V-cycle on the CPU: recursion over the levels, two fused passes each.

#include "multigrid/cycle.h"
#include "multigrid/passes.h"
#include "multigrid/transfers.h"

namespace fastsciml::multigrid {
namespace {

// One cycle from a guess that is not z, but may be the coarser level's correction.
void cycle(const Hierarchy& hierarchy, size_t l, const Guess& guess, const float* f, float* z) {
  const Level& level = hierarchy.levels[l];
  if (l + 1 == hierarchy.levels.size()) {
    for (int64_t k = 0; k < level.stride(); ++k) z[k] = level.inverse_diagonal[k] * f[k];
    return;
  }
  const Level& coarse = hierarchy.levels[l + 1];
  float* v = hierarchy.storage[l].smoothed;
  float* f_coarse = hierarchy.storage[l + 1].rhs;
  float* e = hierarchy.storage[l + 1].correction;
  const Schedule& schedule = hierarchy.schedules.on(l == 0);
  smooth_and_restrict(level, coarse, schedule, guess, f, v, f_coarse, hierarchy.scratch);
  if (hierarchy.symmetric) {
    // z is free until the way up.
    residual(level, f, v, z, hierarchy.scratch);
    if (hierarchy.around_solid) weigh_around_solid(level, coarse, z, hierarchy.scratch);
    restrict_by_adjoint(level, coarse, schedule.correction, z, f_coarse, hierarchy.scratch);
  }
  cycle(hierarchy, l + 1, {}, f_coarse, e);
  // The symmetric cycle's right-hand side has the weight already, and everywhere: cells that have not merged would lose
  // the symmetry otherwise.
  const float weight = hierarchy.symmetric ? 1.0f : schedule.correction;
  const Guess corrected{.v = v, .e = e, .weight = weight, .around_solid = hierarchy.around_solid};
  correct_and_smooth(level, coarse, schedule, hierarchy.symmetric, corrected, f, z, hierarchy.scratch);
}

}  // namespace

void v_cycles(const Hierarchy& hierarchy, int64_t cycles, const float* f, float* z) {
  cycle(hierarchy, 0, {}, f, z);
  // A cycle leaves its guess before it writes z.
  for (int64_t c = 1; c < cycles; ++c) cycle(hierarchy, 0, {.v = z}, f, z);
}

void full_cycle(const Hierarchy& hierarchy, const float* f, float* z) {
  const auto& [levels, storage, schedules, symmetric, around_solid, scratch] = hierarchy;
  const auto rhs = [&](size_t l) { return l == 0 ? f : storage[l].mean_rhs; };
  const auto solution = [&](size_t l) { return l == 0 ? z : storage[l].correction; };
  const size_t last = levels.size() - 1;
  for (size_t l = 0; l < last; ++l) average(levels[l], levels[l + 1], rhs(l), storage[l + 1].mean_rhs, scratch);
  cycle(hierarchy, last, {}, rhs(last), solution(last));
  for (size_t l = last; l-- > 0;) {
    cycle(hierarchy, l, {.e = solution(l + 1), .around_solid = around_solid}, rhs(l), solution(l));
  }
}

}  // namespace fastsciml::multigrid
