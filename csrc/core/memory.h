// Arrays in memory as the kernels see them: plain pointers, but for the host runtime of CUDA kernels (tests/cuda_host),
// which knows where each array ends, who has written what, and counts.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define FASTSCIML_HOST_DEVICE __host__ __device__
#else
#define FASTSCIML_HOST_DEVICE
#endif

#ifdef FASTSCIML_CUDA_HOST
#include "cuda_host/memory.h"
#else

namespace fastsciml::core {

template <class T>
using Memory = T*;
// A block's, from shared_array or dynamic_shared (core/launch.h).
template <class T>
using Shared = T*;

// The array of so many entries at `first`.
template <class T>
FASTSCIML_HOST_DEVICE Memory<T> memory(T* first, [[maybe_unused]] int64_t count) {
  return first;
}

#ifdef __CUDACC__
// Four entries in one access. The address must be a multiple of 16 bytes.
__device__ inline float4 load4(Memory<const float> from, int64_t at) {
  return *reinterpret_cast<const float4*>(from + at);
}
__device__ inline void store4(Memory<float> to, int64_t at, const float4& values) {
  *reinterpret_cast<float4*>(to + at) = values;
}
// Two, at a multiple of 8.
__device__ inline float2 load2(Memory<const float> from, int64_t at) {
  return *reinterpret_cast<const float2*>(from + at);
}
__device__ inline void store2(Memory<float> to, int64_t at, const float2& values) {
  *reinterpret_cast<float2*>(to + at) = values;
}
#endif

}  // namespace fastsciml::core

#endif
