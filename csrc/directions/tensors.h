// What every device asks of a conjugate-direction step's tensors; layouts in operators.h.
#pragma once

#include "directions/operators.h"
#include "poisson/tensors.h"

namespace fastsciml::directions {

// Directions and residuals: rows in halves, for a grid [nx, ny, nz].
inline void check_rows(const char* op, const char* name, const Tensor& rows, const Tensor& like, int64_t nx, int64_t ny,
                       int64_t nz) {
  core::check_same_device(rows, like, op, name);
  core::check_contiguous(rows, core::ScalarType::Float, op, name);
  core::check(poisson::has_shape(rows, {nx, ny, 2 * multigrid::half_of(nz)}), op, name,
              "have the shape of rows in halves");
}

inline void check_directions(const char* op, const std::vector<Tensor>& directions, const Tensor& like, int64_t nx,
                             int64_t ny, int64_t nz) {
  core::check(directions.size() <= kMostDirections, op, "directions", "be at most 8");
  for (const Tensor& direction : directions) check_rows(op, "every direction", direction, like, nx, ny, nz);
}

// length, then the beta of every direction.
inline void check_lengths(const char* op, const Tensor& lengths, const Tensor& like,
                          const std::vector<Tensor>& directions) {
  core::check_same_device(lengths, like, op, "lengths");
  core::check_contiguous(lengths, core::ScalarType::Double, op, "lengths");
  core::check(lengths.numel() == static_cast<int64_t>(1 + directions.size()), op, "lengths",
              "have one entry more than there are directions");
}

inline void check_line_search(const Tensor& z, const std::vector<Tensor>& directions, const Tensor& r,
                              const Ints& extents, const multigrid::LevelTensors& level) {
  constexpr const char* op = "conjugate_line_search";
  core::check(extents.size() >= 3, op, "extents", "have three entries per level");
  check_rows(op, "z", z, z, extents[0], extents[1], extents[2]);
  check_directions(op, directions, z, extents[0], extents[1], extents[2]);
  check_rows(op, "r", r, z, extents[0], extents[1], extents[2]);
  for (const Tensor* tensor : {&level.axes, &level.maps, &level.diagonals, &level.z_couplings, level.faces}) {
    core::check_same_device(*tensor, z, op, "the hierarchy");
  }
}

inline void check_step(const Tensor& u, const Tensor& z, const std::vector<Tensor>& directions, const Tensor& r,
                       const Tensor& f, const poisson::Operator& a, const Tensor& lengths) {
  constexpr const char* op = "conjugate_direction_step";
  const auto type = u.scalar_type();
  core::check(u.dim() == 3 && u.numel() > 0, op, "u", "be a non-empty [nx, ny, nz] tensor");
  core::check(type == core::ScalarType::Float || type == core::ScalarType::Double, op, "u", "be float32 or float64");
  core::check_contiguous(u, type, op, "u");
  const int64_t nx = u.size(0), ny = u.size(1), nz = u.size(2);
  check_rows(op, "z", z, u, nx, ny, nz);
  check_directions(op, directions, u, nx, ny, nz);
  check_rows(op, "r", r, u, nx, ny, nz);
  core::check_same_device(f, u, op, "f");
  core::check_contiguous(f, type, op, "f");
  core::check_same_shape(u, f, op, "f");
  poisson::check_operator(op, u, nx, ny, nz, a);
  check_lengths(op, lengths, u, directions);
}

}  // namespace fastsciml::directions
