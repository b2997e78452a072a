// Kernels that keep CUDA's rules, and kernels that break one each: the host runtime's own tests (test_host_rules.py).

#include "cuda_host/rules.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "core/launch.h"

namespace py = pybind11;

namespace fastsciml {
namespace {

constexpr unsigned kBlock = 64, kAll = 0xffffffffu;

__global__ void reverse_kernel(float* out) {  // [blocks, 64]
  float* tile = core::shared_array<float, kBlock>();
  tile[threadIdx.x] = static_cast<float>(threadIdx.x);
  __syncthreads();
  out[blockIdx.x * kBlock + threadIdx.x] = tile[kBlock - 1 - threadIdx.x];
}

// The sum over a block by shuffles, then by the first warp over the warps.
__global__ void sum_kernel(float* out) {  // [blocks, 64]
  float* warps = core::shared_array<float, kBlock / 32>();
  auto sum = static_cast<float>(threadIdx.x + 1);
  for (unsigned step = 16; step > 0; step /= 2) sum += __shfl_down_sync(kAll, sum, step);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x < 32) {
    float total = threadIdx.x < kBlock / 32 ? warps[threadIdx.x] : 0.0f;
    for (int step = 16; step > 0; step /= 2) total += __shfl_xor_sync(kAll, total, step);
    total = __shfl_sync(kAll, total, 0);
    out[blockIdx.x * kBlock + threadIdx.x] = total;
    out[blockIdx.x * kBlock + 32 + threadIdx.x] = total;
  }
}

// What barriers count and warps vote, and a scan.
__global__ void votes_kernel(float* out) {  // [blocks, 64]
  const int number = static_cast<int>(threadIdx.x), lane = number % 32;
  const int third = number % 3 == 0;
  float scan = 1.0f;
  for (unsigned step = 1; step < 32; step *= 2) {
    const float before = __shfl_up_sync(kAll, scan, step);
    if (lane >= static_cast<int>(step)) scan += before;
  }
  int answers = __syncthreads_count(third) == 22;
  answers += 2 * __syncthreads_or(number == 5);
  answers += 4 * __syncthreads_and(number < 64);
  answers += 8 * (__syncthreads_or(number > 64) == 0 && __syncthreads_and(number > 0) == 0);
  answers += 16 * (__ballot_sync(kAll, lane < 3) == 7u && __any_sync(kAll, lane == 9) && !__all_sync(kAll, lane == 9));
  // Half a warp by itself.
  if (lane < 16) answers += 32 * (__popc(__ballot_sync(0xffffu, lane % 2)) == 8);
  __syncwarp();
  atomicAdd(&out[blockIdx.x * kBlock + threadIdx.x], static_cast<float>(answers) + scan / 64.0f);
}

__global__ void race_kernel(float* out) {
  float* tile = core::shared_array<float, kBlock>();
  tile[threadIdx.x] = 0.0f;
  __syncthreads();
  tile[threadIdx.x] = static_cast<float>(threadIdx.x);
  // A barrier is missing.
  out[threadIdx.x] = tile[(threadIdx.x + 1) % kBlock];
}

__global__ void unwritten_kernel(float* out) {
  float* tile = core::shared_array<float, kBlock>();
  if (threadIdx.x != 7) tile[threadIdx.x] = 1.0f;
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x];
}

__global__ void two_barriers_kernel(float* out) {
  if (threadIdx.x < 16) {
    __syncthreads();  // here some,
  } else {
    __syncthreads();  // there the others
  }
  out[threadIdx.x] = 1.0f;
}

__global__ void early_return_kernel(float* out) {
  if (threadIdx.x == 40) return;
  __syncthreads();
  out[threadIdx.x] = 1.0f;
}

__global__ void absent_lanes_kernel(float* out) {
  if (threadIdx.x % 32 < 16) out[threadIdx.x] = __shfl_xor_sync(kAll, 1.0f, 1);
}

__global__ void outside_the_mask_kernel(float* out) {
  if (threadIdx.x % 32 < 16) out[threadIdx.x] = __shfl_sync(0xffffu, 1.0f, 20);
}

__global__ void not_in_the_mask_kernel(float* out) { out[threadIdx.x] = __shfl_sync(0xffffu, 1.0f, 2); }

__global__ void too_much_kernel(float* out) {
  float* tile = core::shared_array<float, 13000>();
  tile[threadIdx.x] = 1.0f;
  out[threadIdx.x] = tile[threadIdx.x];
}

template <class Kernel>
void bind(py::module_& module, const char* name, Kernel kernel) {
  module.def(
      name,
      [name, kernel](py::array_t<float>& out, uint64_t order) {
        core::host::thread_order = order;
        const auto blocks = static_cast<unsigned>(out.size()) / kBlock;
        core::launch(name, kernel, blocks, kBlock, {}, out.mutable_data());
      },
      py::arg("out").noconvert(), py::arg("order") = 0);
}

}  // namespace

void bind_rules(py::module_& module) {
  bind(module, "reverse", reverse_kernel);
  bind(module, "sum", sum_kernel);
  bind(module, "votes", votes_kernel);
  bind(module, "race", race_kernel);
  bind(module, "unwritten", unwritten_kernel);
  bind(module, "two_barriers", two_barriers_kernel);
  bind(module, "early_return", early_return_kernel);
  bind(module, "absent_lanes", absent_lanes_kernel);
  bind(module, "outside_the_mask", outside_the_mask_kernel);
  bind(module, "not_in_the_mask", not_in_the_mask_kernel);
  bind(module, "too_much", too_much_kernel);
}

}  // namespace fastsciml
