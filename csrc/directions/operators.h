// The conjugate-direction step for the Poisson operator, as torch calls it; schemas in csrc/operators.cpp.
//
// One iteration of flexible conjugate gradients, z being the preconditioned residual (a direction proposed by
// whatever means), p_i the last m directions, 0 to 8 of them:
//   beta_i = -<z, A p_i> / <p_i, A p_i>,   p' = z + sum beta_i p_i,   length = <r, p'> / <p', A p'>
//   u' = u + length p',   r' = f - A u'
// A is symmetric, so that all inner products come from one pass over z, r and the p_i that computes A z on the way:
// images A p_i are neither stored nor read, and A costs less than reading one of them would. The second pass does the
// rest. The residual is recomputed from u, never updated: it is the true one.
//
// Directions are float32: any direction is admissible, and its step length and the residual it leaves are computed
// exactly enough. z, p_i, r: [nx, ny, 2 half] float32, rows in halves (multigrid/level.h); u, f: [nx, ny, nz] float32
// or float64.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "multigrid/tensors.h"

namespace fastsciml::directions {

using multigrid::Ints;
using multigrid::Tensor;

// The most directions kept: beyond a few, more of them bring next to nothing (Notay 2000, section 5).
inline constexpr size_t kMostDirections = 8;

// float64 [2 + 2 m]: <z, A z>, <r, z>, then all <p_i, A z>, then all <r, p_i>, weighted by the cells' volumes.
// Moves 8 + 4 m bytes per unknown.
Tensor conjugate_line_search(Tensor z, std::vector<Tensor> directions, Tensor r, Ints extents, Ints periodic,
                             Tensor axes, Tensor maps, Tensor diagonals, Tensor z_couplings, Tensor faces);

// z += sum beta_i p_i, u += length z (u = length z from zero), r = scale (f - A u); returns ||f - A u||^2, float64 [1].
// So z becomes the next p. lengths, float64 [1 + m]: length, then all beta_i; where a beta is 0, its direction is not
// read, and where all are, z stays as it is. couplings, faces, coefficient and alpha as in poisson/operators.h.
// Moves 8 bytes per unknown (12 with a beta, and 4 for each), and 24 (float64) or 12 (float32) more for u and f.
Tensor conjugate_direction_step(Tensor u, Tensor z, std::vector<Tensor> directions, Tensor r, Tensor f,
                                Tensor couplings, Ints periodic, std::optional<Tensor> faces,
                                std::vector<Tensor> coefficient, std::optional<Tensor> alpha, Tensor lengths,
                                double scale, bool from_zero);

// The same for any operator, of which only the images A p_i are known: q, aq (A q), r, x and the vectors in lists are
// contiguous, of one shape, float32 or float64 (vectors_cpu.cpp).
//
// float64 [2 + 2 m]: <q, A q>, <r, q>, then all <q, A p_i>, then all <r, p_i>.
Tensor direction_products(Tensor q, Tensor aq, Tensor r, std::vector<Tensor> directions, std::vector<Tensor> images);

// q += sum beta_i p_i, aq += sum beta_i A p_i, x += length q, r -= length aq; returns |r|^2, float64 [1]. lengths as
// above; where a beta is 0, its direction and image are not read.
Tensor direction_update(Tensor x, Tensor r, Tensor q, Tensor aq, std::vector<Tensor> directions,
                        std::vector<Tensor> images, Tensor lengths);

}  // namespace fastsciml::directions
