// Inner products of a conjugate-direction step on the CPU; formulae in operators.h.

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <array>
#include <vector>

#include "core/parallel.h"
#include "core/tensor.h"
#include "directions/operators.h"
#include "multigrid/rows.h"

namespace fastsciml::directions {
namespace {

using multigrid::Axis;
using multigrid::HalfStencil;
using multigrid::Level;
using multigrid::PaddedRow;

using Products = std::array<double, 4>;  // <z, A z>, <p, A z>, <r, z>, <r, p>

void add(Products& sums, const Products& more) {
  for (size_t m = 0; m < sums.size(); ++m) sums[m] += more[m];
}

// Products over half a row.
Products half_products(const float* __restrict z, const float* __restrict p, const float* __restrict r,
                       const float* __restrict diagonal, const HalfStencil& stencil, int64_t n) {
  const HalfStencil s = stencil;
  float z_az = 0, p_az = 0, r_z = 0, r_p = 0;
#pragma omp simd reduction(+ : z_az, p_az, r_z, r_p)
  for (int64_t m = 0; m < n; ++m) {
    const float az = diagonal[m] * z[m] - s.neighbours<false>(m);
    z_az += z[m] * az;
    p_az += p[m] * az;
    r_z += r[m] * z[m];
    r_p += r[m] * p[m];
  }
  return {z_az, p_az, r_z, r_p};
}

// The neighbouring row in x or y; past a non-periodic end, where the coupling is 0, any row will do.
int64_t neighbour(const Axis& axis, int64_t i, int64_t step) {
  const int64_t j = i + step;
  return j >= 0 && j < axis.extent ? j : (axis.periodic ? axis.wrap(j) : i);
}

// Products over row (i, j); `padded` is scratch with zeros in its gap.
Products row_products(const Level& level, const float* z, const float* p, const float* r, int64_t i, int64_t j,
                      float* padded) {
  const int64_t row = level.row(i, j);
  std::copy_n(z + row, level.half, padded);
  std::copy_n(z + row + level.half, level.half, padded + PaddedRow::odd(level));
  PaddedRow::wrap_ends(level, padded);
  Products sums{};
  for (int64_t which : {0, 1}) {
    const int64_t h = which * level.half;
    const float* other = padded + PaddedRow::half(level, 1 - which);
    const HalfStencil stencil{.lower_x = level.x.lower[i],
                              .upper_x = level.x.upper[i],
                              .lower_y = level.y.lower[j],
                              .upper_y = level.y.upper[j],
                              .below_x = z + level.row(neighbour(level.x, i, -1), j) + h,
                              .above_x = z + level.row(neighbour(level.x, i, 1), j) + h,
                              .below_y = z + level.row(i, neighbour(level.y, j, -1)) + h,
                              .above_y = z + level.row(i, neighbour(level.y, j, 1)) + h,
                              .near = other,
                              .far = other + (which ? 1 : -1),
                              .near_z = level.near_z + h,
                              .far_z = level.far_z + h,
                              .open_lower_x = nullptr,
                              .open_upper_x = nullptr,
                              .open_lower_y = nullptr,
                              .open_upper_y = nullptr};
    add(sums, half_products(z + row + h, p + row + h, r + row + h, level.diagonal + level.diagonal_row(i, j) + h,
                            stencil, level.half));
  }
  return sums;
}

}  // namespace

Tensor conjugate_line_search(Tensor z, Tensor p, Tensor r, Ints extents, Ints periodic, Tensor axes, Tensor row_indices,
                             Tensor diagonals, Tensor z_couplings) {
  const Level level = multigrid::level_of(0, extents, periodic, {axes, row_indices, diagonals, z_couplings, nullptr});
  const auto* zs = core::data<float>(z);
  const auto* ps = core::data<float>(p);
  const auto* rs = core::data<float>(r);

  // One sum per plane, added in order: the result does not depend on the number of threads.
  std::vector<Products> planes(static_cast<size_t>(level.x.extent));
  core::parallel_range(level.x.extent, level.cells() / level.x.extent, [&](int64_t begin, int64_t end) {
    std::vector<float> padded(static_cast<size_t>(PaddedRow::stride(level)));
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < level.y.extent; ++j) {
        add(planes[static_cast<size_t>(i)], row_products(level, zs, ps, rs, i, j, padded.data()));
      }
    }
  });

  Tensor products = torch::stable::new_empty(z, {4}, core::ScalarType::Double);
  Products sums{};
  for (const Products& plane : planes) add(sums, plane);
  std::copy(sums.begin(), sums.end(), core::mutable_data<double>(products));
  return products;
}

}  // namespace fastsciml::directions
