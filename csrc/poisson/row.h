// The seven-point stencil along a row of cells, for the CPU: plain loops over k that the compiler vectorises.
#pragma once

#include <algorithm>
#include <type_traits>

#include "poisson/stencil.h"

namespace fastsciml::poisson {

// What a loop over row (i, j) reads. Past a non-periodic end stands a row of zeros.
template <class T>
struct Row {
  T lower_x, upper_x, lower_y, upper_y, alpha;
  const T* lower_z;
  const T* upper_z;
  const T* centre;  // [-1 .. nz]
  const T* below_x;
  const T* above_x;
  const T* below_y;
  const T* above_y;
  const uint8_t* open;
  const T* alphas;
  const T* face_lower_x;
  const T* face_upper_x;
  const T* face_lower_y;
  const T* face_upper_y;
  const T* face_z;  // [nz + 1]

  // (A u) at k, and 0 where there is no unknown, all worked out in Real.
  template <class Real, bool kFaces, bool kConducts, bool kAlphas>
  Real apply(int64_t k) const {
    const Real c = centre[k];
    Real lx = lower_x, ux = upper_x, ly = lower_y, uy = upper_y, lz = lower_z[k], uz = upper_z[k];
    Real a = kAlphas ? alphas[k] : alpha;
    if constexpr (kConducts) {
      lx *= face_lower_x[k];
      ux *= face_upper_x[k];
      ly *= face_lower_y[k];
      uy *= face_upper_y[k];
      lz *= face_z[k];
      uz *= face_z[k + 1];
    }
    if constexpr (kFaces) {
      const int bits = open[k];
      lx *= static_cast<Real>(bits & 1);
      ux *= static_cast<Real>(bits >> 1 & 1);
      ly *= static_cast<Real>(bits >> 2 & 1);
      uy *= static_cast<Real>(bits >> 3 & 1);
      lz *= static_cast<Real>(bits >> 4 & 1);
      uz *= static_cast<Real>(bits >> 5 & 1);
      a *= static_cast<Real>(bits >> kUnknownBit & 1);
    }
    return a * c + lx * (c - below_x[k]) + ux * (c - above_x[k]) + ly * (c - below_y[k]) + uy * (c - above_y[k]) +
           lz * (c - centre[k - 1]) + uz * (c - centre[k + 1]);
  }
};

// Whether every cell of a row is an unknown between open faces.
inline bool all_open(const uint8_t* bits, int64_t nz) {
  constexpr uint8_t kOpen = (2 << kUnknownBit) - 1;
  uint8_t closed = 0;
#pragma omp simd reduction(| : closed)
  for (int64_t k = 0; k < nz; ++k) closed |= bits[k] ^ kOpen;
  return closed == 0;
}

// Scratch for rows of nz cells: one with a ghost cell at both ends, and one of zeros.
template <class T>
struct RowScratch {
  static constexpr int64_t kMargin = 16;

  static int64_t size(int64_t nz) { return 2 * nz + 3 * kMargin; }
  RowScratch(T* storage, int64_t nz) : centre(storage + kMargin), zeros(storage + nz + 2 * kMargin) {
    std::fill_n(storage, size(nz), T{0});
  }

  T* centre;
  const T* zeros;
};

// Row (i, j) of u [x, y, z].
template <class T>
Row<T> row_of(const Grid<T>& grid, const T* u, int64_t i, int64_t j, const RowScratch<T>& scratch) {
  const int64_t ny = grid.y.extent, nz = grid.z.extent, cell = grid.cell(i, j, 0);
  std::copy_n(u + cell, nz, scratch.centre);
  scratch.centre[-1] = grid.z.periodic ? scratch.centre[nz - 1] : T{0};
  scratch.centre[nz] = grid.z.periodic ? scratch.centre[0] : T{0};
  const auto neighbour = [&](int64_t at, int64_t to, const Axis<T>& axis) {
    const bool inside = to >= 0 && to < axis.extent;
    if (!inside && !axis.periodic) return scratch.zeros;
    return u + cell + (inside ? to - at : to < 0 ? axis.extent - 1 : 1 - axis.extent) * axis.stride;
  };
  Row<T> row{};
  row.lower_x = grid.x.lower[i];
  row.upper_x = grid.x.upper[i];
  row.lower_y = grid.y.lower[j];
  row.upper_y = grid.y.upper[j];
  row.alpha = grid.alpha_varies ? T{0} : grid.alpha_at(0);
  row.lower_z = grid.z.lower;
  row.upper_z = grid.z.upper;
  row.centre = scratch.centre;
  row.below_x = neighbour(i, i - 1, grid.x);
  row.above_x = neighbour(i, i + 1, grid.x);
  row.below_y = neighbour(j, j - 1, grid.y);
  row.above_y = neighbour(j, j + 1, grid.y);
  if (grid.faces) row.open = grid.faces + cell;
  if (grid.alpha_varies) row.alphas = grid.alpha + cell;
  if (grid.face_x) {
    row.face_lower_x = grid.face_x + cell;
    row.face_upper_x = row.face_lower_x + ny * nz;
    row.face_lower_y = grid.face_y + grid.y_face(i, j, 0);
    row.face_upper_y = row.face_lower_y + nz;
    row.face_z = grid.face_z + grid.z_face(i, j, 0);
  }
  return row;
}

// body(faces, conducts, alphas), each std::true_type or std::false_type: what of it the grid has.
template <class T, class Body>
auto with_features(const Grid<T>& grid, Body body) {
  const auto pick = [](bool has, auto next) { return has ? next(std::true_type{}) : next(std::false_type{}); };
  return pick(grid.faces != nullptr, [&](auto faces) {
    return pick(grid.face_x != nullptr, [&](auto conducts) {
      return pick(grid.alpha_varies, [&](auto alphas) { return body(faces, conducts, alphas); });
    });
  });
}

}  // namespace fastsciml::poisson
