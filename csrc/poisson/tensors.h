// The Poisson operator as it travels through torch, checked, and viewed as a grid; layouts in operators.h.
#pragma once

#include <array>
#include <initializer_list>
#include <optional>
#include <vector>

#include "core/tensor.h"
#include "poisson/stencil.h"

namespace fastsciml::poisson {

using core::Tensor;

struct Operator {
  const Tensor& couplings;
  const std::vector<int64_t>& periodic;
  const std::optional<Tensor>& faces;
  const std::vector<Tensor>& coefficient;
  const std::optional<Tensor>& alpha;
};

inline bool has_shape(const Tensor& tensor, std::initializer_list<int64_t> shape) {
  bool same = tensor.dim() == static_cast<int64_t>(shape.size());
  int64_t d = 0;
  for (const int64_t n : shape) same = same && tensor.size(d++) == n;
  return same;
}

// What every device asks of the operator, for fields of `type` on [nx, ny, nz].
inline void check_operator(const char* op, core::ScalarType type, int64_t nx, int64_t ny, int64_t nz,
                           const Operator& a) {
  core::check_contiguous(a.couplings, type, op, "couplings");
  core::check(a.couplings.numel() == 2 * (nx + ny + nz), op, "couplings", "have 2 (nx + ny + nz) entries");
  core::check(a.periodic.size() == 3, op, "periodic", "have 3 entries");
  if (a.faces) {
    core::check_contiguous(*a.faces, core::ScalarType::Byte, op, "faces");
    core::check(has_shape(*a.faces, {nx, ny, nz}), op, "faces", "have the shape [nx, ny, nz] of u");
  }
  if (!a.coefficient.empty()) {
    for (const Tensor& face : a.coefficient) core::check_contiguous(face, type, op, "coefficient");
    core::check(a.coefficient.size() == 3 && has_shape(a.coefficient[0], {nx + 1, ny, nz}) &&
                    has_shape(a.coefficient[1], {nx, ny + 1, nz}) && has_shape(a.coefficient[2], {nx, ny, nz + 1}),
                op, "coefficient", "be three tensors [nx + 1, ny, nz], [nx, ny + 1, nz], [nx, ny, nz + 1]");
  }
  if (a.alpha) {
    core::check_contiguous(*a.alpha, type, op, "alpha");
    core::check(a.alpha->numel() == 1 || has_shape(*a.alpha, {nx, ny, nz}), op, "alpha",
                "have one entry or the shape [nx, ny, nz] of u");
  }
}

inline void check_apply(const Tensor& u, const Operator& a) {
  constexpr const char* op = "poisson_apply";
  const auto type = u.scalar_type();
  core::check(u.dim() == 4 && u.numel() > 0, op, "u", "be a non-empty [batch, nx, ny, nz] tensor");
  core::check(type == core::ScalarType::Float || type == core::ScalarType::Double, op, "u", "be float32 or float64");
  core::check_contiguous(u, type, op, "u");
  check_operator(op, type, u.size(1), u.size(2), u.size(3), a);
}

template <class T>
Grid<T> grid_of(const Operator& a, int64_t nx, int64_t ny, int64_t nz) {
  std::array<const T*, 3> face{};
  for (size_t axis = 0; axis < a.coefficient.size(); ++axis) face[axis] = core::data<T>(a.coefficient[axis]);
  return make_grid(nx, ny, nz, core::data<T>(a.couplings), a.periodic.data(),
                   a.faces ? core::data<uint8_t>(*a.faces) : nullptr, a.coefficient.empty() ? nullptr : face.data(),
                   a.alpha ? core::data<T>(*a.alpha) : nullptr, a.alpha && a.alpha->numel() > 1);
}

}  // namespace fastsciml::poisson
