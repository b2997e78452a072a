// A hierarchy as it travels through torch: plain tensors, so that it needs no type of its own there.
//
// Level l has extents[3 l .. 3 l + 2], and in each list of tensors (float32, but maps int32) entry l:
//   axes         x.lower, x.upper, x.share, x.own, x.next, x.weight [nx each], the same for y,
//                z.share, z.own, z.next, z.weight [2 half each], relaxation [1]
//   maps         stored [nx, ny]; x.parent, x.beyond [nx each], x.first [coarse nx + 1], the same for y; where z's
//                cells merge otherwise than in pairs, z_parent, z_beyond [2 half each], z_first, z_second [2 coarse
//                half each]
//   diagonals    [2, rows, 2 half]: the diagonal, relaxation / diagonal
//   z_couplings  [2, 1 or rows, 2 half]: near, far
//   faces        face_x [nx + 1, ny, 2 half], then face_y [nx, ny + 1, 2 half]; empty where all conduct 1
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
using Numbers = std::vector<double>;

struct LevelTensors {
  const Tensor& axes;
  const Tensor& maps;
  const Tensor& diagonals;
  const Tensor& z_couplings;
  const Tensor* faces;
};

// The extents and periodicity of level l alone, without its arrays.
Level shape_of_level(size_t l, const Ints& extents, const Ints& periodic);

Level level_of(size_t l, const Ints& extents, const Ints& periodic, const LevelTensors& tensors);

}  // namespace fastsciml::multigrid
