// The seven-point stencil at one cell, for the CPU and CUDA kernels alike.
#pragma once

#include <cstdint>

#include "core/memory.h"

namespace fastsciml::poisson {

inline constexpr int kUnknownBit = 6;
inline constexpr uint8_t kAllOpen = 0x7f;

// One axis of the grid as a kernel sees it.
template <class T>
struct Axis {
  int64_t extent;
  int64_t stride;  // elements from a cell to its upper neighbour, and from its lower face to its upper one
  bool periodic;
  core::Memory<const T> lower;  // [extent] coupling of the lower face
  core::Memory<const T> upper;  // [extent] coupling of the upper face
};

template <class T>
struct Grid {
  Axis<T> x, y, z;
  core::Memory<const uint8_t> faces;  // [x, y, z], or null
  // What faces conduct per unit of their coupling, face i being the lower one of cell i; or all null: 1
  core::Memory<const T> face_x;  // [x + 1, y, z]
  core::Memory<const T> face_y;  // [x, y + 1, z]
  core::Memory<const T> face_z;  // [x, y, z + 1]
  core::Memory<const T> alpha;   // [x, y, z], or a single one, or null: 0
  bool alpha_varies;

  int64_t cells() const { return x.extent * y.extent * z.extent; }

  // Offsets of cell (i, j, k) and of its lower faces along y and z; that along x is the cell's.
  FASTSCIML_HOST_DEVICE int64_t cell(int64_t i, int64_t j, int64_t k) const {
    return (i * y.extent + j) * z.extent + k;
  }
  FASTSCIML_HOST_DEVICE int64_t y_face(int64_t i, int64_t j, int64_t k) const {
    return (i * (y.extent + 1) + j) * z.extent + k;
  }
  FASTSCIML_HOST_DEVICE int64_t z_face(int64_t i, int64_t j, int64_t k) const {
    return (i * y.extent + j) * (z.extent + 1) + k;
  }
  FASTSCIML_HOST_DEVICE T alpha_at(int64_t cell) const {
    return alpha == nullptr ? T{0} : alpha[alpha_varies ? cell : 0];
  }
};

// The share of one axis in (A u) at index i along it; u points at the cell, `open` has the axis's two bits lowest,
// `face` points at what the lower face conducts, or is null.
template <class Real, class T>
FASTSCIML_HOST_DEVICE inline Real axis_share(const Axis<T>& axis, core::Memory<const T> u, int64_t i, unsigned open,
                                             core::Memory<const T> face) {
  const int64_t around = axis.stride * (axis.extent - 1);
  const Real here = u[0];
  Real share = 0;
  if (open & 1u) {
    const T below = i > 0 ? u[-axis.stride] : (axis.periodic ? u[around] : T{0});
    share += static_cast<Real>(axis.lower[i]) * static_cast<Real>(face ? face[0] : T{1}) * (here - below);
  }
  if (open & 2u) {
    const T above = i + 1 < axis.extent ? u[axis.stride] : (axis.periodic ? u[-around] : T{0});
    share += static_cast<Real>(axis.upper[i]) * static_cast<Real>(face ? face[axis.stride] : T{1}) * (here - above);
  }
  return share;
}

// (A u) at cell (i, j, k), worked out in Real; u points at the cell.
template <class Real, class T>
FASTSCIML_HOST_DEVICE inline Real apply_at(const Grid<T>& grid, core::Memory<const T> u, int64_t i, int64_t j,
                                           int64_t k) {
  const int64_t cell = grid.cell(i, j, k);
  const unsigned open = grid.faces ? grid.faces[cell] : kAllOpen;
  if (!(open >> kUnknownBit & 1u)) return Real{0};
  core::Memory<const T> face_x = nullptr, face_y = nullptr, face_z = nullptr;
  if (grid.face_x) {
    face_x = grid.face_x + cell;
    face_y = grid.face_y + grid.y_face(i, j, k);
    face_z = grid.face_z + grid.z_face(i, j, k);
  }
  return static_cast<Real>(grid.alpha_at(cell)) * static_cast<Real>(u[0]) +
         axis_share<Real>(grid.x, u, i, open, face_x) + axis_share<Real>(grid.y, u, j, open >> 2, face_y) +
         axis_share<Real>(grid.z, u, k, open >> 4, face_z);
}

}  // namespace fastsciml::poisson
