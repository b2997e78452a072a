// The host runtime for CUDA kernels: what a .cuh kernel needs of CUDA, for a plain C++ compiler. csrc/core/launch.h
// includes it where nvcc does not compile.
//
// A launch runs its blocks one after another; a block's threads are fibers (block.h), so that barriers, shuffles, votes
// and shared memory work as on a device, and what breaks their rules is a Fault with lines and threads in it. Warps do
// not run in lockstep: what relies on that without __syncwarp is as wrong here as on current devices. Arrays are
// checked and counted (memory.h). What two blocks do to the same memory shows in the order in which they run
// (host::order).
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <mutex>
#include <numeric>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "cuda_host/block.h"
#include "cuda_host/language.h"
#include "cuda_host/memory.h"
#include "cuda_host/traffic.h"

namespace fastsciml::core {

// A launch has no stream here: it is over when it returns.
struct Stream {};

// Of an H100, for which kernels cut their work here.
inline int multiprocessors() { return 132; }

struct Shape {
  dim3 blocks;
  dim3 threads;
  size_t dynamic_shared = 0;  // bytes
};

namespace host {

inline uint64_t volume(const dim3& extent) { return uint64_t{extent.x} * extent.y * extent.z; }

// What every target accepts; a launch that asks for more does not start there either.
inline bool launchable(const Shape& shape) {
  const dim3 &blocks = shape.blocks, &threads = shape.threads;
  return blocks.x >= 1 && blocks.y >= 1 && blocks.z >= 1 && blocks.x <= 0x7fffffffu && blocks.y <= 0xffffu &&
         blocks.z <= 0xffffu && volume(threads) >= 1 && volume(threads) <= 1024 && threads.z <= 64 &&
         shape.dynamic_shared <= kMostSharedBytes;
}

// Launches of several host threads run one at a time.
inline std::mutex running;

template <class Visit>
void for_each_block(const dim3& blocks, Visit visit) {
  const auto visit_number = [&](uint64_t n) {
    visit(uint3{static_cast<unsigned>(n % blocks.x), static_cast<unsigned>(n / blocks.x % blocks.y),
                static_cast<unsigned>(n / blocks.x / blocks.y)});
  };
  if (order == 0) {
    for (uint64_t n = 0; n < volume(blocks); ++n) visit_number(n);
    return;
  }
  std::vector<uint64_t> numbers(volume(blocks));
  std::iota(numbers.begin(), numbers.end(), uint64_t{0});
  std::ranges::shuffle(numbers, std::mt19937_64(order));
  for (const uint64_t n : numbers) visit_number(n);
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
  const Block::Lanes& lanes = block.exchange(mask, as_word(value), where);
  if (!(mask >> lane & 1)) {
    throw Fault("a shuffle of " + line_of(where) + " reads lane " + std::to_string(lane) + ", which takes no part");
  }
  T result;
  std::memcpy(&result, &lanes[lane], sizeof(T));
  return result;
}

// For which lanes of the mask the predicate holds.
inline unsigned ballot(unsigned mask, bool predicate, const Where& where) {
  const Block::Lanes& lanes = Block::now().exchange(mask, predicate, where);
  unsigned votes = 0;
  for (unsigned lane = 0; lane < kWarp; ++lane) votes |= static_cast<unsigned>(mask >> lane & lanes[lane] & 1) << lane;
  return votes;
}

}  // namespace host

template <class Kernel, class... Arguments>
void launch(const char* name, Kernel kernel, const Shape& shape, Stream, Arguments... arguments) {
  static_assert((std::is_trivially_copyable_v<Arguments> && ...), "kernel arguments are copied to the device as bytes");
  if (!host::launchable(shape))
    throw std::runtime_error(std::string(name) + ": the kernel did not start: invalid configuration argument");
  const std::lock_guard alone(host::running);
  gridDim = shape.blocks;
  blockDim = shape.threads;
  host::Block block(shape.threads, shape.dynamic_shared, [&] { kernel(arguments...); });
  std::optional<host::Counter> counter;
  if (host::counting) counter.emplace();
  const uint64_t flops_before = host::flops;
  host::for_each_block(shape.blocks, [&](const uint3& index) {
    blockIdx = index;
    if (counter) counter->begin_block();
    try {
      block.run();
    } catch (const host::Fault& fault) {
      throw host::Fault(std::string(name) + ", block (" + std::to_string(index.x) + ", " + std::to_string(index.y) +
                        ", " + std::to_string(index.z) + "): " + fault.what());
    }
  });
  if (!counter) return;
  host::counted.push_back({.kernel = name,
                           .blocks = host::volume(shape.blocks),
                           .threads = host::volume(shape.threads),
                           .read = counter->read(),
                           .written = counter->written(),
                           .shared_accesses = block.shared_accesses(),
                           .barriers = block.barriers(),
                           .flops = host::flops - flops_before});
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

// On `array + index`, in global or shared memory.
template <class Array>
auto atomicAdd(const Array& at, typename Array::Value value, const FastscimlWhere& where = FastscimlWhere::current()) {
  return at.update({0, where}, [=](auto before) { return before + value; });
}
template <class Array>
auto atomicMax(const Array& at, typename Array::Value value, const FastscimlWhere& where = FastscimlWhere::current()) {
  return at.update({0, where}, [=](auto before) { return before < value ? value : before; });
}

template <class T>
T __ldg(const fastsciml::core::Memory<const T>& at, const FastscimlWhere& where = FastscimlWhere::current()) {
  return at.read({0, where});
}
