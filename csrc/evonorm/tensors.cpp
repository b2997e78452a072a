#include "evonorm/tensors.h"

#include <array>

namespace fastsciml::evonorm {
namespace {

// Whether walking the dimensions in this order, the last fastest, walks memory; a dimension of 1 may have any stride.
template <class Order>
bool is_dense(const Tensor& x, Order dimension) {
  int64_t stride = 1;
  for (int64_t place = x.dim() - 1; place >= 0; --place) {
    const int64_t d = dimension(place);
    if (x.size(d) != 1 && x.stride(d) != stride) return false;
    stride *= x.size(d);
  }
  return true;
}

bool is_plain(const Tensor& x) {
  return is_dense(x, [](int64_t place) { return place; });
}

bool is_interleaved(const Tensor& x) {
  const int64_t last = x.dim() - 1;
  return is_dense(x, [last](int64_t place) { return place == last ? 1 : place == 0 ? 0 : place + 1; });
}

}  // namespace

Layout layout_of(const Tensor& x, const char* op) {
  const auto type = x.scalar_type();
  core::check(type == ScalarType::Float || type == ScalarType::Double || type == ScalarType::Half ||
                  type == ScalarType::BFloat16,
              op, "x", "be float32, float64, float16 or bfloat16");
  core::check(x.dim() >= 2 && x.numel() > 0, op, "x", "be a non-empty [N, C, ...] tensor");
  const bool plain = is_plain(x), interleaved = is_interleaved(x);
  core::check(plain || interleaved, op, "x", "be contiguous or channels_last");
  const int64_t samples = x.size(0), channels = x.size(1), space = x.numel() / (samples * channels);
  // Where both hold, a sample of one position is a row of channels.
  return {samples, channels, space, interleaved && (!plain || space == 1)};
}

void check_like(const Tensor& tensor, const Tensor& x, const char* op, const char* name) {
  core::check_same_shape(tensor, x, op, name);
  core::check(tensor.scalar_type() == x.scalar_type(), op, name, "have the dtype of x");
  core::check((is_plain(x) && is_plain(tensor)) || (is_interleaved(x) && is_interleaved(tensor)), op, name,
              "have the memory layout of x");
}

void check_real(const Tensor& tensor, const Tensor& x, int64_t elements, const char* op, const char* name) {
  core::check_contiguous(tensor, real_type(x), op, name);
  STD_TORCH_CHECK(tensor.numel() == elements, op, ": ", name, " must have ", elements, " elements");
}

void check_channels(const std::optional<Tensor>& tensor, const Tensor& x, const char* op, const char* name) {
  if (tensor) check_real(*tensor, x, x.size(1), op, name);
}

}  // namespace fastsciml::evonorm
