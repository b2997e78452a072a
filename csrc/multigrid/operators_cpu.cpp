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

// Level's uniform_z, which only the CPU's kernels use.
float uniform_coupling(const Level& level) {
  const int64_t n = level.z.extent;
  if (level.z_stride != 0 || n < 2) return 0.0f;
  const float coupling = level.near_z[0];
  for (int64_t k = 0; k < n; ++k) {
    const int64_t at = k / 2 + k % 2 * level.half;
    const float lower = k % 2 ? level.near_z[at] : level.far_z[at], upper = k % 2 ? level.far_z[at] : level.near_z[at];
    const bool first = k == 0 && !level.z.periodic, last = k + 1 == n && !level.z.periodic;
    if ((!first && lower != coupling) || (!last && upper != coupling)) return 0.0f;
  }
  return coupling;
}

// The workspace is large enough for torch's present number of threads.
Hierarchy cpu_hierarchy(const Ints& extents, const Ints& periodic, const Numbers& schedule, bool symmetric,
                        bool around_solid, const HierarchyTensors& tensors, const Tensor& workspace) {
  STD_TORCH_CHECK(
      workspace.numel() >= multigrid_workspace(extents, periodic, sweeps_of(schedule), core::thread_count()),
      "multigrid: the workspace was made for fewer threads");
  Hierarchy hierarchy = hierarchy_of(extents, periodic, schedule, symmetric, around_solid, tensors, workspace);
  for (Level& level : hierarchy.levels) level.uniform_z = uniform_coupling(level);
  return hierarchy;
}

}  // namespace

int64_t multigrid_workspace(Ints extents, Ints periodic, int64_t sweeps, int64_t threads) {
  int64_t scratch = 0;
  for (size_t l = 0; l < extents.size() / 3; ++l) {
    const Level level = shape_of_level(l, extents, periodic);
    scratch =
        std::max({scratch, scratch_floats(level, sweeps_on(l == 0, sweeps), threads), transfer_floats(level, threads)});
  }
  return storage_floats(extents, periodic) + scratch;
}

void multigrid_v_cycle(Tensor rhs, Tensor out, Ints extents, Ints periodic, Numbers schedule, bool symmetric,
                       bool around_solid, int64_t cycles, Tensors axes, Tensors maps, Tensors diagonals,
                       Tensors z_couplings, Tensors faces, Tensor workspace) {
  const Hierarchy hierarchy = cpu_hierarchy(extents, periodic, schedule, symmetric, around_solid,
                                            {axes, maps, diagonals, z_couplings, faces}, workspace);
  v_cycles(hierarchy, cycles, static_cast<const float*>(rhs.data_ptr()), static_cast<float*>(out.data_ptr()));
}

void full_multigrid(Tensor rhs, Tensor out, Ints extents, Ints periodic, Numbers schedule, bool symmetric,
                    bool around_solid, Tensors axes, Tensors maps, Tensors diagonals, Tensors z_couplings,
                    Tensors faces, Tensor workspace) {
  const Hierarchy hierarchy = cpu_hierarchy(extents, periodic, schedule, symmetric, around_solid,
                                            {axes, maps, diagonals, z_couplings, faces}, workspace);
  full_cycle(hierarchy, static_cast<const float*>(rhs.data_ptr()), static_cast<float*>(out.data_ptr()));
}

}  // namespace fastsciml::multigrid
