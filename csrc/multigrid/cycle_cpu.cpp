// The V-cycle on the CPU: recursion over the levels, two fused passes each.

#include "multigrid/cycle.h"
#include "multigrid/passes.h"

namespace fastsciml::multigrid {
namespace {

void cycle(const Hierarchy& hierarchy, size_t l, const float* f, float* z) {
  const Level& level = hierarchy.levels[l];
  if (l + 1 == hierarchy.levels.size()) {
    for (int64_t k = 0; k < level.stride(); ++k) z[k] = level.inverse_diagonal[k] * f[k];
    return;
  }
  const Level& coarse = hierarchy.levels[l + 1];
  float* v = hierarchy.storage[l].smoothed;
  const auto& [coarse_v, f_coarse, e] = hierarchy.storage[l + 1];
  smooth_and_restrict(level, coarse, hierarchy.sweeps, f, v, f_coarse, hierarchy.scratch);
  cycle(hierarchy, l + 1, f_coarse, e);
  correct_and_smooth(level, coarse, hierarchy.sweeps, f, v, e, z, hierarchy.scratch);
}

}  // namespace

void v_cycle(const Hierarchy& hierarchy, const float* f, float* z) { cycle(hierarchy, 0, f, z); }

}  // namespace fastsciml::multigrid
