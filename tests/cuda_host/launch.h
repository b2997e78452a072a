// The host runtime for CUDA kernels: what a .cuh kernel needs of CUDA, for a plain C++ compiler. csrc/core/launch.h
// includes it where nvcc does not compile.
//
// A launch runs its blocks one after another and the threads of a block one after another, each to its end. That is the
// whole truth for kernels whose threads do not wait for each other. Barriers, shuffles and shared memory need threads
// that can pause (fibers, switched in run_block): until then __syncthreads is a compile error that says so, and
// __shared__, __shfl_* and the like are not declared.
//
// Out-of-bounds accesses are the tests' to notice: they run kernels on arrays between guard regions (tests/cuda).
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

struct uint3 {
  unsigned x, y, z;
};

// Per host thread, so that two launches may run side by side.
inline thread_local uint3 threadIdx, blockIdx;
inline thread_local dim3 blockDim, gridDim;

template <bool barriers = false>
void __syncthreads() {
  static_assert(barriers, "the host runtime runs a block's threads one after another: it has no barriers yet");
}

namespace fastsciml::core {

// A launch has no stream here: it is over when it returns.
struct Stream {};

namespace host {

// CUDA's limits on every device from compute capability 5.0 on; a launch that breaks them does not start there either.
inline bool launchable(dim3 blocks, dim3 threads) {
  const uint64_t per_block = uint64_t{threads.x} * threads.y * threads.z;
  return blocks.x >= 1 && blocks.y >= 1 && blocks.z >= 1 && blocks.x <= 0x7fffffffu && blocks.y <= 0xffffu &&
         blocks.z <= 0xffffu && per_block >= 1 && per_block <= 1024 && threads.z <= 64;
}

template <class Visit>
void for_each_index(dim3 extent, Visit visit) {
  for (unsigned z = 0; z < extent.z; ++z)
    for (unsigned y = 0; y < extent.y; ++y)
      for (unsigned x = 0; x < extent.x; ++x) visit(uint3{x, y, z});
}

template <class Thread>
void run_block(dim3 threads, Thread thread) {
  for_each_index(threads, [&](uint3 index) {
    threadIdx = index;
    thread();
  });
}

}  // namespace host

template <class Kernel, class... Arguments>
void launch(const char* name, Kernel kernel, dim3 blocks, dim3 threads, Stream, Arguments... arguments) {
  static_assert((std::is_trivially_copyable_v<Arguments> && ...), "kernel arguments are copied to the device as bytes");
  if (!host::launchable(blocks, threads))
    throw std::runtime_error(std::string(name) + ": the kernel did not start: invalid configuration argument");
  gridDim = blocks;
  blockDim = threads;
  host::for_each_index(blocks, [&](uint3 index) {
    blockIdx = index;
    host::run_block(threads, [&] { kernel(arguments...); });
  });
}

}  // namespace fastsciml::core
