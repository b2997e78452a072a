// Learned stencils of a multi-channel V-cycle as torch calls them; schemas in csrc/operators.cpp. A stencil's tap k
// joins two points of an axis, F of its finer grid and c of its coarser one:
//
//   F = stride c + k - before       kind       taps  stride  before  from x to out   weight
//                                   same       3     1       1       F to c          [C_out, C_in, 3, ...]
//                                   restrict   3     2       1       F to c          [C_out, C_in, 3, ...]
//                                   prolong    4     2       1       c to F          [C_in, C_out, 4, ...]
//                                   point      1     1       0       F to c          [C_out, C_in, 1, ...]
//
// x is continued by one point beyond each end of its grid, by what the boundary says: zeros, the field mirrored at its
// last point, or its other side. Tensors are contiguous [batch, channels, 1 to 3 extents], float32, float64, float16 or
// bfloat16, sums float32 (float64 for float64).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/tensor.h"

namespace fastsciml::stencils {

using core::Tensor;

// act(added + or - weight * x + pointwise pointwise_x + bias), on the grid of these extents
Tensor multigrid_stencil(Tensor x, Tensor weight, int64_t kind, int64_t boundary, std::vector<int64_t> extents,
                         std::optional<Tensor> added, bool subtract, std::optional<Tensor> pointwise_x,
                         std::optional<Tensor> pointwise, std::optional<Tensor> bias, int64_t activation);

// added + or - the transpose of x -> weight * x of dout, on the grid of x
Tensor multigrid_stencil_adjoint(Tensor dout, Tensor weight, int64_t kind, int64_t boundary,
                                 std::vector<int64_t> extents, std::optional<Tensor> added, bool subtract);

// The gradient of the weight, of that shape.
Tensor multigrid_stencil_gradient(Tensor dout, Tensor x, int64_t kind, int64_t boundary, std::vector<int64_t> shape);

}  // namespace fastsciml::stencils
