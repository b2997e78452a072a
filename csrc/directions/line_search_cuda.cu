// conjugate_line_search for CUDA tensors: checks and launches. The kernels are in line_search.cuh,
// line_search_many.cuh.

#include "core/stream.h"
#include "directions/count.h"
#include "directions/line_search_many.cuh"
#include "directions/operators_cuda.h"
#include "directions/tensors.h"

namespace fastsciml::directions {

Tensor conjugate_line_search_cuda(Tensor z, std::vector<Tensor> directions, Tensor r, Ints extents, Ints periodic,
                                  Tensor axes, Tensor maps, Tensor diagonals, Tensor z_couplings, Tensor faces) {
  const core::OnDeviceOf guard(z);
  const multigrid::LevelTensors tensors{axes, maps, diagonals, z_couplings, &faces};
  check_line_search(z, directions, r, extents, tensors);
  const multigrid::Level level = multigrid::level_of(0, extents, periodic, tensors);
  return with_count(directions.size(), [&](auto constant) {
    constexpr int kCount = decltype(constant)::value;
    Directions<kCount> last{};
    for (int d = 0; d < kCount; ++d) last.p[d] = core::memory<float>(directions[static_cast<size_t>(d)]);
    constexpr auto kernel = [] {
      if constexpr (kCount > many::kMoreThan) return many::line_search_many_kernel<kCount>;
      if constexpr (kCount <= many::kMoreThan) return line_search_kernel<kCount>;
    }();
    static_assert(many::kThreads == kThreads);
    return core::sum_of_blocks<2 + 2 * kCount>("conjugate_line_search", z, level.cells(), kThreads, kernel, level,
                                               core::memory<float>(z), last, core::memory<float>(r));
  });
}

}  // namespace fastsciml::directions
