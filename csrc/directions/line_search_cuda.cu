// conjugate_line_search for CUDA tensors: checks and launches. The kernel is in line_search.cuh.

#include "core/stream.h"
#include "directions/line_search.cuh"
#include "directions/operators_cuda.h"
#include "directions/tensors.h"

namespace fastsciml::directions {

Tensor conjugate_line_search_cuda(Tensor z, Tensor p, Tensor r, Ints extents, Ints periodic, Tensor axes, Tensor maps,
                                  Tensor diagonals, Tensor z_couplings, Tensor faces) {
  const core::OnDeviceOf guard(z);
  const multigrid::LevelTensors tensors{axes, maps, diagonals, z_couplings, &faces};
  check_line_search(z, p, r, extents, tensors);
  const multigrid::Level level = multigrid::level_of(0, extents, periodic, tensors);
  return core::sum_of_blocks<4>("conjugate_line_search", z, level.cells(), kThreads, line_search_kernel, level,
                                core::memory<float>(z), core::memory<float>(p), core::memory<float>(r));
}

}  // namespace fastsciml::directions
