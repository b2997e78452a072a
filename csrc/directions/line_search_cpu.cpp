// Inner products of a conjugate-direction step on the CPU; formulae in operators.h. Cells count by their volume, in
// which A is self-adjoint on every grid.

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <array>
#include <vector>

#include "core/parallel.h"
#include "directions/tensors.h"
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

// Products over half a row, `weight` being the cells' widths along z.
template <bool kWeighted>
Products half_products(const float* __restrict z, const float* __restrict p, const float* __restrict r,
                       const float* __restrict diagonal, const float* __restrict weight, const HalfStencil& stencil,
                       int64_t n) {
  const HalfStencil s = stencil;
  float z_az = 0, p_az = 0, r_z = 0, r_p = 0;
#pragma omp simd reduction(+ : z_az, p_az, r_z, r_p)
  for (int64_t m = 0; m < n; ++m) {
    const float az = weight[m] * (diagonal[m] * z[m] - s.neighbours<kWeighted>(m)), wr = weight[m] * r[m];
    z_az += z[m] * az;
    p_az += p[m] * az;
    r_z += wr * z[m];
    r_p += wr * p[m];
  }
  return {z_az, p_az, r_z, r_p};
}

// The neighbouring row in x or y; past a non-periodic end, where the coupling is 0, any row will do.
int64_t neighbour(const Axis& axis, int64_t i, int64_t step) {
  const int64_t j = i + step;
  return j >= 0 && j < axis.extent ? j : (axis.periodic ? axis.wrap(j) : i);
}

// Products over row (i, j); `padded` is scratch with zeros in its gap.
template <bool kWeighted>
Products row_products(const Level& level, const float* z, const float* p, const float* r, int64_t i, int64_t j,
                      float* padded) {
  const int64_t row = level.row(i, j);
  std::copy_n(z + row, level.half, padded);
  std::copy_n(z + row + level.half, level.half, padded + PaddedRow::odd(level));
  PaddedRow::wrap_ends(level, padded);
  const double area = static_cast<double>(level.x.weight[i]) * static_cast<double>(level.y.weight[j]);
  Products sums{};
  for (int64_t which : {0, 1}) {
    const int64_t h = which * level.half;
    HalfStencil s = multigrid::couplings_of<kWeighted>(level, i, j, which);
    s.below_x = z + level.row(neighbour(level.x, i, -1), j) + h;
    s.above_x = z + level.row(neighbour(level.x, i, 1), j) + h;
    s.below_y = z + level.row(i, neighbour(level.y, j, -1)) + h;
    s.above_y = z + level.row(i, neighbour(level.y, j, 1)) + h;
    s.near = padded + PaddedRow::half(level, 1 - which);
    s.far = s.near + (which ? 1 : -1);
    add(sums,
        half_products<kWeighted>(z + row + h, p + row + h, r + row + h, level.diagonal + level.diagonal_row(i, j) + h,
                                 level.z.weight + h, s, level.half));
  }
  for (double& sum : sums) sum *= area;
  return sums;
}

}  // namespace

Tensor conjugate_line_search(Tensor z, Tensor p, Tensor r, Ints extents, Ints periodic, Tensor axes, Tensor maps,
                             Tensor diagonals, Tensor z_couplings, Tensor faces) {
  const multigrid::LevelTensors tensors{axes, maps, diagonals, z_couplings, &faces};
  check_line_search(z, p, r, extents, tensors);
  const Level level = multigrid::level_of(0, extents, periodic, tensors);
  const auto* zs = core::data<float>(z);
  const auto* ps = core::data<float>(p);
  const auto* rs = core::data<float>(r);

  // One sum per plane, added in order: the result does not depend on the number of threads.
  std::vector<Products> planes(static_cast<size_t>(level.x.extent));
  core::parallel_range(level.x.extent, level.cells() / level.x.extent, [&](int64_t begin, int64_t end) {
    std::vector<float> padded(static_cast<size_t>(PaddedRow::stride(level)));
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < level.y.extent; ++j) {
        multigrid::with_weights(level.weighted(i, j), [&](auto weighted) {
          add(planes[static_cast<size_t>(i)], row_products<weighted.value>(level, zs, ps, rs, i, j, padded.data()));
        });
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
