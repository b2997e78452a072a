// Inner products of a conjugate-direction step on the CPU; formulae in operators.h. Cells count by their volume, in
// which A is self-adjoint on every grid.
//
// Half a row at a time: A z is worked out in registers and meets z, r and up to two directions there. Where there are
// more, it stays in the L1 cache for the rest, two by two.

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <array>
#include <vector>

#include "core/cache.h"
#include "core/parallel.h"
#include "directions/tensors.h"
#include "multigrid/rows.h"

namespace fastsciml::directions {
namespace {

using multigrid::Axis;
using multigrid::HalfStencil;
using multigrid::Level;
using multigrid::PaddedRow;

struct Products {
  double z_az = 0, r_z = 0;
  std::array<double, kMostDirections> p_az{}, r_p{};

  void add(const Products& more, size_t count) {
    z_az += more.z_az;
    r_z += more.r_z;
    for (size_t d = 0; d < count; ++d) {
      p_az[d] += more.p_az[d];
      r_p[d] += more.r_p[d];
    }
  }
};

// The last directions, as many as `count`, [nx, ny, 2 half] each.
struct Directions {
  size_t count;
  std::array<const float*, kMostDirections> p;
};

// Half a row, which begins at `at` in the directions.
struct Half {
  const float* z;
  const float* r;
  const float* diagonal;
  const float* weight;  // the cells' widths along z
  int64_t at, n;
  double area;  // the cells' widths along x and y
};

// Adds the products with the first kCount directions, and leaves A z and r, both times the widths, where kept.
template <bool kWeighted, size_t kCount, bool kKept>
void half_products(Products& sums, const Half& half, const Directions& directions, const HalfStencil& stencil,
                   float* __restrict kept_az, float* __restrict kept_r) {
  const HalfStencil s = stencil;
  const float* __restrict z = half.z;
  const float* __restrict r = half.r;
  const float* __restrict diagonal = half.diagonal;
  const float* __restrict weight = half.weight;
  const float* __restrict p = kCount > 0 ? directions.p[0] + half.at : nullptr;
  const float* __restrict q = kCount > 1 ? directions.p[1] + half.at : nullptr;
  float z_az = 0, r_z = 0, p_az = 0, r_p = 0, q_az = 0, r_q = 0;
#pragma omp simd reduction(+ : z_az, r_z, p_az, r_p, q_az, r_q)
  for (int64_t m = 0; m < half.n; ++m) {
    const float az = weight[m] * (diagonal[m] * z[m] - s.neighbours<kWeighted>(m)), wr = weight[m] * r[m];
    z_az += z[m] * az;
    r_z += wr * z[m];
    if constexpr (kCount > 0) {
      p_az += p[m] * az;
      r_p += wr * p[m];
    }
    if constexpr (kCount > 1) {
      q_az += q[m] * az;
      r_q += wr * q[m];
    }
    if constexpr (kKept) {
      kept_az[m] = az;
      kept_r[m] = wr;
    }
  }
  sums.z_az += half.area * static_cast<double>(z_az);
  sums.r_z += half.area * static_cast<double>(r_z);
  if constexpr (kCount > 0) {
    sums.p_az[0] += half.area * static_cast<double>(p_az);
    sums.r_p[0] += half.area * static_cast<double>(r_p);
  }
  if constexpr (kCount > 1) {
    sums.p_az[1] += half.area * static_cast<double>(q_az);
    sums.r_p[1] += half.area * static_cast<double>(r_q);
  }
}

// Adds the products with directions d and d + 1, or d alone as both.
void pair_products(Products& sums, size_t d, const Half& half, const Directions& directions,
                   const float* __restrict kept_az, const float* __restrict kept_r) {
  const bool both = d + 1 < directions.count;
  const float* p = directions.p[d] + half.at;
  const float* q = directions.p[both ? d + 1 : d] + half.at;
  float p_az = 0, r_p = 0, q_az = 0, r_q = 0;
#pragma omp simd reduction(+ : p_az, r_p, q_az, r_q)
  for (int64_t m = 0; m < half.n; ++m) {
    p_az += p[m] * kept_az[m];
    r_p += kept_r[m] * p[m];
    q_az += q[m] * kept_az[m];
    r_q += kept_r[m] * q[m];
  }
  sums.p_az[d] += half.area * static_cast<double>(p_az);
  sums.r_p[d] += half.area * static_cast<double>(r_p);
  if (!both) return;
  sums.p_az[d + 1] += half.area * static_cast<double>(q_az);
  sums.r_p[d + 1] += half.area * static_cast<double>(r_q);
}

template <bool kWeighted>
void half_products(Products& sums, const Half& half, const Directions& directions, const HalfStencil& stencil,
                   float* kept) {
  float* kept_r = kept + half.n;
  switch (directions.count) {
    case 0:
      return half_products<kWeighted, 0, false>(sums, half, directions, stencil, kept, kept_r);
    case 1:
      return half_products<kWeighted, 1, false>(sums, half, directions, stencil, kept, kept_r);
    case 2:
      return half_products<kWeighted, 2, false>(sums, half, directions, stencil, kept, kept_r);
    default:
      half_products<kWeighted, 2, true>(sums, half, directions, stencil, kept, kept_r);
  }
  for (size_t d = 2; d < directions.count; d += 2) pair_products(sums, d, half, directions, kept, kept_r);
}

// The neighbouring row in x or y; past a non-periodic end, where the coupling is 0, any row will do.
int64_t neighbour(const Axis& axis, int64_t i, int64_t step) {
  const int64_t j = i + step;
  return j >= 0 && j < axis.extent ? j : (axis.periodic ? axis.wrap(j) : i);
}

// What row j + kRowsAhead brings that no row before it did: of z, that is the plane above.
void fetch_ahead(const Level& level, int64_t i, int64_t j, const float* z, const Directions& directions,
                 const float* r) {
  const int64_t stride = level.stride(), row = level.row(i, j) + core::kRowsAhead * stride;
  core::prefetch(z + row + level.y.extent * stride, stride);
  core::prefetch(r + row, stride);
  for (size_t d = 0; d < directions.count; ++d) core::prefetch(directions.p[d] + row, stride);
}

// Adds the products over row (i, j); `padded` is scratch with zeros in its gap, `kept` two halves of a row.
template <bool kWeighted>
void row_products(Products& sums, const Level& level, const float* z, const Directions& directions, const float* r,
                  int64_t i, int64_t j, float* padded, float* kept) {
  const int64_t row = level.row(i, j);
  std::copy_n(z + row, level.half, padded);
  std::copy_n(z + row + level.half, level.half, padded + PaddedRow::odd(level));
  PaddedRow::wrap_ends(level, padded);
  const double area = static_cast<double>(level.x.weight[i]) * static_cast<double>(level.y.weight[j]);
  for (int64_t which : {0, 1}) {
    const int64_t h = which * level.half;
    HalfStencil s = multigrid::couplings_of<kWeighted>(level, i, j, which);
    s.below_x = z + level.row(neighbour(level.x, i, -1), j) + h;
    s.above_x = z + level.row(neighbour(level.x, i, 1), j) + h;
    s.below_y = z + level.row(i, neighbour(level.y, j, -1)) + h;
    s.above_y = z + level.row(i, neighbour(level.y, j, 1)) + h;
    s.near = padded + PaddedRow::half(level, 1 - which);
    s.far = s.near + (which ? 1 : -1);
    const Half half{.z = z + row + h,
                    .r = r + row + h,
                    .diagonal = level.diagonal + level.diagonal_row(i, j) + h,
                    .weight = level.z.weight + h,
                    .at = row + h,
                    .n = level.half,
                    .area = area};
    half_products<kWeighted>(sums, half, directions, s, kept);
  }
}

}  // namespace

Tensor conjugate_line_search(Tensor z, std::vector<Tensor> directions, Tensor r, Ints extents, Ints periodic,
                             Tensor axes, Tensor maps, Tensor diagonals, Tensor z_couplings, Tensor faces) {
  const multigrid::LevelTensors tensors{axes, maps, diagonals, z_couplings, &faces};
  check_line_search(z, directions, r, extents, tensors);
  const Level level = multigrid::level_of(0, extents, periodic, tensors);
  const auto* zs = core::data<float>(z);
  const auto* rs = core::data<float>(r);
  Directions last{.count = directions.size(), .p = {}};
  for (size_t d = 0; d < last.count; ++d) last.p[d] = core::data<float>(directions[d]);

  // One sum per plane, added in order: the result does not depend on the number of threads.
  std::vector<Products> planes(static_cast<size_t>(level.x.extent));
  core::parallel_range(level.x.extent, level.cells() / level.x.extent, [&](int64_t begin, int64_t end) {
    std::vector<float> padded(static_cast<size_t>(PaddedRow::stride(level)));
    std::vector<float> kept(static_cast<size_t>(level.stride()));
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < level.y.extent; ++j) {
        fetch_ahead(level, i, j, zs, last, rs);
        multigrid::with_weights(level.weighted(i, j), [&](auto weighted) {
          row_products<weighted.value>(planes[static_cast<size_t>(i)], level, zs, last, rs, i, j, padded.data(),
                                       kept.data());
        });
      }
    }
  });

  Products sums;
  for (const Products& plane : planes) sums.add(plane, last.count);
  Tensor products = torch::stable::new_empty(z, {static_cast<int64_t>(2 + 2 * last.count)}, core::ScalarType::Double);
  auto* out = core::mutable_data<double>(products);
  *out++ = sums.z_az;
  *out++ = sums.r_z;
  out = std::copy_n(sums.p_az.begin(), last.count, out);
  std::copy_n(sums.r_p.begin(), last.count, out);
  return products;
}

}  // namespace fastsciml::directions
