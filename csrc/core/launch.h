// The one way to start a CUDA kernel. Under nvcc it is the real launch, checked, with the kernel's name in the error;
// under g++ the host runtime of tests/cuda_host runs the same source. Shared memory comes from shared_array, which both
// have.
#pragma once

#ifdef __CUDACC__

#include <torch/headeronly/util/Exception.h>

#include <utility>

namespace fastsciml::core {

using Stream = cudaStream_t;

template <class Kernel, class... Arguments>
void launch(const char* name, Kernel kernel, dim3 blocks, dim3 threads, Stream stream, Arguments... arguments) {
  kernel<<<blocks, threads, 0, stream>>>(arguments...);
  const cudaError_t error = cudaGetLastError();
  STD_TORCH_CHECK(error == cudaSuccess, name, ": the kernel did not start: ", cudaGetErrorString(error));
}

// The block's array of so many entries in shared memory, one for each type, length and tag.
template <class T, size_t kCount, int kTag = 0>
__device__ T* shared_array() {
  __shared__ T array[kCount];
  return array;
}

}  // namespace fastsciml::core

#else
#include "cuda_host/launch.h"
#endif
