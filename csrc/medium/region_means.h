// What every device asks of subtract_region_means' tensors.
#pragma once

#include "core/tensor.h"

namespace fastsciml::medium {

inline void check_region_means(const core::Tensor& values, const core::Tensor& region, const core::Tensor& sizes) {
  constexpr const char* op = "subtract_region_means";
  const auto type = values.scalar_type();
  core::check(type == core::ScalarType::Float || type == core::ScalarType::Double, op, "values",
              "be float32 or float64");
  core::check_contiguous(values, type, op, "values");
  core::check_same_device(region, values, op, "region");
  core::check_contiguous(region, core::ScalarType::Int, op, "region");
  core::check_same_device(sizes, values, op, "sizes");
  core::check_contiguous(sizes, core::ScalarType::Double, op, "sizes");
  core::check(region.numel() == values.numel(), op, "region", "have one entry per value");
  core::check(sizes.numel() > 0, op, "sizes", "not be empty");
}

}  // namespace fastsciml::medium
