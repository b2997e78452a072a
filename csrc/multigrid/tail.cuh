// The small levels of a cycle, all in one launch of one block: step after step over cells in memory, which one
// multiprocessor's caches hold, with a barrier between two steps. A launch for each step would take longer than the
// step.
//
// Moves what the steps do, between one multiprocessor and its caches; of memory, each level's arrays once. Called by
// the cycles on a device (cycle_cuda.cu).
#pragma once

#include "core/launch.h"
#include "multigrid/cycle_steps.cuh"

namespace fastsciml::multigrid {

// With twice as many, some steps' registers would spill.
inline constexpr unsigned kTailThreads = 512;
// A level belongs to the tail from so few cells on: a cube of 16. Measured on an H200: a cube of 32, too, makes a cycle
// at 256^3 a fifth slower.
inline constexpr int64_t kTailCells = 1 << 12;
// The most levels that it can have: an axis of kTailCells has 16, three axes that coarsen one after another some more.
inline constexpr int kMostTailLevels = 32;

struct Tail {
  Level levels[kMostTailLevels];
  DeviceStorage storage[kMostTailLevels];
  int64_t count;
  Manner manner;
  bool has_finest;
  int64_t cycles;  // 0: full multigrid
  DeviceGuess guess;
  ConstField f;
  Field z;
};

// Runs a step in this block. Not inlined: steps are many and the code of one is long.
struct RunInBlock {
  template <class Step>
  __device__ __noinline__ void cells(const LevelPair& on, const Step& step) const {
    const auto shared = step.shared(on);
    const auto items = static_cast<unsigned>(step.items(on));
    for (unsigned item = threadIdx.x; item < items; item += blockDim.x) step.run(on, item, shared);
    __syncthreads();
  }

  // Rows and fours are numbered as if there were a power of two of them, which costs no division.
  template <class Step>
  __device__ __noinline__ void rows(const LevelPair& on, const Step& step) const {
    const auto shared = step.shared(on);
    const Reach reach = step.reach(on);
    const int bits_of_fours = bits_for(reach.fours), bits_of_rows = bits_for(reach.rows);
    const int items = reach.planes << (bits_of_fours + bits_of_rows);
    for (int item = static_cast<int>(threadIdx.x); item < items; item += static_cast<int>(blockDim.x)) {
      const int four = item & ((1 << bits_of_fours) - 1), row = item >> bits_of_fours;
      const int j = row & ((1 << bits_of_rows) - 1), i = row >> bits_of_rows;
      if (four < reach.fours && j < reach.rows) step.run(on, i, j, four, shared);
    }
    __syncthreads();
  }

 private:
  // The least number of bits that count to n.
  __device__ static int bits_for(int n) {
    int bits = 0;
    while (1 << bits < n) ++bits;
    return bits;
  }
};

__global__ void __launch_bounds__(kTailThreads, 1) tail_kernel(const __grid_constant__ Tail tail) {
  const RunInBlock run;
  if (tail.cycles == 0) {
    return full_cycle(run, tail.levels, tail.storage, tail.count, tail.manner, tail.has_finest, tail.f, tail.z);
  }
#pragma unroll 1
  for (int64_t c = 0; c < tail.cycles; ++c) {
    // A cycle leaves its guess before it writes z.
    DeviceGuess guess = tail.guess;
    if (c > 0) guess = {.v = tail.z, .e = nullptr};
    v_cycle(run, tail.levels, tail.storage, 0, tail.count, tail.manner, tail.has_finest, guess, tail.f, tail.z);
  }
}

}  // namespace fastsciml::multigrid
