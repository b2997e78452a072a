// The Poisson operator as it travels through torch, checked, and viewed as a grid; layouts in operators.h.
#pragma once

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

// What every device asks of the operator, for fields like u on [nx, ny, nz].
inline void check_operator(const char* op, const Tensor& u, int64_t nx, int64_t ny, int64_t nz, const Operator& a) {
  const auto type = u.scalar_type();
  core::check_same_device(a.couplings, u, op, "couplings");
  if (a.faces) core::check_same_device(*a.faces, u, op, "faces");
  for (const Tensor& face : a.coefficient) core::check_same_device(face, u, op, "coefficient");
  if (a.alpha) core::check_same_device(*a.alpha, u, op, "alpha");
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
  check_operator(op, u, u.size(1), u.size(2), u.size(3), a);
}

// The operator's arguments as a grid [nx, ny, nz].
template <class T>
Grid<T> grid_of(const Operator& a, int64_t nx, int64_t ny, int64_t nz) {
  const auto couplings = core::memory<T>(a.couplings);
  const auto y = couplings + 2 * nx, z = y + 2 * ny;
  Grid<T> grid{.x = {nx, ny * nz, a.periodic[0] != 0, couplings, couplings + nx},
               .y = {ny, nz, a.periodic[1] != 0, y, y + ny},
               .z = {nz, 1, a.periodic[2] != 0, z, z + nz},
               .faces = nullptr,
               .face_x = nullptr,
               .face_y = nullptr,
               .face_z = nullptr,
               .alpha = nullptr,
               .alpha_varies = a.alpha && a.alpha->numel() > 1};
  if (a.faces) grid.faces = core::memory<uint8_t>(*a.faces);
  if (!a.coefficient.empty()) {
    grid.face_x = core::memory<T>(a.coefficient[0]);
    grid.face_y = core::memory<T>(a.coefficient[1]);
    grid.face_z = core::memory<T>(a.coefficient[2]);
  }
  if (a.alpha) grid.alpha = core::memory<T>(*a.alpha);
  return grid;
}

}  // namespace fastsciml::poisson
