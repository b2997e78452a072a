// subtract_region_means for CUDA tensors: checks, stream, launches. The kernels are in region_means.cuh.

#include "core/stream.h"
#include "medium/operators_cuda.h"
#include "medium/region_means.cuh"
#include "medium/region_means.h"

namespace fastsciml::medium {
namespace {

template <unsigned kTogether, class T>
Tensor subtract_means(const Tensor& values, const Tensor& region, const Tensor& sizes) {
  constexpr const char* op = "subtract_region_means";
  const core::Stream stream = core::current_stream(values);
  const int64_t cells = values.numel(), regions = sizes.numel();
  const unsigned blocks = core::blocks_for(cells, kThreads);
  const auto groups = static_cast<unsigned>((regions + kTogether - 1) / kTogether);
  const unsigned parts = std::clamp(static_cast<unsigned>(core::kMostBlocks) / groups, 1u, blocks);
  Tensor of_blocks = torch::stable::new_empty(sizes, {groups, parts, kTogether}, core::ScalarType::Double);
  Tensor means = torch::stable::new_empty(sizes, {regions}, core::ScalarType::Double);
  core::launch(op, region_sums_kernel<kTogether, T>, core::Shape{.blocks = groups * parts, .threads = kThreads}, stream,
               core::memory<T>(values), core::memory<int32_t>(region), cells, parts,
               core::mutable_memory<double>(of_blocks));
  core::launch(op, region_means_kernel<kTogether>, core::Shape{.blocks = groups, .threads = kThreads}, stream,
               core::memory<double>(of_blocks), parts, core::memory<double>(sizes), regions,
               core::mutable_memory<double>(means));
  core::launch(op, subtract_means_kernel<T>, core::Shape{.blocks = blocks, .threads = kThreads}, stream,
               core::mutable_memory<T>(values), core::memory<int32_t>(region), cells, core::memory<double>(means),
               regions);
  return means;
}

template <class T>
Tensor subtract_means(const Tensor& values, const Tensor& region, const Tensor& sizes) {
  return sizes.numel() == 1 ? subtract_means<1, T>(values, region, sizes) : subtract_means<8, T>(values, region, sizes);
}

}  // namespace

Tensor subtract_region_means_cuda(Tensor values, Tensor region, Tensor sizes) {
  const core::OnDeviceOf guard(values);
  check_region_means(values, region, sizes);
  return values.scalar_type() == core::ScalarType::Double ? subtract_means<double>(values, region, sizes)
                                                          : subtract_means<float>(values, region, sizes);
}

}  // namespace fastsciml::medium
