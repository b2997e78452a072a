// Launches steps, one kernel each: a thread does a four of a row, in some planes one after another, or a cell. Bytes as
// the steps say (row_steps.cuh, row_transfers.cuh, steps.cuh). Called by the cycles on a device (cycle_cuda.cu).
#pragma once

#include <torch/headeronly/util/Exception.h>

#include <algorithm>

#include "core/launch.h"
#include "multigrid/cycle_steps.cuh"

namespace fastsciml::multigrid {

inline constexpr unsigned kThreads = 256, kResidentBlocks = 3;

// Threads along x of a block go along rows, so that a warp reads what stands together. A block takes `planes` planes in
// turn, and works out once what they share.
template <class Step>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    rows_kernel(const __grid_constant__ Level level, const __grid_constant__ Level coarse, const Step step,
                const int planes) {
  const LevelPair on{level, coarse};
  const Reach reach = step.reach(on);
  const int four = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (four >= reach.fours) return;
  const auto shared = step.shared(on);
  const int begin = static_cast<int>((blockIdx.z * blockDim.z + threadIdx.z)) * planes;
  const int end = begin + planes < reach.planes ? begin + planes : reach.planes;
  // The grid has no more rows than a device takes.
  const int rows_at_a_time = static_cast<int>(gridDim.y * blockDim.y);
#pragma unroll 1
  for (int j = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y); j < reach.rows; j += rows_at_a_time) {
#pragma unroll 1
    for (int i = begin; i < end; ++i) step.run(on, i, j, four, shared);
  }
}

template <class Step>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    cells_kernel(const __grid_constant__ Level level, const __grid_constant__ Level coarse, const Step step) {
  const LevelPair on{level, coarse};
  const unsigned item = blockIdx.x * blockDim.x + threadIdx.x;
  if (item < step.items(on)) step.run(on, item, step.shared(on));
}

struct RunOnDevice {
  core::Stream stream;
  int64_t multiprocessors;

  template <class Step>
  void rows(const LevelPair& on, const Step& step) const {
    STD_TORCH_CHECK(on.level.floats() / 4 < int64_t{1} << 32, "multigrid: a level has more cells than 34 bits count");
    const Cut cut = cut_of(step.reach(on));
    core::launch(Step::kName, rows_kernel<Step>, cut.shape, stream, on.level, on.coarse, step, cut.planes);
  }

  template <class Step>
  void cells(const LevelPair& on, const Step& step) const {
    const int64_t blocks = ceiling(step.items(on), kThreads);
    STD_TORCH_CHECK(blocks * kThreads < int64_t{1} << 32, "multigrid: a level has more cells than 32 bits count");
    const core::Shape shape{.blocks = static_cast<unsigned>(blocks), .threads = kThreads};
    core::launch(Step::kName, cells_kernel<Step>, shape, stream, on.level, on.coarse, step);
  }

 private:
  struct Cut {
    core::Shape shape;
    int planes;
  };

  static int64_t ceiling(int64_t n, int64_t unit) { return (n + unit - 1) / unit; }

  Cut cut_of(const Reach& reach) const {
    constexpr int64_t kMostFours = 64, kMostPlanesOfBlock = 64, kMostBlocks = 65535;
    // So many blocks for each multiprocessor leave none idle for long while the last ones run.
    constexpr int64_t kBlocksEach = 16, kMostPlanes = 4;
    const int64_t tiles = ceiling(reach.fours, kMostFours), fours = ceiling(reach.fours, tiles);
    const int64_t rows = std::min<int64_t>(reach.rows, kThreads / fours);
    const int64_t planes = std::min({int64_t{reach.planes}, kThreads / (fours * rows), kMostPlanesOfBlock});
    const int64_t across = tiles * std::min(ceiling(reach.rows, rows), kMostBlocks);
    const int64_t blocks = across * ceiling(reach.planes, planes);
    const int64_t wanted = std::clamp(blocks / (kBlocksEach * multiprocessors), int64_t{1}, kMostPlanes);
    const int64_t in_turn = std::max(wanted, ceiling(reach.planes, planes * kMostBlocks));
    const auto dimension = [](int64_t n) { return static_cast<unsigned>(n); };
    return {.shape = {.blocks = dim3(dimension(tiles), dimension(across / tiles),
                                     dimension(ceiling(reach.planes, planes * in_turn))),
                      .threads = dim3(dimension(fours), dimension(rows), dimension(planes))},
            .planes = static_cast<int>(in_turn)};
  }
};

}  // namespace fastsciml::multigrid
