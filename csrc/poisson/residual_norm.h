// What every device asks of poisson_residual_norm's tensors; layouts in operators.h.
#pragma once

#include "poisson/tensors.h"

namespace fastsciml::poisson {

inline void check_residual_norm(const Tensor& u, const Tensor& f, const Operator& a) {
  constexpr const char* op = "poisson_residual_norm";
  const auto type = u.scalar_type();
  core::check(u.dim() == 3 && u.numel() > 0, op, "u", "be a non-empty [nx, ny, nz] tensor");
  core::check(type == core::ScalarType::Float || type == core::ScalarType::Double, op, "u", "be float32 or float64");
  core::check_contiguous(u, type, op, "u");
  core::check_contiguous(f, type, op, "f");
  core::check_same_shape(u, f, op, "f");
  core::check_same_device(f, u, op, "f");
  check_operator(op, u, u.size(0), u.size(1), u.size(2), a);
}

}  // namespace fastsciml::poisson
