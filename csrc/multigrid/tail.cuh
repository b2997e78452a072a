// The small levels of a cycle, all in one launch of one block: step after step over cells in memory, which one
// multiprocessor's caches hold, with a barrier between two steps. A launch for each step would take longer than the
// step.
//
// Moves what the steps do, between one multiprocessor and its caches; of memory, each level's arrays once. Called by
// the cycles on a device (cycle_cuda.cu).
#pragma once

#include <torch/headeronly/util/Exception.h>

#include "core/launch.h"
#include "multigrid/cycle_steps.cuh"

namespace fastsciml::multigrid {

// With twice as many, some steps' registers would spill.
inline constexpr unsigned kTailThreads = 512;
// A level belongs to the tail from so few cells on: a cube of 32.
inline constexpr int64_t kTailCells = 1 << 15;
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
  __device__ __noinline__ void operator()(const LevelPair& on, const Step& step) const {
    const auto shared = step.shared(on);
    const auto items = static_cast<unsigned>(step.items(on));
    for (unsigned item = threadIdx.x; item < items; item += blockDim.x) step.run(on, item, shared);
    __syncthreads();
  }
};

__global__ void __launch_bounds__(kTailThreads, 1) tail_kernel(const __grid_constant__ Tail tail) {
  const RunInBlock run;
  if (tail.cycles == 0) {
    return full_cycle(run, tail.levels, tail.storage, tail.count, tail.manner, tail.has_finest, tail.f, tail.z);
  }
  for (int64_t c = 0; c < tail.cycles; ++c) {
    // A cycle leaves its guess before it writes z.
    DeviceGuess guess = tail.guess;
    if (c > 0) guess = {.v = tail.z, .e = nullptr};
    v_cycle(run, tail.levels, tail.storage, 0, tail.count, tail.manner, tail.has_finest, guess, tail.f, tail.z);
  }
}

// A kernel of a single step.
inline constexpr unsigned kThreads = 256, kResidentBlocks = 4;

template <class Step>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    step_kernel(const __grid_constant__ Level level, const __grid_constant__ Level coarse, const Step step) {
  const LevelPair on{level, coarse};
  const unsigned item = blockIdx.x * blockDim.x + threadIdx.x;
  if (item < step.items(on)) step.run(on, item, step.shared(on));
}

// Launches steps.
struct RunOnDevice {
  core::Stream stream;

  template <class Step>
  void operator()(const LevelPair& on, const Step& step) const {
    const int64_t blocks = (step.items(on) + kThreads - 1) / kThreads;
    STD_TORCH_CHECK(blocks * kThreads < int64_t{1} << 32, "multigrid: a level has more cells than 32 bits count");
    const core::Shape shape{.blocks = static_cast<unsigned>(blocks), .threads = kThreads};
    core::launch("multigrid step", step_kernel<Step>, shape, stream, on.level, on.coarse, step);
  }
};

}  // namespace fastsciml::multigrid
