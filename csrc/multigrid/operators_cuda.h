// The multigrid operators for CUDA tensors; see operators.h.
#pragma once

#include "multigrid/tensors.h"

namespace fastsciml::multigrid {

void multigrid_v_cycle_cuda(Tensor rhs, Tensor out, Ints extents, Ints periodic, Numbers schedule, bool symmetric,
                            bool around_solid, int64_t cycles, Tensors axes, Tensors maps, Tensors diagonals,
                            Tensors z_couplings, Tensors faces, Tensor workspace);

void full_multigrid_cuda(Tensor rhs, Tensor out, Ints extents, Ints periodic, Numbers schedule, bool symmetric,
                         bool around_solid, Tensors axes, Tensors maps, Tensors diagonals, Tensors z_couplings,
                         Tensors faces, Tensor workspace);

}  // namespace fastsciml::multigrid
