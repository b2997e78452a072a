// The multigrid operators as torch calls them; schemas in csrc/operators.cpp, layouts in tensors.h.
#pragma once

#include "multigrid/tensors.h"

namespace fastsciml::multigrid {

// out = B rhs, one V-cycle.   rhs, out [nx, ny, 2 half] float32, rows in halves (level.h)
void multigrid_v_cycle(Tensor rhs, Tensor out, Ints extents, Ints periodic, int64_t sweeps, Tensors axes,
                       Tensors row_indices, Tensors diagonals, Tensors z_couplings, Tensors openness, Tensor workspace);

// scale * rows as float32, each row in halves.   rows [nx, ny, nz] float32 or float64 -> [nx, ny, 2 half]
Tensor split_rows(Tensor rows, double scale);

// Floats the workspace of such a cycle must have with so many threads.
int64_t multigrid_workspace(Ints extents, Ints periodic, int64_t sweeps, int64_t threads);

}  // namespace fastsciml::multigrid
