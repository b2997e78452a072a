// ||f - A u||^2 on CUDA, worked out in double; formula of A and layouts in poisson/operators.h.
//
// A warp's threads take cells that are neighbours in z and share cache lines; those in x and y come from the L2 cache.
// Moves 8 (float32) or 16 (float64) bytes per unknown, 1 more with faces, 12 or 24 with a coefficient, 4 or 8 with an
// alpha per cell. Called by poisson_residual_norm (residual_norm_cuda.cu); residual_at by directions/step.cuh, too.
#pragma once

#include "core/reduce.cuh"
#include "poisson/stencil.h"

namespace fastsciml::poisson {

inline constexpr unsigned kThreads = 256;
inline constexpr unsigned kResidentBlocks = 4;

// (f - A u) at a cell, 0 without an unknown. In float, rounding can make a residual 0 that is not.
template <class T>
__device__ double residual_at(const Grid<T>& grid, core::Memory<const T> u, core::Memory<const T> f, int64_t i,
                              int64_t j, int64_t k) {
  const int64_t cell = grid.cell(i, j, k);
  if (grid.faces != nullptr && !(grid.faces[cell] >> kUnknownBit & 1)) return 0.0;
  return static_cast<double>(f[cell]) - apply_at<double>(grid, u + cell, i, j, k);
}

template <class T>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    residual_norm_kernel(const __grid_constant__ Grid<T> grid,
                         core::Memory<const T> u,           // [nx, ny, nz]
                         core::Memory<const T> f,           // [nx, ny, nz]
                         core::Memory<double> of_blocks) {  // [blocks]
  double squares[1] = {};
  core::each_item(grid.x.extent * grid.x.stride, [&](int64_t cell) {
    const int64_t row = cell / grid.z.extent;
    const double residual = residual_at(grid, u, f, row / grid.y.extent, row % grid.y.extent, cell % grid.z.extent);
    squares[0] += residual * residual;
  });
  core::leave_sums<kThreads>(squares, of_blocks);
}

}  // namespace fastsciml::poisson
