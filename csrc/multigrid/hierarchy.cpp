// Views a hierarchy's tensors and a workspace as levels.

#include "multigrid/hierarchy.h"

namespace fastsciml::multigrid {
namespace {

// Arrays a level keeps in the workspace: `smoothed`, and below the finest the others of LevelStorage.
int64_t arrays_of(size_t level) { return level > 0 ? 4 : 1; }

}  // namespace

int64_t storage_floats(const Ints& extents, const Ints& periodic) {
  int64_t floats = 0;
  for (size_t l = 0; l < extents.size() / 3; ++l) {
    floats += arrays_of(l) * shape_of_level(l, extents, periodic).floats();
  }
  return floats;
}

Hierarchy hierarchy_of(const Ints& extents, const Ints& periodic, const Numbers& schedule, bool symmetric,
                       bool around_solid, const HierarchyTensors& tensors, const Tensor& workspace) {
  const int64_t sweeps = sweeps_of(schedule);
  STD_TORCH_CHECK(schedule.size() % 4 == 0 && sweeps >= 1 && sweeps < kMostSweeps,
                  "multigrid: schedule must have 4 sweeps + 4 numbers for 1 to 15 sweeps");
  std::span<float> free(static_cast<float*>(workspace.data_ptr()), static_cast<size_t>(workspace.numel()));
  const auto take = [&free](int64_t count) {
    float* start = free.data();
    free = free.subspan(static_cast<size_t>(count));
    return core::memory(start, count);
  };
  Hierarchy hierarchy{.levels = {},
                      .storage = {},
                      .schedules = schedules_of(schedule),
                      .symmetric = symmetric,
                      .around_solid = around_solid,
                      .scratch = {}};
  for (size_t l = 0; l < extents.size() / 3; ++l) {
    const LevelTensors level{tensors.axes[l], tensors.maps[l], tensors.diagonals[l], tensors.z_couplings[l],
                             &tensors.faces[l]};
    hierarchy.levels.push_back(level_of(l, extents, periodic, level));
    const int64_t floats = hierarchy.levels.back().floats();
    LevelStorage storage{.smoothed = take(floats), .rhs = nullptr, .correction = nullptr, .mean_rhs = nullptr};
    if (l > 0) {
      for (core::Memory<float>* array : {&storage.rhs, &storage.correction, &storage.mean_rhs}) *array = take(floats);
    }
    hierarchy.storage.push_back(storage);
  }
  hierarchy.scratch = free;
  return hierarchy;
}

}  // namespace fastsciml::multigrid
