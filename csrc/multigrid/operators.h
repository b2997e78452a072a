// The multigrid operators as torch calls them; schemas in csrc/operators.cpp, layouts in tensors.h.
#pragma once

#include "multigrid/tensors.h"

namespace fastsciml::multigrid {

// out = the result of so many V-cycles for A z = rhs from a zero guess.
//   rhs, out [nx, ny, 2 half] float32, rows in halves (level.h)
void multigrid_v_cycle(Tensor rhs, Tensor out, Ints extents, Ints periodic, Numbers schedule, bool symmetric,
                       bool around_solid, int64_t cycles, Tensors axes, Tensors maps, Tensors diagonals,
                       Tensors z_couplings, Tensors faces, Tensor workspace);

// out = the result of full multigrid; arguments as above.
void full_multigrid(Tensor rhs, Tensor out, Ints extents, Ints periodic, Numbers schedule, bool symmetric,
                    bool around_solid, Tensors axes, Tensors maps, Tensors diagonals, Tensors z_couplings,
                    Tensors faces, Tensor workspace);

// scale * rows as float32, each row in halves.   rows [nx, ny, nz] float32 or float64 -> [nx, ny, 2 half]
void split_rows_into(Tensor rows, double scale, Tensor out);

// Floats the workspace of such a cycle must have with so many threads.
int64_t multigrid_workspace(Ints extents, Ints periodic, int64_t sweeps, int64_t threads);

}  // namespace fastsciml::multigrid
