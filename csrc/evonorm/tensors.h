// What the EvoNorm operators ask of their tensors, and the way from a dtype to a kernel's type.
#pragma once

#include <optional>

#include "core/tensor.h"
#include "evonorm/layout.h"
#include "evonorm/storage.h"

namespace fastsciml::evonorm {

using core::ScalarType;
using core::Tensor;

// Throws unless x is a floating [N, C, space...], plain or channels_last.
Layout layout_of(const Tensor& x, const char* op);

// Throws unless the tensor has x's shape, dtype and layout.
void check_like(const Tensor& tensor, const Tensor& x, const char* op, const char* name);

// Throws unless the tensor is contiguous, of the type x is computed in, with so many elements.
void check_real(const Tensor& tensor, const Tensor& x, int64_t elements, const char* op, const char* name);

inline ScalarType real_type(const Tensor& x) {
  return x.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

// Calls body with an element of x's type.
template <class Body>
auto with_stored(const Tensor& x, Body body) {
  switch (x.scalar_type()) {
    case ScalarType::Double:
      return body(double{});
    case ScalarType::Half:
      return body(Float16{});
    case ScalarType::BFloat16:
      return body(BFloat16{});
    default:
      return body(float{});
  }
}

}  // namespace fastsciml::evonorm
