// From torch's tensors to grids of three axes.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/dtypes.h"
#include "core/tensor.h"
#include "stencils/rows.h"

namespace fastsciml::stencils {

using core::Tensor;

struct Extents {
  int64_t z = 1, y = 1, x = 1;

  Extents() = default;
  template <class Sizes>
  Extents(const Sizes& sizes, int64_t dims) {
    int64_t* last[] = {&x, &y, &z};
    for (int64_t d = 0; d < dims; ++d) *last[d] = sizes(dims - 1 - d);
  }
  bool operator==(const Extents&) const = default;
};

inline Extents extents_of(const Tensor& field) {
  return {[&](int64_t d) { return field.size(d + 2); }, field.dim() - 2};
}

inline Extents extents_of(const std::vector<int64_t>& extents) {
  return {[&](int64_t d) { return extents[static_cast<size_t>(d)]; }, static_cast<int64_t>(extents.size())};
}

template <class Stored>
Field<Stored> field_of(const Tensor& tensor) {
  const Extents n = extents_of(tensor);
  return {core::data<Stored>(tensor), tensor.size(1), n.z, n.y, n.x};
}

// What is asked of a field: [batch, channels, 1 to 3 extents], not empty, contiguous.
inline void check_field(const Tensor& field, core::ScalarType type, const char* op, const char* name) {
  core::check_contiguous(field, type, op, name);
  core::check(field.dim() >= 3 && field.dim() <= 5 && field.numel() > 0, op, name,
              "be a non-empty [batch, channels, 1 to 3 extents] tensor");
}

// The kind and boundary of a call on grids of so many axes, checked.
struct Call {
  Kind kind;
  Boundary boundary;
  int64_t dims;

  Call(const char* op, int64_t kind_, int64_t boundary_, int64_t dims_)
      : kind(static_cast<Kind>(kind_)), boundary(static_cast<Boundary>(boundary_)), dims(dims_) {
    core::check(kind_ >= 0 && kind_ <= 3, op, "kind", "be 0 to 3");
    core::check(boundary_ >= 0 && boundary_ <= 2, op, "boundary", "be 0 to 2");
  }

  int64_t taps_along(int64_t axis) const { return axis < dims ? taps_of(kind).count : 1; }  // x, y, z
  int64_t taps() const { return taps_along(0) * taps_along(1) * taps_along(2); }

  void check_weight(const std::vector<int64_t>& shape, int64_t channels, int64_t channels_of_x, const char* op) const {
    bool fits = static_cast<int64_t>(shape.size()) == dims + 2;
    for (size_t d = 2; fits && d < shape.size(); ++d) fits = shape[d] == taps_of(kind).count;
    const bool turned = kind == Kind::kProlong;
    fits = fits && shape[turned ? 1 : 0] == channels && shape[turned ? 0 : 1] == channels_of_x;
    core::check(fits, op, "weight", "have the channels of both fields and the taps of its kind");
  }

  // Extents of x and of what its stencil gives out.
  void check_grids(const Extents& x, const Extents& out, const char* op) const {
    const int64_t pairs[][2] = {{x.x, out.x}, {x.y, out.y}, {x.z, out.z}};
    bool fits = true;
    for (int64_t axis = 0; axis < dims; ++axis) {
      const auto [of_x, of_out] = pairs[axis];
      const int64_t fine = kind == Kind::kProlong ? of_out : of_x, coarse = kind == Kind::kProlong ? of_x : of_out;
      const int64_t stride = taps_of(kind).stride;
      fits = fits && coarse == (fine + stride - 1) / stride;
      fits = fits && (of_x > 1 || boundary != Boundary::kNeumann || kind == Kind::kPoint);
    }
    core::check(fits, op, "extents", "fit the kind of stencil, with two points at least at a Neumann boundary");
  }

  // Along each axis the sums of a stencil, or of its transpose.
  Axes axes(const Extents& x, const Extents& out, bool transpose) const {
    const auto axis = [&](int64_t number, int64_t of_x, int64_t of_out) {
      const Taps taps = number < dims ? taps_of(kind) : taps_of(Kind::kPoint);
      const bool to_coarse = (kind == Kind::kProlong && number < dims) == transpose;
      return Axis{taps, to_coarse, transpose, boundary, transpose ? of_out : of_x, transpose ? of_x : of_out};
    };
    return {axis(2, x.z, out.z), axis(1, x.y, out.y), axis(0, x.x, out.x)};
  }
};

inline std::vector<int64_t> shape_of(const Tensor& tensor) {
  std::vector<int64_t> shape;
  for (int64_t d = 0; d < tensor.dim(); ++d) shape.push_back(tensor.size(d));
  return shape;
}

}  // namespace fastsciml::stencils
