// Multigrid cycles.
#pragma once

#include "multigrid/hierarchy.h"

namespace fastsciml::multigrid {

// z = the result of so many V-cycles for A z = f from a zero guess.   f, z [x, y, 2 half] of the finest level
void v_cycles(const Hierarchy& hierarchy, int64_t cycles, const float* f, float* z);

// Full multigrid for A z = f: from the coarsest level up, a level's solution, interpolated, is the guess for one
// V-cycle on the next. f, z as above.
void full_cycle(const Hierarchy& hierarchy, const float* f, float* z);

}  // namespace fastsciml::multigrid
