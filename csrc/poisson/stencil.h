// The seven-point stencil at one cell, for the CPU and CUDA kernels alike.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define FASTSCIML_HOST_DEVICE __host__ __device__
#else
#define FASTSCIML_HOST_DEVICE
#endif

namespace fastsciml::poisson {

inline constexpr int kFluidBit = 6;
inline constexpr uint8_t kAllOpen = 0x7f;

// One axis of the grid as a kernel sees it.
template <class T>
struct Axis {
  int64_t extent;
  int64_t stride;  // elements from a cell to its upper neighbour
  bool periodic;
  const T* lower;  // [extent] coupling of the lower face
  const T* upper;  // [extent] coupling of the upper face
};

template <class T>
struct Grid {
  Axis<T> x, y, z;
  const uint8_t* faces;  // [x, y, z], or null
  T alpha;

  int64_t cells() const { return x.extent * y.extent * z.extent; }
};

// The share of one axis in (A u) at index i along it; u points at the cell, `open` has the axis's two bits lowest.
template <class T>
FASTSCIML_HOST_DEVICE inline T axis_share(const Axis<T>& axis, const T* u, int64_t i, unsigned open) {
  const int64_t around = axis.stride * (axis.extent - 1);
  T share = 0;
  if (open & 1u) {
    const T below = i > 0 ? u[-axis.stride] : (axis.periodic ? u[around] : T{0});
    share += axis.lower[i] * (*u - below);
  }
  if (open & 2u) {
    const T above = i + 1 < axis.extent ? u[axis.stride] : (axis.periodic ? u[-around] : T{0});
    share += axis.upper[i] * (*u - above);
  }
  return share;
}

// (A u) at cell (i, j, k); u points at the cell.
template <class T>
FASTSCIML_HOST_DEVICE inline T apply_at(const Grid<T>& grid, const T* u, int64_t i, int64_t j, int64_t k) {
  const unsigned open = grid.faces ? grid.faces[(i * grid.y.extent + j) * grid.z.extent + k] : kAllOpen;
  if (!(open >> kFluidBit & 1u)) return T{0};
  return grid.alpha * *u + axis_share(grid.x, u, i, open) + axis_share(grid.y, u, j, open >> 2) +
         axis_share(grid.z, u, k, open >> 4);
}

// Views the operator's arguments (poisson/operators.h) as a grid.
template <class T>
Grid<T> make_grid(int64_t nx, int64_t ny, int64_t nz, const T* couplings, const int64_t* periodic, const uint8_t* faces,
                  T alpha) {
  const T* y = couplings + 2 * nx;
  const T* z = y + 2 * ny;
  return {.x = {nx, ny * nz, periodic[0] != 0, couplings, couplings + nx},
          .y = {ny, nz, periodic[1] != 0, y, y + ny},
          .z = {nz, 1, periodic[2] != 0, z, z + nz},
          .faces = faces,
          .alpha = alpha};
}

}  // namespace fastsciml::poisson
