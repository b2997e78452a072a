// The two fused passes a V-cycle makes over each level. Both smooth by red-black Gauss-Seidel with over-relaxation,
// `sweeps` sweeps, red first.
#pragma once

#include <span>

#include "multigrid/level.h"

namespace fastsciml::multigrid {

// Floats of scratch the passes over `level` need, all threads together.
int64_t scratch_floats(const Level& level, int64_t sweeps, int64_t threads);

// v = S f, the sweeps from a zero guess, and f_coarse = R (f - A v), where R averages over a coarse cell.
//   f [x, y, 2 half] -> v [x, y, 2 half], f_coarse [coarse x, coarse y, 2 coarse half]
//   moves 8 + 4/8 bytes per cell in 3D
void smooth_and_restrict(const Level& level, const Level& coarse, int64_t sweeps, const float* f, float* v,
                         float* f_coarse, std::span<float> scratch);

// z = S'(v + P e, f): the coarse correction e interpolated linearly, then the sweeps.
//   f, v [x, y, 2 half], e [coarse x, coarse y, 2 coarse half] -> z [x, y, 2 half]
//   moves 12 + 4/8 bytes per cell in 3D
void correct_and_smooth(const Level& level, const Level& coarse, int64_t sweeps, const float* f, const float* v,
                        const float* e, float* z, std::span<float> scratch);

}  // namespace fastsciml::multigrid
