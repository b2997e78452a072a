// out = A u on CUDA; formula and layouts in poisson/operators.h.
//
// A thread per cell, z along the threads of a block: neighbours in z come from the same cache lines, those in x and y
// from the L2 cache. Moves 8 (float32) or 16 (float64) bytes per unknown from memory, 1 more with faces. No shared
// memory, no barrier. Called by poisson_apply (apply_cuda.cu) and, on the host, by the tests.
#pragma once

#include "core/launch.h"
#include "poisson/stencil.h"

namespace fastsciml::poisson {

inline constexpr unsigned kThreads = 256;
// Blocks that fit one multiprocessor at a time: 5 of 256 leave a thread 51 registers, and float64 with a coefficient
// needs 46; 6 would make it spill.
inline constexpr unsigned kResidentBlocks = 5;

template <class T>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    apply_kernel(Grid<T> grid, core::Memory<const T> u,  // [batch, nx, ny, nz]
                 core::Memory<T> out,                    // [batch, nx, ny, nz]
                 int64_t count) {
  const int64_t cell = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (cell >= count) return;
  const int64_t row = cell / grid.z.extent;
  const int64_t plane = row / grid.y.extent;
  out[cell] = apply_at<T>(grid, u + cell, plane % grid.x.extent, row % grid.y.extent, cell % grid.z.extent);
}

template <class T>
void launch_apply(const Grid<T>& grid, core::Memory<const T> u, core::Memory<T> out, int64_t count,
                  core::Stream stream) {
  const auto blocks = static_cast<unsigned>((count + kThreads - 1) / kThreads);
  core::launch("poisson_apply", apply_kernel<T>, {blocks, kThreads}, stream, grid, u, out, count);
}

}  // namespace fastsciml::poisson
