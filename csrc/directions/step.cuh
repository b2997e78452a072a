// The update of a conjugate-direction step and the residual it leaves, on CUDA, in two launches: the residual needs
// its neighbours' u updated.
//   z += beta p,   u += length z;   then   r = scale (f - A u) and ||f - A u||^2
// u, f: [nx, ny, nz] float32 or float64; z, p, r: [nx, ny, 2 half] float32, rows in halves (multigrid/level.h). The
// padding of z and p is left alone, that of r becomes 0. lengths, [length, beta], are read where they are, so that the
// host need not wait for the line search.
//
// A warp takes cells that are neighbours in z: in halves, twice 64 bytes in a row. Per unknown the update moves 4 bytes
// (16 with a beta) of directions and 8 (float32) or 16 (float64) of u, the residual 4 of r and 8 or 16 of u and f;
// faces, coefficient and alpha as in poisson_apply. Called by conjugate_direction_step (step_cuda.cu).
#pragma once

#include "multigrid/level.h"
#include "poisson/residual_norm.cuh"

namespace fastsciml::directions {

inline constexpr unsigned kThreads = 256;
inline constexpr unsigned kResidentBlocks = 4;

template <class T>
struct Update {
  core::Memory<T> u;
  core::Memory<float> z;
  core::Memory<const float> p;         // or null: beta counts as 0
  core::Memory<const double> lengths;  // length, beta
  int64_t nz, half, cells;
  bool from_zero;  // u counts as 0, whatever is in it
};

template <class T>
__global__ void __launch_bounds__(kThreads, kResidentBlocks) update_kernel(const __grid_constant__ Update<T> update) {
  const T length = static_cast<T>(update.lengths[0]);
  const float beta = update.p == nullptr ? 0.0f : static_cast<float>(update.lengths[1]);
  core::each_item(update.cells, [&](int64_t cell) {
    const int64_t k = cell % update.nz;
    const int64_t at = cell / update.nz * 2 * update.half + (k & 1) * update.half + (k >> 1);
    float direction = update.z[at];
    if (beta != 0.0f) {
      direction += beta * update.p[at];
      update.z[at] = direction;
    }
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
