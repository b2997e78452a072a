// The multigrid operators on the CPU.

#include <algorithm>
#include <span>

#include "core/parallel.h"
#include "multigrid/cycle.h"
#include "multigrid/operators.h"
#include "multigrid/passes.h"
#include "multigrid/transfers.h"

namespace fastsciml::multigrid {
namespace {

// Arrays a level keeps in the workspace: `smoothed`, and below the finest the others of LevelStorage.
int64_t arrays_of(size_t level) { return level > 0 ? 4 : 1; }

Hierarchy hierarchy_of(const Ints& extents, const Ints& periodic, int64_t sweeps, bool symmetric, bool around_solid,
                       const Tensors& axes, const Tensors& maps, const Tensors& diagonals, const Tensors& z_couplings,
                       const Tensors& faces, const Tensor& workspace) {
  STD_TORCH_CHECK(workspace.numel() >= multigrid_workspace(extents, periodic, sweeps, core::thread_count()),
                  "multigrid: the workspace was made for fewer threads");
  std::span<float> free(static_cast<float*>(workspace.data_ptr()), static_cast<size_t>(workspace.numel()));
  const auto take = [&free](int64_t count) {
    float* start = free.data();
    free = free.subspan(static_cast<size_t>(count));
    return start;
  };
  Hierarchy hierarchy{.levels = {},
                      .storage = {},
                      .sweeps = sweeps,
                      .symmetric = symmetric,
                      .around_solid = around_solid && !symmetric,
                      .scratch = {}};
  for (size_t l = 0; l < extents.size() / 3; ++l) {
    hierarchy.levels.push_back(
        level_of(l, extents, periodic, {axes[l], maps[l], diagonals[l], z_couplings[l], &faces[l]}));
    const int64_t floats = hierarchy.levels.back().floats();
    LevelStorage storage{.smoothed = take(floats), .rhs = nullptr, .correction = nullptr, .mean_rhs = nullptr};
    if (l > 0) {
      for (float** array : {&storage.rhs, &storage.correction, &storage.mean_rhs}) *array = take(floats);
    }
    hierarchy.storage.push_back(storage);
  }
  hierarchy.scratch = free;
  return hierarchy;
}

}  // namespace

int64_t multigrid_workspace(Ints extents, Ints periodic, int64_t sweeps, int64_t threads) {
  int64_t storage = 0, scratch = 0;
  for (size_t l = 0; l < extents.size() / 3; ++l) {
    const Level level = shape_of_level(l, extents, periodic);
    storage += arrays_of(l) * level.floats();
    scratch =
        std::max({scratch, scratch_floats(level, sweeps_on(l == 0, sweeps), threads), transfer_floats(level, threads)});
  }
  return storage + scratch;
}

void multigrid_v_cycle(Tensor rhs, Tensor out, Ints extents, Ints periodic, int64_t sweeps, bool symmetric,
                       bool around_solid, int64_t cycles, Tensors axes, Tensors maps, Tensors diagonals,
                       Tensors z_couplings, Tensors faces, Tensor workspace) {
  const Hierarchy hierarchy = hierarchy_of(extents, periodic, sweeps, symmetric, around_solid, axes, maps, diagonals,
                                           z_couplings, faces, workspace);
  v_cycles(hierarchy, cycles, static_cast<const float*>(rhs.data_ptr()), static_cast<float*>(out.data_ptr()));
}

void full_multigrid(Tensor rhs, Tensor out, Ints extents, Ints periodic, int64_t sweeps, bool symmetric,
                    bool around_solid, Tensors axes, Tensors maps, Tensors diagonals, Tensors z_couplings,
                    Tensors faces, Tensor workspace) {
  const Hierarchy hierarchy = hierarchy_of(extents, periodic, sweeps, symmetric, around_solid, axes, maps, diagonals,
                                           z_couplings, faces, workspace);
  full_cycle(hierarchy, static_cast<const float*>(rhs.data_ptr()), static_cast<float*>(out.data_ptr()));
}

}  // namespace fastsciml::multigrid
