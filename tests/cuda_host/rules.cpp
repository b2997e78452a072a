// Kernels that keep CUDA's rules for threads and shared memory, and kernels that break one each: the host runtime's own
// tests (test_host_rules.py). A fault names lines that say so, and no others.

#include "cuda_host/rules.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "core/launch.h"

namespace py = pybind11;

namespace fastsciml {
namespace {

constexpr unsigned kBlock = 64, kAll = 0xffffffffu;

__global__ void reverse_kernel(core::Memory<float> out) {  // [blocks, 64]
  const core::Shared<float> tile = core::shared_array<float, kBlock>();
  tile[threadIdx.x] = static_cast<float>(threadIdx.x);
  __syncthreads();
  out[blockIdx.x * kBlock + threadIdx.x] = tile[kBlock - 1 - threadIdx.x];
}

// The sum over a block by shuffles, then by the first warp over the warps.
__global__ void sum_kernel(core::Memory<float> out) {  // [blocks, 64]
  const core::Shared<float> warps = core::shared_array<float, kBlock / 32>();
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
__global__ void votes_kernel(core::Memory<float> out) {  // [blocks, 64]
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
  atomicAdd(out + blockIdx.x * kBlock + threadIdx.x, static_cast<float>(answers) + scan / 64.0f);
}

// Entries take part in expressions as if they were floats.
__global__ void expressions_kernel(core::Memory<float> out) {  // [blocks, 64]
  const auto tile = core::shared_array<float, kBlock>(), other = core::shared_array<float, kBlock, 1>();
  const core::Shared<const float> seen = tile + 1;
  const unsigned t = threadIdx.x, next = (t + 1) % kBlock, i = blockIdx.x * kBlock + t;
  tile[t] = static_cast<float>(t);
  tile[t] += 1;
  other[t] = tile[t];
  other[t] *= 2;
  __syncthreads();
  const float here = other[t];
  out[i] = tile[next] - here;
  out[i] += t + 1 < kBlock ? seen[t] : other[0] / 2;
}

// Of two arrays in dynamic shared memory.
__global__ void __launch_bounds__(kBlock) dynamic_kernel(core::Memory<float> __restrict__ out) {  // [blocks, 64]
  const auto tile = core::dynamic_shared<float>(2 * kBlock);
  const auto second = tile + kBlock;
  tile[threadIdx.x] = 1.0f;
  second[threadIdx.x] = static_cast<float>(threadIdx.x);
  __syncthreads();
  float sum = 0.0f;
#pragma unroll
  for (unsigned i = 0; i < kBlock; ++i) sum += tile[i] * second[i];
  out[blockIdx.x * kBlock + threadIdx.x] = sum;
}

__global__ void dynamic_too_long_kernel(core::Memory<float> out) {
  core::dynamic_shared<float>(2 * kBlock)[threadIdx.x] = 1.0f;
  out[threadIdx.x] = 1.0f;
}

__global__ void unwritten_kernel(core::Memory<float> out) {
  const core::Shared<float> tile = core::shared_array<float, kBlock>();
  // What the block before has written does not count.
  if (blockIdx.x == 0 || threadIdx.x != 7) tile[threadIdx.x] = 1.0f;
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x];  // fault
}

__global__ void outside_shared_kernel(core::Memory<float> out) {
  const core::Shared<float> tile = core::shared_array<float, kBlock>();
  tile[threadIdx.x + 1] = 1.0f;  // fault
  out[threadIdx.x] = 1.0f;
}

__device__ core::Shared<float> zeros() {
  const core::Shared<float> tile = core::shared_array<float, kBlock>();
  tile[threadIdx.x] = 0.0f;
  __syncthreads();
  return tile;
}

__global__ void read_after_write_kernel(core::Memory<float> out) {
  const core::Shared<float> tile = zeros();
  tile[threadIdx.x] = static_cast<float>(threadIdx.x);  // fault
  // A barrier is missing.
  out[threadIdx.x] = tile[(threadIdx.x + 1) % kBlock];  // fault
}

__global__ void write_after_read_kernel(core::Memory<float> out) {
  const core::Shared<float> tile = zeros();
  out[threadIdx.x] = tile[0];             // fault
  if (threadIdx.x == 40) tile[0] = 1.0f;  // fault
}

__global__ void two_writers_kernel(core::Memory<float> out) {
  const core::Shared<float> tile = core::shared_array<float, kBlock>();
  tile[threadIdx.x % 63] = 1.0f;  // fault
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x % 63];
}

// Lanes pass values on in shared memory, in order or not.
template <bool kInOrder>
__global__ void neighbour_kernel(core::Memory<float> out) {
  const core::Shared<float> tile = zeros();
  tile[threadIdx.x] = static_cast<float>(threadIdx.x);  // fault
  if constexpr (kInOrder) __syncwarp();
  out[threadIdx.x] = tile[threadIdx.x ^ 1u];  // fault
}

// The first lanes are in order among themselves, not with the others.
template <unsigned kMask>
__global__ void some_lanes_kernel(core::Memory<float> out) {
  const core::Shared<float> tile = zeros();
  const unsigned lane = threadIdx.x % 32;
  tile[threadIdx.x] = static_cast<float>(threadIdx.x);  // fault
  if (kMask >> lane & 1) __syncwarp(kMask);
  if (lane < 4) out[threadIdx.x] = tile[threadIdx.x ^ 2u];  // fault
}

// Atomic accesses may meet each other, but not the one that sets where the sum begins.
template <bool kInOrder>
__global__ void count_kernel(core::Memory<float> out) {
  const core::Shared<float> sum = zeros();
  if (threadIdx.x == 0) sum[0] = 1.0f;  // fault
  if constexpr (kInOrder) __syncthreads();
  atomicAdd(sum, static_cast<float>(threadIdx.x));  // fault
  __syncthreads();
  out[threadIdx.x] = sum[0];
}

__global__ void counts_read_early_kernel(core::Memory<float> out) {
  const core::Shared<float> sum = zeros();
  atomicAdd(sum, 1.0f);       // fault
  out[threadIdx.x] = sum[0];  // fault
}

__global__ void two_barriers_kernel(core::Memory<float> out) {
  if (threadIdx.x < 16) {
    __syncthreads();  // fault: here some,
  } else {
    __syncthreads();  // fault: there the others
  }
  out[threadIdx.x] = 1.0f;
}

__global__ void early_return_kernel(core::Memory<float> out) {
  if (threadIdx.x == 40) return;
  __syncthreads();  // fault
  out[threadIdx.x] = 1.0f;
}

__global__ void absent_lanes_kernel(core::Memory<float> out) {
  if (threadIdx.x % 32 < 16) out[threadIdx.x] = __shfl_xor_sync(kAll, 1.0f, 1);  // fault
}

__global__ void outside_the_mask_kernel(core::Memory<float> out) {
  if (threadIdx.x % 32 < 16) out[threadIdx.x] = __shfl_sync(0xffffu, 1.0f, 20);  // fault
}

__global__ void not_in_the_mask_kernel(core::Memory<float> out) {
  out[threadIdx.x] = __shfl_sync(0xffffu, 1.0f, 2);  // fault
}

__global__ void too_much_kernel(core::Memory<float> out) {
  const core::Shared<float> tile = core::shared_array<float, 13000>();
  tile[threadIdx.x] = 1.0f;
  out[threadIdx.x] = tile[threadIdx.x];
}

template <class Kernel>
void bind(py::module_& module, const char* name, Kernel kernel) {
  module.def(
      name,
      [name, kernel](py::array_t<float>& out, size_t dynamic_shared) {
        const core::Shape shape{static_cast<unsigned>(out.size()) / kBlock, kBlock, dynamic_shared};
        core::launch(name, kernel, shape, {}, core::memory(out.mutable_data(), out.size()));
      },
      py::arg("out").noconvert(), py::arg("dynamic_shared") = 0);
}

}  // namespace

void bind_rules(py::module_& module) {
  bind(module, "reverse", reverse_kernel);
  bind(module, "sum", sum_kernel);
  bind(module, "votes", votes_kernel);
  bind(module, "expressions", expressions_kernel);
  bind(module, "dynamic", dynamic_kernel);
  bind(module, "neighbour", neighbour_kernel<true>);
  bind(module, "some_lanes", some_lanes_kernel<0xfu>);
  bind(module, "count", count_kernel<true>);

  bind(module, "two_barriers", two_barriers_kernel);
  bind(module, "early_return", early_return_kernel);
  bind(module, "absent_lanes", absent_lanes_kernel);
  bind(module, "outside_the_mask", outside_the_mask_kernel);
  bind(module, "not_in_the_mask", not_in_the_mask_kernel);
  bind(module, "too_much", too_much_kernel);
  bind(module, "dynamic_too_long", dynamic_too_long_kernel);
  bind(module, "unwritten", unwritten_kernel);
  bind(module, "outside_shared", outside_shared_kernel);
  bind(module, "read_after_write", read_after_write_kernel);
  bind(module, "write_after_read", write_after_read_kernel);
  bind(module, "two_writers", two_writers_kernel);
  bind(module, "neighbour_out_of_order", neighbour_kernel<false>);
  bind(module, "lanes_left_out", some_lanes_kernel<0x3u>);
  bind(module, "count_out_of_order", count_kernel<false>);
  bind(module, "counts_read_early", counts_read_early_kernel);
}

}  // namespace fastsciml
