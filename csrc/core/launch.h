// The one way to start a CUDA kernel. Under nvcc it is the real launch, checked, with the kernel's name in the error;
// under g++ the host runtime of tests/cuda_host runs the same source. Shared memory comes from shared_array and
// dynamic_shared, which both have.
#pragma once

#ifdef __CUDACC__

#include <torch/headeronly/util/Exception.h>

#include <cstddef>
#include <cstdint>

#include "core/memory.h"

namespace fastsciml::core {

using Stream = cudaStream_t;

struct Shape {
  dim3 blocks;
  dim3 threads;
  size_t dynamic_shared = 0;  // bytes: 163 KiB at most where every target shall run it, 99 KiB on a consumer device
};

inline void check_started(const char* name, cudaError_t error) {
  STD_TORCH_CHECK(error != cudaErrorNoKernelImageForDevice, name,
                  ": this device's compute capability has no code in this build of fastsciml (sm_80, sm_90, sm_100)");
  STD_TORCH_CHECK(error == cudaSuccess, name, ": the kernel did not start: ", cudaGetErrorString(error));
}

template <class Kernel, class... Arguments>
void launch(const char* name, Kernel kernel, const Shape& shape, Stream stream, Arguments... arguments) {
  constexpr size_t granted_unasked = 48 << 10;
  if (shape.dynamic_shared > granted_unasked) {
    check_started(name, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                             static_cast<int>(shape.dynamic_shared)));
  }
  kernel<<<shape.blocks, shape.threads, shape.dynamic_shared, stream>>>(arguments...);
  check_started(name, cudaGetLastError());
}

// Of the current device.
inline int multiprocessors() {
  int device = 0, count = 0;
  check_started("multiprocessors", cudaGetDevice(&device));
  check_started("multiprocessors", cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  return count;
}

// The block's array of so many entries in shared memory, one for each type, length and tag.
template <class T, size_t kCount, int kTag = 0>
__device__ Shared<T> shared_array() {
  __shared__ T array[kCount];
  return array;
}

// The first entries of what the launch's shape gives beyond shared_array.
template <class T>
__device__ Shared<T> dynamic_shared([[maybe_unused]] int64_t count) {
  extern __shared__ __align__(16) unsigned char fastsciml_dynamic_shared[];
  return reinterpret_cast<T*>(fastsciml_dynamic_shared);
}

}  // namespace fastsciml::core

#else
#include "cuda_host/launch.h"
#endif
