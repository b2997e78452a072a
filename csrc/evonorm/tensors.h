// What the EvoNorm operators ask of their tensors.
#pragma once

#include <optional>

#include "core/dtypes.h"
#include "core/tensor.h"
#include "evonorm/layout.h"

namespace fastsciml::evonorm {

using core::Compute;
using core::real_type;
using core::ScalarType;
using core::Tensor;
using core::with_stored;

// Throws unless x is a floating [N, C, space...], plain or channels_last.
Layout layout_of(const Tensor& x, const char* op);

// Throws unless the tensor has x's shape, dtype and layout.
void check_like(const Tensor& tensor, const Tensor& x, const char* op, const char* name);

// Throws unless the tensor is contiguous, of the type x is computed in, with so many elements.
void check_real(const Tensor& tensor, const Tensor& x, int64_t elements, const char* op, const char* name);

// The same of a parameter, which has an entry for each of x's channels, or is absent.
void check_channels(const std::optional<Tensor>& tensor, const Tensor& x, const char* op, const char* name);

}  // namespace fastsciml::evonorm
