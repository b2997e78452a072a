// Multigrid cycles.
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
  float* mean_rhs;    // [x, y, 2 half] } the problem's own right-hand side, for full multigrid
};

struct Hierarchy {
  std::vector<Level> levels;          // finest first, a single cell last
  std::vector<LevelStorage> storage;  // of each level
  int64_t sweeps;
  bool symmetric;     // B is self-adjoint in the inner product weighted by volumes: sweeps after the coarse correction
                      // take the colours in the opposite order, and restriction is the adjoint of interpolation
  bool around_solid;  // corrections are interpolated around cells without an unknown (guess.h), which are solid;
                      // a symmetric cycle does without
  std::span<float> scratch;
};

// z = the result of so many V-cycles for A z = f from a zero guess.   f, z [x, y, 2 half] of the finest level
void v_cycles(const Hierarchy& hierarchy, int64_t cycles, const float* f, float* z);

// Full multigrid for A z = f: from the coarsest level up, a level's solution, interpolated, is the guess for one
// V-cycle on the next. f, z as above.
void full_cycle(const Hierarchy& hierarchy, const float* f, float* z);

}  // namespace fastsciml::multigrid
