// A hierarchy as it travels through torch: plain tensors, so that it needs no type of its own there.
//
// Level l has extents[3 l .. 3 l + 2], and in each list of tensors (float32, but row_indices int32) entry l:
//   axes         x.lower, x.upper, x.share, x.own, x.next [nx each], the same for y,
//                z.share, z.own, z.next [2 half each], relaxation [1]
//   row_indices  row_x [nx], row_y [ny]
//   diagonals    [2, rows, 2 half]: the diagonal, relaxation / diagonal
//   z_couplings  [2, 1 or nx * ny, 2 half]: near, far
//   openness     [2, nx, ny, 2 half]: x, y; empty where every face is open
// Rows are in halves (level.h).
#pragma once

#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <vector>

#include "multigrid/level.h"

namespace fastsciml::multigrid {

using torch::stable::Tensor;
using Tensors = std::vector<Tensor>;
using Ints = std::vector<int64_t>;

struct LevelTensors {
  const Tensor& axes;
  const Tensor& row_indices;
  const Tensor& diagonals;
  const Tensor& z_couplings;
  const Tensor* openness;
};

// The extents and periodicity of level l alone, without its arrays.
Level shape_of_level(size_t l, const Ints& extents, const Ints& periodic);

Level level_of(size_t l, const Ints& extents, const Ints& periodic, const LevelTensors& tensors);

}  // namespace fastsciml::multigrid
