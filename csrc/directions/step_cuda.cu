// conjugate_direction_step for CUDA tensors: checks and launches. The kernels are in step.cuh.

#include "core/stream.h"
#include "directions/operators_cuda.h"
#include "directions/step.cuh"
#include "directions/tensors.h"

namespace fastsciml::directions {
namespace {

template <class T>
Tensor step(const Tensor& u, const Tensor& z, const std::vector<Tensor>& directions, const Tensor& r, const Tensor& f,
            const poisson::Operator& a, const Tensor& lengths, double scale, bool from_zero) {
  constexpr const char* op = "conjugate_direction_step";
  Update<T> update{.u = core::mutable_memory<T>(u),
                   .z = core::mutable_memory<float>(z),
                   .directions = {},
                   .lengths = core::memory<double>(lengths),
                   .count = static_cast<unsigned>(directions.size()),
                   .nz = u.size(2),
                   .half = multigrid::half_of(u.size(2)),
                   .cells = u.numel(),
                   .from_zero = from_zero};
  for (size_t d = 0; d < directions.size(); ++d) update.directions[d] = core::memory<float>(directions[d]);
  core::launch(op, update_kernel<T>,
               core::Shape{.blocks = core::blocks_for(update.cells, kThreads), .threads = kThreads},
               core::current_stream(u), update);
  return core::sum_of_blocks<1>(op, u, r.numel(), kThreads, residual_kernel<T>,
                                poisson::grid_of<T>(a, u.size(0), u.size(1), u.size(2)), core::memory<T>(u),
                                core::memory<T>(f), core::mutable_memory<float>(r), static_cast<T>(scale));
}

}  // namespace

Tensor conjugate_direction_step_cuda(Tensor u, Tensor z, std::vector<Tensor> directions, Tensor r, Tensor f,
                                     Tensor couplings, Ints periodic, std::optional<Tensor> faces,
                                     std::vector<Tensor> coefficient, std::optional<Tensor> alpha, Tensor lengths,
                                     double scale, bool from_zero) {
  const poisson::Operator a{couplings, periodic, faces, coefficient, alpha};
  const core::OnDeviceOf guard(u);
  check_step(u, z, directions, r, f, a, lengths);
  return u.scalar_type() == core::ScalarType::Double
             ? step<double>(u, z, directions, r, f, a, lengths, scale, from_zero)
             : step<float>(u, z, directions, r, f, a, lengths, scale, from_zero);
}

}  // namespace fastsciml::directions
