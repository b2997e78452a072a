// What poisson_apply asks of its arguments on every device.
#pragma once

#include <optional>
#include <vector>

#include "core/tensor.h"

namespace fastsciml::poisson {

inline void check_apply(const core::Tensor& u, const core::Tensor& couplings, const std::vector<int64_t>& periodic,
                        const std::optional<core::Tensor>& faces) {
  constexpr const char* op = "poisson_apply";
  const auto type = u.scalar_type();
  core::check(u.dim() == 4 && u.numel() > 0, op, "u", "be a non-empty [batch, nx, ny, nz] tensor");
  core::check(type == core::ScalarType::Float || type == core::ScalarType::Double, op, "u", "be float32 or float64");
  core::check_contiguous(u, type, op, "u");
  core::check_contiguous(couplings, type, op, "couplings");
  core::check(couplings.numel() == 2 * (u.size(1) + u.size(2) + u.size(3)), op, "couplings",
              "have 2 (nx + ny + nz) entries");
  core::check(periodic.size() == 3, op, "periodic", "have 3 entries");
  if (!faces) return;
  core::check_contiguous(*faces, core::ScalarType::Byte, op, "faces");
  core::check(
      faces->dim() == 3 && faces->size(0) == u.size(1) && faces->size(1) == u.size(2) && faces->size(2) == u.size(3),
      op, "faces", "have the shape [nx, ny, nz] of u");
}

}  // namespace fastsciml::poisson
