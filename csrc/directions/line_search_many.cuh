// The line search along more directions than line_search.cuh's kernel has registers for: the same with fewer threads on
// a multiprocessor, since sums that spill to memory would cost more. Called by conjugate_line_search
// (line_search_cuda.cu).
#pragma once

#include "directions/line_search.cuh"

namespace fastsciml::directions::many {

inline constexpr unsigned kThreads = 256;
inline constexpr unsigned kResidentBlocks = 2;
inline constexpr int kMoreThan = 3;  // directions

template <int kCount>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    line_search_many_kernel(const __grid_constant__ multigrid::Level level, multigrid::ConstField z,
                            const __grid_constant__ Directions<kCount> directions, multigrid::ConstField r,
                            core::Memory<double> of_blocks) {  // [blocks, 2 + 2 kCount]
  leave_products(level, z, directions, r, of_blocks);
}

}  // namespace fastsciml::directions::many
