// What every operator asks of its tensors, in one sentence each, and typed access to their memory.
#pragma once

#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>

#include "core/memory.h"

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

inline void check_same_device(const Tensor& tensor, const Tensor& other, const char* op, const char* name) {
  check(tensor.is_cuda() == other.is_cuda() && tensor.get_device_index() == other.get_device_index(), op, name,
        "be on the device of the other tensors");
}

template <class T>
const T* data(const Tensor& tensor) {
  return static_cast<const T*>(tensor.data_ptr());
}

template <class T>
T* mutable_data(const Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

// A tensor's memory as kernels see it that may run on a device.
template <class T>
Memory<const T> memory(const Tensor& tensor) {
  return memory(data<T>(tensor), tensor.numel());
}

template <class T>
Memory<T> mutable_memory(const Tensor& tensor) {
  return memory(mutable_data<T>(tensor), tensor.numel());
}

}  // namespace fastsciml::core
