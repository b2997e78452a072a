// The update of a conjugate-direction step and the residual it leaves, on CUDA, in two launches: the residual needs
// its neighbours' u updated.
//   z += sum beta_i p_i,   u += length z;   then   r = scale (f - A u) and ||f - A u||^2
// u, f: [nx, ny, nz] float32 or float64; z, p_i, r: [nx, ny, 2 half] float32, rows in halves (multigrid/level.h). The
// padding of z and the p_i is left alone, that of r becomes 0. lengths, [length, beta_0, ...], are read where they are,
// so that the host need not wait for the line search.
//
// A warp takes cells that are neighbours in z: in halves, twice 64 bytes in a row. Per unknown the update moves 4 bytes
// (8 with a beta, and 4 for each) of directions and 8 (float32) or 16 (float64) of u, the residual 4 of r and 8 or 16
// of u and f; faces, coefficient and alpha as in poisson_apply. Called by conjugate_direction_step (step_cuda.cu).
#pragma once

#include "directions/operators.h"
#include "multigrid/level.h"
#include "poisson/residual_norm.cuh"

namespace fastsciml::directions {

inline constexpr unsigned kThreads = 256;
inline constexpr unsigned kResidentBlocks = 4;

template <class T>
struct Update {
  core::Memory<T> u;
  core::Memory<float> z;
  core::Memory<const float> directions[kMostDirections];
  core::Memory<const double> lengths;  // [1 + count]: length, betas
  unsigned count;
  int64_t nz, half, cells;
  bool from_zero;  // u counts as 0, whatever is in it
};

template <class T>
__global__ void __launch_bounds__(kThreads, kResidentBlocks) update_kernel(const __grid_constant__ Update<T> update) {
  const T length = static_cast<T>(update.lengths[0]);
  float betas[kMostDirections];
  bool changes = false;
#pragma unroll
  for (unsigned d = 0; d < kMostDirections; ++d) {
    betas[d] = d < update.count ? static_cast<float>(update.lengths[1 + d]) : 0.0f;
    changes = changes || betas[d] != 0.0f;
  }
  core::each_item(update.cells, [&](int64_t cell) {
    const int64_t k = cell % update.nz;
    const int64_t at = cell / update.nz * 2 * update.half + (k & 1) * update.half + (k >> 1);
    float direction = update.z[at];
#pragma unroll
    for (unsigned d = 0; d < kMostDirections; ++d) {
      if (betas[d] != 0.0f) direction += betas[d] * update.directions[d][at];
    }
    if (changes) update.z[at] = direction;
    const T before = update.from_zero ? T{0} : T{update.u[cell]};
    update.u[cell] = before + length * static_cast<T>(direction);
  });
}

template <class T>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    residual_kernel(const __grid_constant__ poisson::Grid<T> grid, core::Memory<const T> u, core::Memory<const T> f,
                    core::Memory<float> r, T scale,
                    core::Memory<double> of_blocks) {  // [blocks]
  double squares[1] = {};
  const int64_t ny = grid.y.extent, half = multigrid::half_of(grid.z.extent);
  // Past the last cell of a row, k goes on through its padding.
  core::each_item(grid.x.extent * ny * 2 * half, [&](int64_t item) {
    const int64_t row = item / (2 * half), k = item % (2 * half);
    const bool inside = k < grid.z.extent;
    const double residual = inside ? poisson::residual_at(grid, u, f, row / ny, row % ny, k) : 0.0;
    r[row * 2 * half + (k & 1) * half + (k >> 1)] = static_cast<float>(scale * static_cast<T>(residual));
    squares[0] += residual * residual;
  });
  core::leave_sums<kThreads>(squares, of_blocks);
}

}  // namespace fastsciml::directions
