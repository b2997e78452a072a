// poisson_residual_norm for CUDA tensors: checks and launches. The kernel is in residual_norm.cuh.

#include "core/stream.h"
#include "poisson/operators_cuda.h"
#include "poisson/residual_norm.cuh"
#include "poisson/residual_norm.h"

namespace fastsciml::poisson {
namespace {

template <class T>
Tensor squared_norm(const Tensor& u, const Tensor& f, const Operator& a) {
  return core::sum_of_blocks<1>("poisson_residual_norm", u, u.numel(), kThreads, residual_norm_kernel<T>,
                                grid_of<T>(a, u.size(0), u.size(1), u.size(2)), core::memory<T>(u), core::memory<T>(f));
}

}  // namespace

Tensor poisson_residual_norm_cuda(Tensor u, Tensor f, Tensor couplings, std::vector<int64_t> periodic,
                                  std::optional<Tensor> faces, std::vector<Tensor> coefficient,
                                  std::optional<Tensor> alpha) {
  const core::OnDeviceOf guard(u);
  const Operator a{couplings, periodic, faces, coefficient, alpha};
  check_residual_norm(u, f, a);
  return u.scalar_type() == core::ScalarType::Double ? squared_norm<double>(u, f, a) : squared_norm<float>(u, f, a);
}

}  // namespace fastsciml::poisson
