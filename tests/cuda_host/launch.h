// The host runtime for CUDA kernels: what a .cuh kernel needs of CUDA, for a plain C++ compiler. csrc/core/launch.h
// includes it where nvcc does not compile.
//
// A launch runs its blocks one after another; a block's threads are fibers (block.h), so that barriers, shuffles, votes
// and shared memory work as on a device, and what breaks their rules is a Fault with lines and threads in it. Warps do
// not run in lockstep: what relies on that without __syncwarp is as wrong here as on current devices.
//
// Out-of-bounds accesses are the tests' to notice: they run kernels on arrays between guard regions (tests/cuda).
#pragma once

#include <bit>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "cuda_host/block.h"

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

inline constexpr int warpSize = 32;

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

// One thread's value as its warp passes it on.
template <class T>
uint64_t as_word(T value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  uint64_t word = 0;
  std::memcpy(&word, &value, sizeof(T));
  return word;
}

// What the lane that pick(own lane) names has brought.
template <class T, class Pick>
T from_lane(unsigned mask, T value, const Where& where, Pick pick) {
  Block& block = Block::now();
  const unsigned lane = pick(block.lane());
  const Block::Lanes lanes = block.exchange(mask, as_word(value), where);
  if (!(mask >> lane & 1)) {
    throw Fault("a shuffle of " + line_of(where) + " reads lane " + std::to_string(lane) + ", which takes no part");
  }
  T result;
  std::memcpy(&result, &lanes[lane], sizeof(T));
  return result;
}

// For which lanes of the mask the predicate holds.
inline unsigned ballot(unsigned mask, bool predicate, const Where& where) {
  const Block::Lanes lanes = Block::now().exchange(mask, predicate, where);
  unsigned votes = 0;
  for (unsigned lane = 0; lane < kWarp; ++lane) votes |= static_cast<unsigned>(mask >> lane & lanes[lane] & 1) << lane;
  return votes;
}

}  // namespace host

template <class Kernel, class... Arguments>
void launch(const char* name, Kernel kernel, dim3 blocks, dim3 threads, Stream, Arguments... arguments) {
  static_assert((std::is_trivially_copyable_v<Arguments> && ...), "kernel arguments are copied to the device as bytes");
  if (!host::launchable(blocks, threads))
    throw std::runtime_error(std::string(name) + ": the kernel did not start: invalid configuration argument");
  gridDim = blocks;
  blockDim = threads;
  const auto enter = [&](unsigned t) {
    threadIdx = {t % threads.x, t / threads.x % threads.y, t / (threads.x * threads.y)};
  };
  host::Block block(threads.x * threads.y * threads.z, enter, [&] { kernel(arguments...); });
  host::for_each_index(blocks, [&](uint3 index) {
    blockIdx = index;
    try {
      block.run();
    } catch (const host::Fault& fault) {
      throw host::Fault(std::string(name) + ", block (" + std::to_string(index.x) + ", " + std::to_string(index.y) +
                        ", " + std::to_string(index.z) + "): " + fault.what());
    }
  });
}

// The block's array of so many entries, one for each type, length and tag.
template <class T, size_t kCount, int kTag = 0>
T* shared_array() {
  static const char key = 0;
  return static_cast<T*>(host::Block::now().shared(&key, sizeof(T) * kCount));
}

}  // namespace fastsciml::core

// CUDA's own words. Lines are those of the caller.

using FastscimlWhere = fastsciml::core::host::Where;

inline void __syncthreads(const FastscimlWhere& where = FastscimlWhere::current()) {
  fastsciml::core::host::Block::now().barrier(false, where);
}
inline int __syncthreads_count(int predicate, const FastscimlWhere& where = FastscimlWhere::current()) {
  return static_cast<int>(fastsciml::core::host::Block::now().barrier(predicate != 0, where));
}
inline int __syncthreads_or(int predicate, const FastscimlWhere& where = FastscimlWhere::current()) {
  return fastsciml::core::host::Block::now().barrier(predicate != 0, where) > 0;
}
inline int __syncthreads_and(int predicate, const FastscimlWhere& where = FastscimlWhere::current()) {
  return fastsciml::core::host::Block::now().barrier(predicate == 0, where) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, const FastscimlWhere& where = FastscimlWhere::current()) {
  fastsciml::core::host::Block::now().exchange(mask, 0, where);
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              const FastscimlWhere& where = FastscimlWhere::current()) {
  const auto wide = static_cast<unsigned>(width);
  return fastsciml::core::host::from_lane(mask, value, where, [=](unsigned lane) {
    return (lane & ~(wide - 1)) | (static_cast<unsigned>(source) & (wide - 1));
  });
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 const FastscimlWhere& where = FastscimlWhere::current()) {
  const unsigned wide = static_cast<unsigned>(width);
  return fastsciml::core::host::from_lane(mask, value, where,
                                          [=](unsigned lane) { return lane % wide >= delta ? lane - delta : lane; });
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   const FastscimlWhere& where = FastscimlWhere::current()) {
  const unsigned wide = static_cast<unsigned>(width);
  return fastsciml::core::host::from_lane(
      mask, value, where, [=](unsigned lane) { return lane % wide + delta < wide ? lane + delta : lane; });
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  const FastscimlWhere& where = FastscimlWhere::current()) {
  const unsigned wide = static_cast<unsigned>(width);
  return fastsciml::core::host::from_lane(mask, value, where, [=](unsigned lane) {
    const unsigned other = lane ^ static_cast<unsigned>(bits);
    return other / wide <= lane / wide ? other : lane;
  });
}
inline unsigned __ballot_sync(unsigned mask, int predicate, const FastscimlWhere& where = FastscimlWhere::current()) {
  return fastsciml::core::host::ballot(mask, predicate != 0, where);
}
inline int __any_sync(unsigned mask, int predicate, const FastscimlWhere& where = FastscimlWhere::current()) {
  return fastsciml::core::host::ballot(mask, predicate != 0, where) != 0;
}
inline int __all_sync(unsigned mask, int predicate, const FastscimlWhere& where = FastscimlWhere::current()) {
  return fastsciml::core::host::ballot(mask, predicate != 0, where) == mask;
}

inline int __popc(unsigned bits) { return std::popcount(bits); }

// Threads take turns, so that nothing comes between.
template <class T>
T atomicAdd(T* at, std::type_identity_t<T> value) {
  const T before = *at;
  *at = before + value;
  return before;
}
template <class T>
T atomicMax(T* at, std::type_identity_t<T> value) {
  const T before = *at;
  *at = before < value ? value : before;
  return before;
}

template <class T>
T __ldg(const T* at) {
  return *at;
}
