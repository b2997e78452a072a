// Steps of the cycles that are not fused with others: they serve full multigrid and the symmetric cycle.
#pragma once

#include <span>

#include "multigrid/level.h"

namespace fastsciml::multigrid {

// Floats of scratch they need, all threads together.
int64_t transfer_floats(const Level& level, int64_t threads);

// f_coarse = R f, the means over coarse cells.
//   f [x, y, 2 half] -> f_coarse [coarse x, coarse y, 2 coarse half];   moves 4 + 4/8 bytes per cell in 3D
void average(const Level& level, const Level& coarse, const float* f, float* f_coarse, std::span<float> scratch);

// r = f - A v, 0 where there is no unknown.   f, v, r [x, y, 2 half];   moves 12 bytes per cell
void residual(const Level& level, const float* f, const float* v, float* r, std::span<float> scratch);

// r = G r for the adjoint of interpolation around solid, which is G P with G = P 1 / P m (guess.h).
//   r [x, y, 2 half];   moves 8 bytes per cell in the rows beside solid
void weigh_around_solid(const Level& level, const Level& coarse, float* r, std::span<float> scratch);

// f_coarse = weight P* r, where P is linear interpolation and * its adjoint in the inner product weighted by the cells'
// volumes: a residual counts for the coarse cell it lies in and for the one beyond, as much as it is interpolated from
// them.
//   r [x, y, 2 half] -> f_coarse [coarse x, coarse y, 2 coarse half];   moves 4 + 4/8 bytes per cell in 3D
void restrict_by_adjoint(const Level& level, const Level& coarse, float weight, const float* r, float* f_coarse,
                         std::span<float> scratch);

}  // namespace fastsciml::multigrid
