// Takes each region's mean away:
//   means_r = sum of the values in region r / sizes_r;   values -= means[region], where there is a region
//   values float32 or float64 [cells], region int32 [cells], -1 outside, sizes float64 [regions] -> means float64
//   moves 2 * 4 bytes of region and 3 values per cell
// Sums are made over blocks that depend on the shapes alone, so that any number of threads gives the same.
// Caller: ops/free_regions.py.

#include <torch/csrc/stable/ops.h>

#include <algorithm>

#include "core/parallel.h"
#include "medium/operators.h"
#include "medium/region_means.h"

namespace fastsciml::medium {
namespace {

constexpr int64_t kBlock = 1 << 16;        // cells that one partial sum is made of
constexpr int64_t kPartialSums = 1 << 20;  // at most so many, all regions together: 8 MiB
constexpr int64_t kLanes = 16;

template <class T>
double sum_of_one(const T* values, const int32_t* region, int64_t n) {
  double lanes[kLanes] = {};
  int64_t m = 0;
  for (; m + kLanes <= n; m += kLanes) {
#pragma omp simd
    for (int64_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] += region[m + lane] >= 0 ? static_cast<double>(values[m + lane]) : 0.0;
  }
  double sum = 0.0;
  for (; m < n; ++m) sum += region[m] >= 0 ? static_cast<double>(values[m]) : 0.0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

template <class T>
void add_to_sums(double* sums, const T* values, const int32_t* region, int64_t n) {
  for (int64_t m = 0; m < n; ++m) {
    if (region[m] >= 0) sums[region[m]] += static_cast<double>(values[m]);
  }
}

template <class T>
void subtract(T* values, const int32_t* region, const double* means, int64_t regions, int64_t n) {
  if (regions == 1) {
    const T mean = static_cast<T>(means[0]);
#pragma omp simd
    for (int64_t m = 0; m < n; ++m) values[m] -= region[m] >= 0 ? mean : T{0};
    return;
  }
  for (int64_t m = 0; m < n; ++m) {
    if (region[m] >= 0) values[m] -= static_cast<T>(means[region[m]]);
  }
}

template <class T>
void project(T* values, const int32_t* region, double* means, const double* sizes, int64_t regions, int64_t cells) {
  const int64_t blocks = std::clamp<int64_t>(kPartialSums / regions, 1, (cells + kBlock - 1) / kBlock);
  const auto begin = [&](int64_t block) { return cells * block / blocks; };
  std::vector<double> sums(static_cast<size_t>(blocks * regions));
  core::parallel_range(blocks, cells / blocks, [&](int64_t from, int64_t to) {
    for (int64_t block = from; block < to; ++block) {
      const int64_t at = begin(block), n = begin(block + 1) - at;
      double* block_sums = sums.data() + block * regions;
      if (regions == 1)
        *block_sums = sum_of_one(values + at, region + at, n);
      else
        add_to_sums(block_sums, values + at, region + at, n);
    }
  });
  for (int64_t r = 0; r < regions; ++r) {
    double sum = 0.0;
    for (int64_t block = 0; block < blocks; ++block) sum += sums[static_cast<size_t>(block * regions + r)];
    means[r] = sum / sizes[r];
  }
  core::parallel_range(
      cells, 1, [&](int64_t from, int64_t to) { subtract(values + from, region + from, means, regions, to - from); });
}

void check_regions(const int32_t* region, int64_t cells, int64_t regions) {
  int32_t largest = -1;
#pragma omp simd reduction(max : largest)
  for (int64_t m = 0; m < cells; ++m) largest = std::max(largest, region[m]);
  core::check(largest < regions, "subtract_region_means", "region", "be below the number of sizes");
}

}  // namespace

Tensor subtract_region_means(Tensor values, Tensor region, Tensor sizes) {
  check_region_means(values, region, sizes);
  const int64_t cells = values.numel(), regions = sizes.numel();
  Tensor means = torch::stable::new_empty(sizes, {regions}, core::ScalarType::Double);
  const auto* regions_of = core::data<int32_t>(region);
  check_regions(regions_of, cells, regions);
  auto* out = core::mutable_data<double>(means);
  const auto* counts = core::data<double>(sizes);
  if (values.scalar_type() == core::ScalarType::Float)
    project(core::mutable_data<float>(values), regions_of, out, counts, regions, cells);
  else
    project(core::mutable_data<double>(values), regions_of, out, counts, regions, cells);
  return means;
}

}  // namespace fastsciml::medium
