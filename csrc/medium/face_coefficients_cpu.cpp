// A coefficient at the faces from one at the cells, k:
//   face = (w_a + w_b) / (w_a / k_a + w_b / k_b)   between cells a and b of widths w along the axis;
//   at a non-periodic end the one cell's k; at a periodic one both end faces are the seam's.
// The gradient, d face / d k_a = w_a / (w_a + w_b) * (face / k_a)^2, is in ops/face_coefficients.py.
//   cells [nx, ny, nz], widths [nx + ny + nz], float32 or float64 ->
//   [nx + 1, ny, nz], [nx, ny + 1, nz], [nx, ny, nz + 1];
//   moves 4 values per cell. 1 / k is kept for two planes, so that a cell costs four divisions.
// Caller: ops/face_coefficients.py.

#include <torch/csrc/stable/ops.h>

#include <algorithm>

#include "core/pages.h"
#include "core/parallel.h"
#include "medium/packed.h"

namespace fastsciml::medium {
namespace {

template <class T>
void mean_row(T* __restrict face, const T* a, const T* b, T width_a, T width_b, int64_t n) {
  const T sum = width_a + width_b;
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) face[k] = sum / (width_a * a[k] + width_b * b[k]);
}

template <class T>
struct Grid {
  Extents n;
  const T* cells;      // [nx, ny, nz]
  const T* widths[3];  // [extent] each
  const Flags& periodic;

  const T* row(int64_t i, int64_t j) const { return cells + (i * n[1] + j) * n[2]; }
  // Whether face f along an axis has a cell on either side, and which.
  struct Pair {
    bool inner;
    int64_t below, above;
  };
  Pair pair(size_t axis, int64_t f) const {
    const int64_t last = n[axis] - 1;
    const bool end = f == 0 || f > last;
    return {!end || periodic[axis] != 0, f == 0 ? last : f - 1, f > last ? 0 : f};
  }
};

// The reciprocals of two neighbouring planes at a time.
template <class T>
class Reciprocals {
 public:
  explicit Reciprocals(const Grid<T>& grid) : grid_(grid) {}

  const T* plane(int64_t i) {
    auto& slot = slots_[i % 2];
    if (slot.plane != i) {
      const int64_t cells = grid_.n[1] * grid_.n[2];
      slot.values.resize(static_cast<size_t>(cells));
      const T* __restrict from = grid_.cells + i * cells;
      T* __restrict to = slot.values.data();
#pragma omp simd
      for (int64_t m = 0; m < cells; ++m) to[m] = T{1} / from[m];
      slot.plane = i;
    }
    return slot.values.data();
  }

 private:
  struct Slot {
    int64_t plane = -1;
    std::vector<T> values;
  };
  const Grid<T>& grid_;
  Slot slots_[2];
};

template <class T>
struct Faces {
  T *x, *y, *z;
};

template <class T>
void faces_of_plane(const Faces<T>& out, const Grid<T>& grid, Reciprocals<T>& reciprocals, Reciprocals<T>& across_seam,
                    int64_t i) {
  const auto [nx, ny, n] = grid.n;
  const auto x = grid.pair(0, i);
  const bool seam = x.inner && (i == 0 || i == nx);
  for (int64_t j = 0; j < ny; ++j) {
    T* face = out.x + (i * ny + j) * n;
    if (!x.inner) {
      std::copy_n(grid.row(i == 0 ? 0 : nx - 1, j), n, face);
      continue;
    }
    const T* below = (seam ? across_seam : reciprocals).plane(x.below) + j * n;
    const T* above = reciprocals.plane(x.above) + j * n;
    mean_row(face, below, above, grid.widths[0][x.below], grid.widths[0][x.above], n);
  }
  if (i == nx) return;
  const T* plane = reciprocals.plane(i);
  for (int64_t j = 0; j <= ny; ++j) {
    T* face = out.y + (i * (ny + 1) + j) * n;
    const auto y = grid.pair(1, j);
    if (y.inner)
      mean_row(face, plane + y.below * n, plane + y.above * n, grid.widths[1][y.below], grid.widths[1][y.above], n);
    else
      std::copy_n(grid.row(i, j == 0 ? 0 : ny - 1), n, face);
  }
  const T* width = grid.widths[2];
  for (int64_t j = 0; j < ny; ++j) {
    T* __restrict face = out.z + (i * ny + j) * (n + 1);
    const T* __restrict reciprocal = plane + j * n;
#pragma omp simd
    for (int64_t k = 1; k < n; ++k)
      face[k] = (width[k - 1] + width[k]) / (width[k - 1] * reciprocal[k - 1] + width[k] * reciprocal[k]);
    if (grid.periodic[2]) {
      face[0] = (width[n - 1] + width[0]) / (width[n - 1] * reciprocal[n - 1] + width[0] * reciprocal[0]);
      face[n] = face[0];
    } else {
      face[0] = grid.row(i, j)[0];
      face[n] = grid.row(i, j)[n - 1];
    }
  }
}

template <class T>
void make_faces(const PackedMedium& out, const Tensor& cells, const Tensor& widths, const Extents& n,
                const Flags& periodic) {
  const T* w = core::data<T>(widths);
  const Grid<T> grid{n, core::data<T>(cells), {w, w + n[0], w + n[0] + n[1]}, periodic};
  const Faces<T> faces{core::mutable_data<T>(std::get<0>(out)), core::mutable_data<T>(std::get<1>(out)),
                       core::mutable_data<T>(std::get<2>(out))};
  core::parallel_range(n[0] + 1, 3 * n[1] * n[2], [&](int64_t begin, int64_t end) {
    Reciprocals<T> reciprocals(grid), across_seam(grid);
    for (int64_t i = begin; i < end; ++i) faces_of_plane(faces, grid, reciprocals, across_seam, i);
  });
}

}  // namespace

std::tuple<Tensor, Tensor, Tensor> face_coefficients(Tensor cells, Tensor widths, Flags periodic) {
  constexpr const char* op = "face_coefficients";
  const auto type = cells.scalar_type();
  const bool single = type == core::ScalarType::Float;
  core::check(single || type == core::ScalarType::Double, op, "cells", "be float32 or float64");
  const Extents n = extents_of(cells, type, op, "cells");
  core::check(periodic.size() == 3, op, "periodic", "have three entries");
  core::check_contiguous(widths, type, op, "widths");
  core::check(widths.numel() == n[0] + n[1] + n[2], op, "widths", "have one entry per cell along each axis");
  const auto make = [&](int64_t nx, int64_t ny, int64_t nz) {
    Tensor face = torch::stable::new_empty(cells, {nx, ny, nz}, type);
    core::advise_huge_pages(face);
    return face;
  };
  PackedMedium out{make(n[0] + 1, n[1], n[2]), make(n[0], n[1] + 1, n[2]), make(n[0], n[1], n[2] + 1)};
  if (single)
    make_faces<float>(out, cells, widths, n, periodic);
  else
    make_faces<double>(out, cells, widths, n, periodic);
  return out;
}

}  // namespace fastsciml::medium
