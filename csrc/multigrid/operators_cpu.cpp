// The multigrid operators on the CPU.

#include <algorithm>
#include <span>

#include "core/parallel.h"
#include "multigrid/cycle.h"
#include "multigrid/operators.h"
#include "multigrid/passes.h"

namespace fastsciml::multigrid {
int64_t multigrid_workspace(Ints extents, Ints periodic, int64_t sweeps, int64_t threads) {
  int64_t storage = 0, scratch = 0;
  for (size_t l = 0; l < extents.size() / 3; ++l) {
    const Level level = shape_of_level(l, extents, periodic);
    storage += (l > 0 ? 3 : 1) * level.floats();
    scratch = std::max(scratch, scratch_floats(level, sweeps, threads));
  }
  return storage + scratch;
}

void multigrid_v_cycle(Tensor rhs, Tensor out, Ints extents, Ints periodic, int64_t sweeps, Tensors axes,
                       Tensors row_indices, Tensors diagonals, Tensors z_couplings, Tensors openness,
                       Tensor workspace) {
  STD_TORCH_CHECK(workspace.numel() >= multigrid_workspace(extents, periodic, sweeps, core::thread_count()),
                  "multigrid_v_cycle: the workspace was made for fewer threads");
  std::span<float> free(static_cast<float*>(workspace.data_ptr()), static_cast<size_t>(workspace.numel()));
  const auto take = [&free](int64_t count) {
    float* start = free.data();
    free = free.subspan(static_cast<size_t>(count));
    return start;
  };

  Hierarchy hierarchy{.levels = {}, .storage = {}, .sweeps = sweeps, .scratch = {}};
  for (size_t l = 0; l < extents.size() / 3; ++l) {
    hierarchy.levels.push_back(
        level_of(l, extents, periodic, {axes[l], row_indices[l], diagonals[l], z_couplings[l], &openness[l]}));
    const int64_t floats = hierarchy.levels.back().floats();
    const int64_t below_finest = l > 0 ? floats : 0;
    float* smoothed = take(floats);
    float* level_rhs = take(below_finest);
    hierarchy.storage.push_back({smoothed, level_rhs, take(below_finest)});
  }
  hierarchy.scratch = free;
  v_cycle(hierarchy, static_cast<const float*>(rhs.data_ptr()), static_cast<float*>(out.data_ptr()));
}

}  // namespace fastsciml::multigrid
