// What every operator asks of its tensors, in one sentence each, and typed access to their memory.
#pragma once

#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>

namespace fastsciml::core {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline void check(bool holds, const char* op, const char* name, const char* must) {
  STD_TORCH_CHECK(holds, op, ": ", name, " must ", must);
}

inline void check_contiguous(const Tensor& tensor, ScalarType type, const char* op, const char* name) {
  STD_TORCH_CHECK(tensor.scalar_type() == type, op, ": ", name, " has the wrong dtype");
  check(tensor.is_contiguous(), op, name, "be contiguous");
}

inline void check_same_shape(const Tensor& a, const Tensor& b, const char* op, const char* name) {
  bool same = a.dim() == b.dim();
  for (int64_t d = 0; same && d < a.dim(); ++d) same = a.size(d) == b.size(d);
  check(same, op, name, "have the shape of the other tensors");
}

template <class T>
const T* data(const Tensor& tensor) {
  return static_cast<const T*>(tensor.data_ptr());
}

template <class T>
T* mutable_data(const Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

}  // namespace fastsciml::core
