// The seven-point stencil at one cell, for the CPU and CUDA kernels alike.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define FASTSCIML_HOST_DEVICE __host__ __device__
#else
#define FASTSCIML_HOST_DEVICE
#endif

namespace fastsciml::poisson {

inline constexpr int kUnknownBit = 6;
inline constexpr uint8_t kAllOpen = 0x7f;

// One axis of the grid as a kernel sees it.
template <class T>
struct Axis {
  int64_t extent;
  int64_t stride;  // elements from a cell to its upper neighbour, and from its lower face to its upper one
  bool periodic;
  const T* lower;  // [extent] coupling of the lower face
  const T* upper;  // [extent] coupling of the upper face
};

template <class T>
struct Grid {
  Axis<T> x, y, z;
  const uint8_t* faces;  // [x, y, z], or null
  const T* face_x;       // [x + 1, y, z] } what faces conduct per unit of their coupling, face i being the lower one
  const T* face_y;       // [x, y + 1, z] } of cell i; or all null: 1
  const T* face_z;       // [x, y, z + 1] }
  const T* alpha;        // [x, y, z], or a single one, or null: 0
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
template <class T>
FASTSCIML_HOST_DEVICE inline T axis_share(const Axis<T>& axis, const T* u, int64_t i, unsigned open, const T* face) {
  const int64_t around = axis.stride * (axis.extent - 1);
  T share = 0;
  if (open & 1u) {
    const T below = i > 0 ? u[-axis.stride] : (axis.periodic ? u[around] : T{0});
    share += axis.lower[i] * (face ? *face : T{1}) * (*u - below);
  }
  if (open & 2u) {
    const T above = i + 1 < axis.extent ? u[axis.stride] : (axis.periodic ? u[-around] : T{0});
    share += axis.upper[i] * (face ? face[axis.stride] : T{1}) * (*u - above);
  }
  return share;
}

// (A u) at cell (i, j, k); u points at the cell.
template <class T>
FASTSCIML_HOST_DEVICE inline T apply_at(const Grid<T>& grid, const T* u, int64_t i, int64_t j, int64_t k) {
  const int64_t cell = grid.cell(i, j, k);
  const unsigned open = grid.faces ? grid.faces[cell] : kAllOpen;
  if (!(open >> kUnknownBit & 1u)) return T{0};
  const bool conducts = grid.face_x != nullptr;
  return grid.alpha_at(cell) * *u + axis_share(grid.x, u, i, open, conducts ? grid.face_x + cell : nullptr) +
         axis_share(grid.y, u, j, open >> 2, conducts ? grid.face_y + grid.y_face(i, j, k) : nullptr) +
         axis_share(grid.z, u, k, open >> 4, conducts ? grid.face_z + grid.z_face(i, j, k) : nullptr);
}

// Views the operator's arguments (poisson/operators.h) as a grid; `face` has the three arrays, or none.
template <class T>
Grid<T> make_grid(int64_t nx, int64_t ny, int64_t nz, const T* couplings, const int64_t* periodic, const uint8_t* faces,
                  const T* const* face, const T* alpha, bool alpha_varies) {
  const T* y = couplings + 2 * nx;
  const T* z = y + 2 * ny;
  return {.x = {nx, ny * nz, periodic[0] != 0, couplings, couplings + nx},
          .y = {ny, nz, periodic[1] != 0, y, y + ny},
          .z = {nz, 1, periodic[2] != 0, z, z + nz},
          .faces = faces,
          .face_x = face ? face[0] : nullptr,
          .face_y = face ? face[1] : nullptr,
          .face_z = face ? face[2] : nullptr,
          .alpha = alpha,
          .alpha_varies = alpha_varies};
}

}  // namespace fastsciml::poisson
