// The V-cycle.
#pragma once

#include <span>
#include <vector>

#include "multigrid/level.h"

namespace fastsciml::multigrid {

// What a level keeps between the two passes.
struct LevelStorage {
  float* smoothed;    // [x, y, 2 half]
  float* rhs;         // [x, y, 2 half] } below the finest
  float* correction;  // [x, y, 2 half] }
};

struct Hierarchy {
  std::vector<Level> levels;          // finest first, a single cell last
  std::vector<LevelStorage> storage;  // of each level
  int64_t sweeps;
  std::span<float> scratch;
};

// z = B f, one V-cycle for A z = f from a zero guess.   f, z [x, y, 2 half] of the finest level
void v_cycle(const Hierarchy& hierarchy, const float* f, float* z);

}  // namespace fastsciml::multigrid
