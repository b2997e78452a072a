// Rows in halves (level.h) from rows in the order of k, on CUDA: out = scale * rows, as float32, with zeros in the
// padding.
//   rows [nx, ny, n] -> out [nx, ny, 2 half];   moves 8 (float32) or 12 (float64) bytes per cell
//
// A warp reads 32 cells of a row and writes them as twice 64 bytes in a row, whole sectors of memory. Called by
// split_rows_into (split_rows_cuda.cu).
#pragma once

#include "core/reduce.cuh"
#include "multigrid/level.h"

namespace fastsciml::multigrid {

inline constexpr unsigned kThreads = 256;
inline constexpr unsigned kResidentBlocks = 8;

template <class T>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    split_rows_kernel(core::Memory<const T> rows, T scale, core::Memory<float> out, int64_t count, int64_t n) {
  const int64_t half = half_of(n);
  // Past the last cell of a row, k goes on through its padding.
  core::each_item(count * 2 * half, [&](int64_t item) {
    const int64_t row = item / (2 * half), k = item % (2 * half);
    out[row * 2 * half + (k & 1) * half + (k >> 1)] = k < n ? static_cast<float>(scale * rows[row * n + k]) : 0.0f;
  });
}

}  // namespace fastsciml::multigrid
