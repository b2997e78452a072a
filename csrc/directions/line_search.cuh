// Inner products of a conjugate-direction step on CUDA: with v a cell's volume, the sums over all cells of
//   v z A z,   v r z,   all v p_i A z,   all v r p_i
// A z is worked out in float, as in the cycle, the rest in double. z, p_i, r: [nx, ny, 2 half], rows in halves
// (multigrid/level.h), whose padding is not read.
//
// A warp takes cells that are neighbours in z: in halves, twice 64 bytes in a row; neighbours in x and y come from the
// L2 cache. Moves 8 bytes per unknown, 4 for every direction, and 4 of the diagonal where rows of it differ, 8 to 16
// more with weighted faces. Called by conjugate_line_search (line_search_cuda.cu).
#pragma once

#include "core/reduce.cuh"
#include "multigrid/cell.cuh"

namespace fastsciml::directions {

inline constexpr unsigned kThreads = 256;
inline constexpr unsigned kResidentBlocks = 4;

template <int kCount>
struct Directions {
  multigrid::ConstField p[kCount == 0 ? 1 : kCount];
};

// Leaves the block's sums in of_blocks [blocks, 2 + 2 kCount].
template <int kCount>
__device__ void leave_products(const multigrid::Level& level, multigrid::ConstField z,
                               const Directions<kCount>& directions, multigrid::ConstField r,
                               core::Memory<double> of_blocks) {
  double products[2 + 2 * kCount] = {};
  const int64_t ny = level.y.extent, nz = level.z.extent;
  core::each_item(level.cells(), [&](int64_t cell) {
    const int64_t row = cell / nz;
    const multigrid::Cell c = multigrid::cell_of(level, row / ny, row % ny, cell % nz);
    const float here = z[c.at], az = level.diagonal[c.diagonal] * here - multigrid::neighbours_of(level, z, c);
    const double area = static_cast<double>(level.x.weight[c.i]) * static_cast<double>(level.y.weight[c.j]);
    const double volume = area * static_cast<double>(level.z.weight[c.in_row]);
    const double vaz = volume * static_cast<double>(az), vr = volume * static_cast<double>(r[c.at]);
    products[0] += static_cast<double>(here) * vaz;
    products[1] += vr * static_cast<double>(here);
#pragma unroll
    for (int d = 0; d < kCount; ++d) {
      const auto p = static_cast<double>(directions.p[d][c.at]);
      products[2 + d] += p * vaz;
      products[2 + kCount + d] += vr * p;
    }
  });
  core::leave_sums<kThreads>(products, of_blocks);
}

template <int kCount>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    line_search_kernel(const __grid_constant__ multigrid::Level level, multigrid::ConstField z,
                       const __grid_constant__ Directions<kCount> directions, multigrid::ConstField r,
                       core::Memory<double> of_blocks) {
  leave_products(level, z, directions, r, of_blocks);
}

}  // namespace fastsciml::directions
