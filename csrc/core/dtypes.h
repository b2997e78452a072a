// The way from a tensor's dtype to a kernel's type.
#pragma once

#include "core/storage.h"
#include "core/tensor.h"

namespace fastsciml::core {

// What x is computed in.
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

}  // namespace fastsciml::core
