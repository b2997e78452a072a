// A packed medium's level as the V-cycle reads it:
//   diagonal = sum over the faces of a cell of face * coupling + reaction,  relaxation / diagonal, 0 where that is 0
//   near, far = face_z * coupling, 0 at the ends of an axis that is not periodic
// Rows are in halves: both cells of index m have their common face at index m of the odd faces' half; the even faces'
// half has the one below the even cell at m and the one above the odd cell at m + 1. So every loop runs at unit stride.
//   faces, face_z, reaction -> diagonals, z_couplings [2, rows, 2 half], stored [nx, ny];
//   moves 12 bytes per cell, 28 where there are obstacles, and 4 more with a reaction
// Caller: ops/packed_medium.py.

#include <algorithm>

#include "core/parallel.h"
#include "medium/shared_rows.h"
#include "multigrid/split_row.h"

namespace fastsciml::medium {
namespace {

// z's couplings in halves, [2 half] each.
struct ZCouplings {
  std::vector<float> lower, upper;  // across each cell's faces
  std::vector<float> near, far;     // to each cell's neighbours

  ZCouplings(const Couplings& couplings, int64_t n, bool periodic)
      : lower(split(couplings.lower[2], n)), upper(split(couplings.upper[2], n)), near(lower), far(lower) {
    const int64_t half = half_of(n);
    std::copy_n(upper.begin(), half, near.begin());
    std::copy_n(upper.begin() + half, half, far.begin() + half);
    if (periodic) return;
    const int64_t last = n - 1;
    far[0] = 0.0f;
    (last % 2 ? far[static_cast<size_t>(half + last / 2)] : near[static_cast<size_t>(last / 2)]) = 0.0f;
  }

 private:
  static std::vector<float> split(const float* row, int64_t n) {
    std::vector<float> halves(static_cast<size_t>(2 * half_of(n)));
    multigrid::split_row(halves.data(), row, 1.0f, n, half_of(n));
    return halves;
  }
};

struct Row {
  const float *x_lower, *x_upper, *y_lower, *y_upper;  // [2 half] faces of the row's cells
  const float* z;                                      // [2 half_z]
  const float* reaction;                               // [2 half], or null
  float couplings[4];                                  // across the four faces of x and y
};

bool all_are(const float* values, int64_t n, float value) {
  int32_t other = 0;
#pragma omp simd reduction(| : other)
  for (int64_t m = 0; m < n; ++m) other |= values[m] != value;
  return other == 0;
}

// Whether a row in halves has the value in all of its n cells; the padding differs.
bool row_is(const float* row, int64_t n, float value) {
  return all_are(row, (n + 1) / 2, value) && all_are(row + half_of(n), n / 2, value);
}

// Whether all faces of the row conduct 1 and nothing reacts.
bool is_plain(const Row& row, int64_t n) {
  for (const float* faces : {row.x_lower, row.x_upper, row.y_lower, row.y_upper}) {
    if (!row_is(faces, n, 1.0f)) return false;
  }
  return row_is(row.z, n + 1, 1.0f) && (row.reaction == nullptr || row_is(row.reaction, n, 0.0f));
}

void diagonal_row(float* __restrict out, float* __restrict inverse, const Row& row, const ZCouplings& z, int64_t half,
                  int64_t half_z, float relaxation) {
  const auto [xl, xu, yl, yu] = row.couplings;
  const float *even = row.z, *odd = row.z + half_z;
#pragma omp simd
  for (int64_t m = 0; m < 2 * half; ++m)
    out[m] = xl * row.x_lower[m] + xu * row.x_upper[m] + yl * row.y_lower[m] + yu * row.y_upper[m];
  const float *lower = z.lower.data(), *upper = z.upper.data();
#pragma omp simd
  for (int64_t m = 0; m < half; ++m) {
    out[m] += lower[m] * even[m] + upper[m] * odd[m];
    out[half + m] += lower[half + m] * odd[m] + upper[half + m] * even[m + 1];
  }
  if (row.reaction != nullptr) {
#pragma omp simd
    for (int64_t m = 0; m < 2 * half; ++m) out[m] += row.reaction[m];
  }
#pragma omp simd
  for (int64_t m = 0; m < 2 * half; ++m) inverse[m] = out[m] > 0 ? relaxation / out[m] : 0.0f;
}

void z_row(float* __restrict near, float* __restrict far, const float* faces, const ZCouplings& z, int64_t half,
           int64_t half_z) {
  const float *even = faces, *odd = faces + half_z, *to_near = z.near.data(), *to_far = z.far.data();
#pragma omp simd
  for (int64_t m = 0; m < half; ++m) {
    near[m] = to_near[m] * odd[m];
    near[half + m] = to_near[half + m] * odd[m];
    far[m] = to_far[m] * even[m];
    far[half + m] = to_far[half + m] * even[m + 1];
  }
}

}  // namespace

std::tuple<Tensor, Tensor, Tensor> medium_level(Tensor faces, Tensor face_z, Tensor reaction, Tensor couplings,
                                                Flags extents, bool periodic_z, double relaxation) {
  constexpr const char* op = "medium_level";
  core::check(extents.size() == 3, op, "extents", "have three entries");
  const Extents n{extents[0], extents[1], extents[2]};
  const PackedRows<const float> medium = rows_to_read(faces, face_z, reaction, n, op);
  const Couplings coupling(couplings, n, op);
  const ZCouplings z(coupling, n[2], periodic_z);
  const int64_t rows = n[0] * n[1], half = medium.half();
  const auto row_at = [&](int64_t row) {
    const int64_t i = row / n[1], j = row % n[1];
    return Row{medium.face_x(i, j),
               medium.face_x(i + 1, j),
               medium.face_y(i, j),
               medium.face_y(i, j + 1),
               medium.face_z(i, j),
               medium.reaction != nullptr ? medium.reaction_row(i, j) : nullptr,
               {coupling.lower[0][i], coupling.upper[0][i], coupling.lower[1][j], coupling.upper[1][j]}};
  };
  std::vector<uint8_t> plain(static_cast<size_t>(rows));
  core::parallel_range(rows, n[2], [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) plain[static_cast<size_t>(row)] = is_plain(row_at(row), n[2]);
  });
  Tensor stored = torch::stable::new_empty(faces, {rows}, core::ScalarType::Int);
  const std::vector<int64_t> kept = share_rows(plain, coupling, n, true, core::mutable_data<int32_t>(stored));
  const auto count = static_cast<int64_t>(kept.size());
  Tensor diagonals = empty_floats(faces, {2, count, 2 * half});
  Tensor z_couplings = empty_floats(faces, {2, count, 2 * half});
  float* diagonal = core::mutable_data<float>(diagonals);
  float* near = core::mutable_data<float>(z_couplings);
  const int64_t second = count * 2 * half;

  core::parallel_range(count, n[2], [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t at = row * 2 * half;
      const Row parts = row_at(kept[static_cast<size_t>(row)]);
      diagonal_row(diagonal + at, diagonal + second + at, parts, z, half, medium.half_z(),
                   static_cast<float>(relaxation));
      z_row(near + at, near + second + at, parts.z, z, half, medium.half_z());
    }
  });
  return {diagonals, z_couplings, stored};
}

}  // namespace fastsciml::medium
