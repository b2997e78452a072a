// torch's current CUDA stream on a tensor's device.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include "core/tensor.h"

namespace fastsciml::core {

inline cudaStream_t current_stream(const Tensor& tensor) {
  void* stream = nullptr;
  const auto error = aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream);
  STD_TORCH_CHECK(error == 0, "torch has no current CUDA stream on this device");
  return static_cast<cudaStream_t>(stream);
}

}  // namespace fastsciml::core
