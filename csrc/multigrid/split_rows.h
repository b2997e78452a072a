// Splitting rows into halves: what every device asks of the tensors, and the operator for CUDA.
#pragma once

#include "core/tensor.h"
#include "multigrid/level.h"

namespace fastsciml::multigrid {

inline void check_split_rows(const core::Tensor& rows, const core::Tensor& out) {
  constexpr const char* op = "split_rows";
  const auto type = rows.scalar_type();
  core::check(rows.dim() == 3 && rows.numel() > 0, op, "rows", "be a non-empty [nx, ny, n] tensor");
  core::check(type == core::ScalarType::Float || type == core::ScalarType::Double, op, "rows", "be float32 or float64");
  core::check_contiguous(rows, type, op, "rows");
  core::check_same_device(out, rows, op, "out");
  core::check_contiguous(out, core::ScalarType::Float, op, "out");
  core::check(out.dim() == 3 && out.size(0) == rows.size(0) && out.size(1) == rows.size(1) &&
                  out.size(2) == 2 * half_of(rows.size(2)),
              op, "out", "have the shape of rows in halves");
}

void split_rows_into_cuda(core::Tensor rows, double scale, core::Tensor out);

}  // namespace fastsciml::multigrid
