// poisson_apply for CUDA tensors: checks, stream, launch. The kernel is in apply.cuh.

#include <torch/csrc/stable/ops.h>

#include "core/stream.h"
#include "poisson/apply.cuh"
#include "poisson/operators_cuda.h"
#include "poisson/tensors.h"

namespace fastsciml::poisson {
namespace {

// The largest grid a launch can have in x.
constexpr int64_t kMostBlocks = (int64_t{1} << 31) - 1;

template <class T>
void apply_tensors(const Tensor& u, const Operator& a, Tensor& out) {
  const Grid<T> grid = grid_of<T>(a, u.size(1), u.size(2), u.size(3));
  launch_apply(grid, core::memory<T>(u), core::mutable_memory<T>(out), u.numel(), core::current_stream(u));
}

}  // namespace

Tensor poisson_apply_cuda(Tensor u, Tensor couplings, std::vector<int64_t> periodic, std::optional<Tensor> faces,
                          std::vector<Tensor> coefficient, std::optional<Tensor> alpha) {
  const core::OnDeviceOf guard(u);
  const Operator a{couplings, periodic, faces, coefficient, alpha};
  check_apply(u, a);
  core::check(u.numel() / kThreads < kMostBlocks, "poisson_apply", "u", "have fewer cells for one launch");
  Tensor out = torch::stable::empty_like(u);
  if (u.scalar_type() == core::ScalarType::Double)
    apply_tensors<double>(u, a, out);
  else
    apply_tensors<float>(u, a, out);
  return out;
}

}  // namespace fastsciml::poisson
