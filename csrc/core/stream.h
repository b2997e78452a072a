// A tensor's device as the current one, and torch's stream on it.
#pragma once

#include "core/launch.h"
#include "core/tensor.h"

#ifdef __CUDACC__
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#endif

namespace fastsciml::core {

// While it lives, launches go to the device of a tensor, whichever is current outside.
class OnDeviceOf {
 public:
#ifdef __CUDACC__
  explicit OnDeviceOf(const Tensor& tensor) : guard_(tensor.get_device_index()) {}

 private:
  torch::stable::accelerator::DeviceGuard guard_;
#else
  explicit OnDeviceOf(const Tensor&) {}
#endif
};

inline Stream current_stream([[maybe_unused]] const Tensor& tensor) {
#ifdef __CUDACC__
  void* stream = nullptr;
  const auto error = aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream);
  STD_TORCH_CHECK(error == 0, "torch has no current CUDA stream on this device");
  return static_cast<Stream>(stream);
#else
  return {};
#endif
}

}  // namespace fastsciml::core
