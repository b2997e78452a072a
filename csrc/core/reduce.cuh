// Loops and sums over all items of an array on CUDA. A sum's order depends on the number of items alone, not on the
// device: it is the same from run to run.
//
// A thread adds up what its items bring. A block adds up its threads: each warp by halves, then the warps one after
// another. The blocks' sums go through memory, 16 bytes each, to a second launch, of one block that does the same.
// Called by poisson/residual_norm.cuh, directions/line_search.cuh, directions/step.cuh, medium/region_means.cuh.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <algorithm>

#include "core/stream.h"
#include "core/tensor.h"

namespace fastsciml::core {

inline constexpr unsigned kWarpThreads = 32, kAllLanes = 0xffffffffu;
inline constexpr unsigned kSumThreads = 256;
// Enough for every multiprocessor to have several turns of blocks, few enough for one block to add up.
inline constexpr int64_t kMostBlocks = 4096;

// Blocks for so many items; of more than fit into kMostBlocks, each thread takes several.
inline unsigned blocks_for(int64_t items, unsigned threads) {
  return static_cast<unsigned>(std::clamp<int64_t>((items + threads - 1) / threads, 1, kMostBlocks));
}

// Calls body(item) for this thread's items, in order; those of a warp stand side by side.
template <class Body>
__device__ void each_item(int64_t items, Body body) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t item = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; item < items; item += step) body(item);
}

// Calls leave(s, sum) in thread s with the sum of values[s] over the block. Every thread must come.
template <unsigned kThreads, unsigned kSums, class Leave>
__device__ void sum_over_block(double (&values)[kSums], Leave leave) {
  static_assert(kThreads % kWarpThreads == 0 && kSums <= kThreads);
  constexpr unsigned kWarps = kThreads / kWarpThreads;
  const auto of_warps = shared_array<double, kSums * kWarps>();
  for (unsigned s = 0; s < kSums; ++s) {
    for (unsigned apart = kWarpThreads / 2; apart > 0; apart /= 2) {
      values[s] += __shfl_down_sync(kAllLanes, values[s], apart);
    }
    if (threadIdx.x % kWarpThreads == 0) of_warps[s * kWarps + threadIdx.x / kWarpThreads] = values[s];
  }
  __syncthreads();
  if (threadIdx.x >= kSums) return;
  double sum = 0;
  for (unsigned warp = 0; warp < kWarps; ++warp) sum += of_warps[threadIdx.x * kWarps + warp];
  leave(threadIdx.x, sum);
}

// Leaves this block's sums in of_blocks [blocks, kSums].
template <unsigned kThreads, unsigned kSums>
__device__ void leave_sums(double (&values)[kSums], Memory<double> of_blocks) {
  sum_over_block<kThreads>(values, [&](unsigned s, double sum) { of_blocks[int64_t{blockIdx.x} * kSums + s] = sum; });
}

// values[s] = this thread's share of the sum over `blocks` blocks of what they left.
template <unsigned kSums>
__device__ void take_sums(double (&values)[kSums], Memory<const double> of_blocks, int64_t blocks) {
  for (int64_t block = threadIdx.x; block < blocks; block += blockDim.x) {
    for (unsigned s = 0; s < kSums; ++s) values[s] += of_blocks[block * kSums + s];
  }
}

template <unsigned kSums>
__global__ void __launch_bounds__(kSumThreads)
    add_blocks_kernel(Memory<const double> of_blocks, int64_t blocks, Memory<double> sums) {
  double values[kSums] = {};
  take_sums(values, of_blocks, blocks);
  sum_over_block<kSumThreads>(values, [&](unsigned s, double sum) { sums[s] = sum; });
}

// What a kernel's blocks leave for its last argument, of_blocks, summed: float64 [kSums] on the device of `like`.
template <unsigned kSums, class Kernel, class... Arguments>
Tensor sum_of_blocks(const char* name, const Tensor& like, int64_t items, unsigned threads, Kernel kernel,
                     const Arguments&... arguments) {
  const unsigned blocks = blocks_for(items, threads);
  const Stream stream = current_stream(like);
  Tensor of_blocks = torch::stable::new_empty(like, {blocks, kSums}, ScalarType::Double);
  Tensor sums = torch::stable::new_empty(like, {kSums}, ScalarType::Double);
  launch(name, kernel, Shape{.blocks = blocks, .threads = threads}, stream, arguments...,
         mutable_memory<double>(of_blocks));
  launch(name, add_blocks_kernel<kSums>, Shape{.blocks = 1, .threads = kSumThreads}, stream, memory<double>(of_blocks),
         int64_t{blocks}, mutable_memory<double>(sums));
  return sums;
}

}  // namespace fastsciml::core
