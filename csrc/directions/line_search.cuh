// Inner products of a conjugate-direction step on CUDA: with v a cell's volume, the sums over all cells of
//   v z A z,   v p A z,   v r z,   v r p
// A z is worked out in float, as in the cycle, the rest in double. z, p, r: [nx, ny, 2 half], rows in halves
// (multigrid/level.h), whose padding is not read.
//
// A warp takes cells that are neighbours in z: in halves, twice 64 bytes in a row; neighbours in x and y come from the
// L2 cache. Moves 12 bytes per unknown, and 4 of the diagonal where rows of it differ, 8 to 16 more with weighted
// faces. Called by conjugate_line_search (line_search_cuda.cu).
#pragma once

#include "core/reduce.cuh"
#include "multigrid/cell.cuh"

namespace fastsciml::directions {

inline constexpr unsigned kThreads = 256;
inline constexpr unsigned kResidentBlocks = 4;

__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    line_search_kernel(const __grid_constant__ multigrid::Level level, multigrid::ConstField z, multigrid::ConstField p,
                       multigrid::ConstField r,
                       core::Memory<double> of_blocks) {  // [blocks, 4]
  double products[4] = {};
  const int64_t ny = level.y.extent, nz = level.z.extent;
  core::each_item(level.cells(), [&](int64_t cell) {
    const int64_t row = cell / nz;
    const multigrid::Cell c = multigrid::cell_of(level, row / ny, row % ny, cell % nz);
    const float here = z[c.at], az = level.diagonal[c.diagonal] * here - multigrid::neighbours_of(level, z, c);
    const double area = static_cast<double>(level.x.weight[c.i]) * static_cast<double>(level.y.weight[c.j]);
    const double volume = area * static_cast<double>(level.z.weight[c.in_row]);
    const double vaz = volume * static_cast<double>(az), vr = volume * static_cast<double>(r[c.at]);
    products[0] += static_cast<double>(here) * vaz;
    products[1] += static_cast<double>(p[c.at]) * vaz;
    products[2] += vr * static_cast<double>(here);
    products[3] += vr * static_cast<double>(p[c.at]);
  });
  core::leave_sums<kThreads>(products, of_blocks);
}

}  // namespace fastsciml::directions
