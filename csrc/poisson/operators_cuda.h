// The Poisson operator for CUDA tensors; see operators.h.
#pragma once

#include <optional>
#include <vector>

#include "core/tensor.h"

namespace fastsciml::poisson {

using core::Tensor;

Tensor poisson_apply_cuda(Tensor u, Tensor couplings, std::vector<int64_t> periodic, std::optional<Tensor> faces,
                          std::vector<Tensor> coefficient, std::optional<Tensor> alpha);

Tensor poisson_residual_norm_cuda(Tensor u, Tensor f, Tensor couplings, std::vector<int64_t> periodic,
                                  std::optional<Tensor> faces, std::vector<Tensor> coefficient,
                                  std::optional<Tensor> alpha);

}  // namespace fastsciml::poisson
