// Takes each region's mean away, on CUDA, in three launches: sums, means, differences.
//   means_r = sum of the values in region r / sizes_r;   values -= means[region], where there is a region
//   values float32 or float64 [cells], region int32 [cells], sizes float64 [regions] -> means float64 [regions]
//
// A block sums some regions at a time, kTogether, over its part of the cells, so that no thread waits for another's sum
// and the order is always the same. All cells are read once for each such group of regions: one region moves 2 * 4
// bytes of region and 3 values per cell, R regions (R + 7) / 8 - 1 times 4 bytes and up to a value more. That is right
// for a few regions, takes milliseconds for a thousand, and is no way to go for a million.
// Called by subtract_region_means (region_means_cuda.cu).
#pragma once

#include "core/reduce.cuh"

namespace fastsciml::medium {

inline constexpr unsigned kThreads = 256;
inline constexpr unsigned kResidentBlocks = 4;

// of_blocks [groups, parts, kTogether]: group g has the regions from g kTogether on.
template <unsigned kTogether, class T>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    region_sums_kernel(core::Memory<const T> values, core::Memory<const int32_t> region, int64_t cells, unsigned parts,
                       core::Memory<double> of_blocks) {
  double sums[kTogether] = {};
  const unsigned first = blockIdx.x / parts * kTogether, part = blockIdx.x % parts;
  for (int64_t cell = int64_t{part} * kThreads + threadIdx.x; cell < cells; cell += int64_t{parts} * kThreads) {
    // Outside, -1 becomes the largest number.
    const unsigned which = static_cast<unsigned>(region[cell]) - first;
    if (which >= kTogether) continue;
    const double value = static_cast<double>(values[cell]);
    for (unsigned s = 0; s < kTogether; ++s) sums[s] += which == s ? value : 0.0;
  }
  core::leave_sums<kThreads>(sums, of_blocks);
}

// A block for each group.
template <unsigned kTogether>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    region_means_kernel(core::Memory<const double> of_blocks, unsigned parts, core::Memory<const double> sizes,
                        int64_t regions, core::Memory<double> means) {
  double sums[kTogether] = {};
  core::take_sums(sums, of_blocks + int64_t{blockIdx.x} * parts * kTogether, parts);
  core::sum_over_block<kThreads>(sums, [&](unsigned s, double sum) {
    const int64_t r = int64_t{blockIdx.x} * kTogether + s;
    if (r < regions) means[r] = sum / sizes[r];
  });
}

template <class T>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    subtract_means_kernel(core::Memory<T> values, core::Memory<const int32_t> region, int64_t cells,
                          core::Memory<const double> means, int64_t regions) {
  core::each_item(cells, [&](int64_t cell) {
    const int32_t r = region[cell];
    if (r >= 0 && r < regions) values[cell] -= static_cast<T>(means[r]);
  });
}

}  // namespace fastsciml::medium
