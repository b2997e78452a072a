// Kernels on global memory for the host runtime's own tests: strays, entries four at a time and in half precision,
// blocks in each other's way, and what is counted (test_host_rules.py, test_host_traffic.py).

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "core/launch.h"
#include "cuda_host/rules.h"
#if __has_include(<cuda_fp16.h>)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

namespace py = pybind11;

namespace fastsciml {
namespace {

using Array = py::array_t<float>;
constexpr unsigned kBlock = 64;

core::Memory<float> memory(Array& array) { return core::memory(array.mutable_data(), array.size()); }

__global__ void write_outside_kernel(core::Memory<float> out) {
  out[threadIdx.x + 1] = 1.0f;  // fault
}
__global__ void read_outside_kernel(core::Memory<float> out) {
  const core::Memory<const float> before = out + -1;
  out[threadIdx.x] = before[threadIdx.x];  // fault
}

// The second half becomes the first, from `offset` on.
template <int kOffset>
__global__ void take_four_kernel(core::Memory<float> out) {  // [64]
  if (threadIdx.x >= 8) return;
  const float4 four = core::load4(out, 4 * threadIdx.x + kOffset);  // fault
  core::store4(out, 32 + 4 * threadIdx.x, four);
}

// All blocks write to the same entries.
__global__ void meeting_blocks_kernel(core::Memory<float> out) { out[threadIdx.x] = static_cast<float>(blockIdx.x); }

// There and back.
template <class Small>
__global__ void round_trip_kernel(core::Memory<float> out) {  // [64]
  const auto tile = core::shared_array<Small, kBlock>();
  tile[threadIdx.x] = static_cast<Small>(static_cast<float>(out[threadIdx.x]));
  const Small small = tile[threadIdx.x];
  out[threadIdx.x] = static_cast<float>(small);
}

struct Steps {
  int64_t from, step, times;
};

// Every thread sums `times` entries, `step` apart from those of the next one.
__global__ void gather_kernel(core::Memory<const float> in, core::Memory<float> out,  // [blocks, 64]
                              const __grid_constant__ Steps steps) {
  float sum = 0.0f;
  for (int64_t k = 0; k < steps.times; ++k) sum += in[steps.from + (k * kBlock + threadIdx.x) * steps.step];
  out[blockIdx.x * kBlock + threadIdx.x] = sum;
}

void gather(Array& in, Array& out, int64_t from, int64_t step, int64_t times) {
  const core::Shape shape{static_cast<unsigned>(out.size()) / kBlock, kBlock};
  core::launch("gather", gather_kernel, shape, {}, core::Memory<const float>(memory(in)), memory(out),
               Steps{from, step, times});
}

template <class Kernel>
void bind(py::module_& module, const char* name, Kernel kernel) {
  module.def(
      name,
      [name, kernel](Array& out, unsigned blocks) { core::launch(name, kernel, {blocks, kBlock}, {}, memory(out)); },
      py::arg("out").noconvert(), py::arg("blocks") = 1);
}

}  // namespace

void bind_arrays(py::module_& module) {
  bind(module, "write_outside", write_outside_kernel);
  bind(module, "read_outside", read_outside_kernel);
  bind(module, "take_four", take_four_kernel<0>);
  bind(module, "take_four_misaligned", take_four_kernel<1>);
  bind(module, "meeting_blocks", meeting_blocks_kernel);
#if __has_include(<cuda_fp16.h>)
  bind(module, "float16", round_trip_kernel<__half>);
  bind(module, "bfloat16", round_trip_kernel<__nv_bfloat16>);
#endif
  module.def("gather", &gather, py::arg("values").noconvert(), py::arg("out").noconvert(), py::arg("start") = 0,
             py::arg("step") = 1, py::arg("times") = 1);
}

}  // namespace fastsciml
