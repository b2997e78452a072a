// The conjugate-direction step for the Poisson operator, as torch calls it; schemas in csrc/operators.cpp.
//
// One iteration of flexible conjugate gradients, z being the preconditioned residual (a direction proposed by
// whatever means):
//   beta = -<z, A p> / <p, A p>,   p' = z + beta p,   length = <r, p'> / <p', A p'>
//   u' = u + length p',   r' = f - A u'
// A is symmetric, so that all inner products come from one pass over z, p and r that computes A z on the way; the
// second pass does the rest. The residual is recomputed from u, never updated: it is the true one.
//
// Directions are float32: any direction is admissible, and its step length and the residual it leaves are computed
// exactly enough. z, p, r: [nx, ny, 2 half] float32, rows in halves (multigrid/level.h); u, f: [nx, ny, nz] float32 or
// float64.
#pragma once

#include <optional>

#include "multigrid/tensors.h"

namespace fastsciml::directions {

using multigrid::Ints;
using multigrid::Tensor;

// float64 [4]: <z, A z>, <p, A z>, <r, z>, <r, p>, weighted by the cells' volumes.   Moves 12 bytes per unknown.
Tensor conjugate_line_search(Tensor z, Tensor p, Tensor r, Ints extents, Ints periodic, Tensor axes, Tensor maps,
                             Tensor diagonals, Tensor z_couplings, Tensor faces);

// z += beta p, u += length z (u = length z from zero), r = scale (f - A u); returns ||f - A u||^2, float64 [1]. So z
// becomes the next p. lengths, float64 [2]: length, beta; where beta is 0, z stays as it is, and p may be missing.
// couplings, faces, coefficient and alpha as in poisson/operators.h.   Moves 8 bytes per unknown (16 with a beta), and
// 24 (float64) or 12 (float32) more for u and f.
Tensor conjugate_direction_step(Tensor u, Tensor z, std::optional<Tensor> p, Tensor r, Tensor f, Tensor couplings,
                                Ints periodic, std::optional<Tensor> faces, std::vector<Tensor> coefficient,
                                std::optional<Tensor> alpha, Tensor lengths, double scale, bool from_zero);

}  // namespace fastsciml::directions
