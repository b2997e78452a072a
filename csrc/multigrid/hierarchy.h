// The levels of a cycle with what each keeps in the workspace.
#pragma once

#include <span>
#include <vector>

#include "multigrid/schedule.h"
#include "multigrid/tensors.h"

namespace fastsciml::multigrid {

// What a level keeps between the two passes.
struct LevelStorage {
  core::Memory<float> smoothed;    // [x, y, 2 half]
  core::Memory<float> rhs;         // [x, y, 2 half] } below the finest
  core::Memory<float> correction;  // [x, y, 2 half] }
  core::Memory<float> mean_rhs;    // [x, y, 2 half] } the problem's own right-hand side, for full multigrid
};

struct Hierarchy {
  std::vector<Level> levels;          // finest first, a single cell last
  std::vector<LevelStorage> storage;  // of each level
  Schedules schedules;
  bool symmetric;     // B is self-adjoint in the inner product weighted by volumes: sweeps after the coarse correction
                      // take the colours in the opposite order, and restriction is the adjoint of interpolation
  bool around_solid;  // corrections are interpolated around cells without an unknown (guess.h), which are solid
  std::span<float> scratch;  // the rest of the workspace
};

// Floats that the levels keep.
int64_t storage_floats(const Ints& extents, const Ints& periodic);

// A hierarchy's tensors (tensors.h), finest first.
struct HierarchyTensors {
  const Tensors& axes;
  const Tensors& maps;
  const Tensors& diagonals;
  const Tensors& z_couplings;
  const Tensors& faces;
};

Hierarchy hierarchy_of(const Ints& extents, const Ints& periodic, const Numbers& schedule, bool symmetric,
                       bool around_solid, const HierarchyTensors& tensors, const Tensor& workspace);

}  // namespace fastsciml::multigrid
