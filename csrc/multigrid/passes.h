// The two fused passes a V-cycle makes over each level. Both smooth by red-black Gauss-Seidel with over-relaxation,
// as a schedule says, red first unless said otherwise.
#pragma once

#include <span>

#include "multigrid/guess.h"
#include "multigrid/level.h"
#include "multigrid/schedule.h"

namespace fastsciml::multigrid {

// Floats of scratch the passes over `level` need, all threads together.
int64_t scratch_floats(const Level& level, int64_t sweeps, int64_t threads);

// v = S (guess, f), the sweeps, and f_coarse = R (f - A v), where R averages over a coarse cell.
//   f [x, y, 2 half] -> v [x, y, 2 half], which is not guess.v, f_coarse [coarse x, coarse y, 2 coarse half]
//   moves 8 + 4/8 bytes per cell in 3D from a zero guess, 12 + 4/8 otherwise
void smooth_and_restrict(const Level& level, const Level& coarse, const Schedule& schedule, const Guess& guess,
                         const float* f, float* v, float* f_coarse, std::span<float> scratch);

// z = S'(guess, f): the coarse correction, interpolated linearly and added, then the sweeps.
//   f [x, y, 2 half] -> z [x, y, 2 half], which is not guess.v
//   moves 12 + 4/8 bytes per cell in 3D
void correct_and_smooth(const Level& level, const Level& coarse, const Schedule& schedule, bool black_first,
                        const Guess& guess, const float* f, float* z, std::span<float> scratch);

}  // namespace fastsciml::multigrid
