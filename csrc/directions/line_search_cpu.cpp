// Inner products of a conjugate-direction step on the CPU; formulae in operators.h. Cells count by their volume, in
// which A is self-adjoint on every grid.
//
// Half a row at a time: A z is worked out in registers and meets z, r and the directions there. A row's sums stay in
// vectors of float, whose lanes are added up in double once for both halves: with short rows, that adding is what
// costs.

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <array>
#include <vector>

#include "core/cache.h"
#include "core/lanes.h"
#include "core/parallel.h"
#include "directions/count.h"
#include "directions/tensors.h"
#include "multigrid/rows.h"

namespace fastsciml::directions {
namespace {

using core::Lanes;
using core::load;
using multigrid::Axis;
using multigrid::HalfStencil;
using multigrid::Level;
using multigrid::PaddedRow;

constexpr int64_t kLanes = core::kLanes<float>;
static_assert(multigrid::kRowUnit % kLanes == 0);

// In the order of the result.
using Products = std::array<double, 2 + 2 * kMostDirections>;
using Directions = std::array<const float*, kMostDirections>;  // [nx, ny, 2 half] each

// What a line search reads, [nx, ny, 2 half] each.
struct Arrays {
  const float* z;
  const float* r;
  Directions p;
};

// The sums of couplings times neighbours at m and on, as HalfStencil::neighbours.
template <bool kWeighted>
[[gnu::always_inline]] inline Lanes<float> neighbours_at(const HalfStencil& s, int64_t m) {
  Lanes<float> sum = load(s.near_z + m) * load(s.near + m) + load(s.far_z + m) * load(s.far + m);
  if constexpr (kWeighted) {
    sum += s.lower_x * load(s.face_lower_x + m) * load(s.below_x + m);
    sum += s.upper_x * load(s.face_upper_x + m) * load(s.above_x + m);
    sum += s.lower_y * load(s.face_lower_y + m) * load(s.below_y + m);
    sum += s.upper_y * load(s.face_upper_y + m) * load(s.above_y + m);
  } else {
    sum += s.lower_x * load(s.below_x + m) + s.upper_x * load(s.above_x + m);
    sum += s.lower_y * load(s.below_y + m) + s.upper_y * load(s.above_y + m);
  }
  return sum;
}

// The neighbouring row in x or y; past a non-periodic end, where the coupling is 0, any row will do.
int64_t neighbour(const Axis& axis, int64_t i, int64_t step) {
  const int64_t j = i + step;
  return j >= 0 && j < axis.extent ? j : (axis.periodic ? axis.wrap(j) : i);
}

// Adds the products over row (i, j); `padded` is scratch with zeros in its gap.
template <bool kWeighted, int kCount>
void add_row(Products& products, const Level& level, const Arrays& arrays, int64_t i, int64_t j, float* padded) {
  const float* z = arrays.z;
  const int64_t row = level.row(i, j);
  std::copy_n(z + row, level.half, padded);
  std::copy_n(z + row + level.half, level.half, padded + PaddedRow::odd(level));
  PaddedRow::wrap_ends(level, padded);
  const int64_t ahead = core::kRowsAhead * level.stride(), above = level.y.extent * level.stride();
  std::array<Lanes<float>, 2 + 2 * kCount> sums{};
  for (int64_t which : {0, 1}) {
    const int64_t h = which * level.half;
    HalfStencil s = multigrid::couplings_of<kWeighted>(level, i, j, which);
    s.below_x = z + level.row(neighbour(level.x, i, -1), j) + h;
    s.above_x = z + level.row(neighbour(level.x, i, 1), j) + h;
    s.below_y = z + level.row(i, neighbour(level.y, j, -1)) + h;
    s.above_y = z + level.row(i, neighbour(level.y, j, 1)) + h;
    s.near = padded + PaddedRow::half(level, 1 - which);
    s.far = s.near + (which ? 1 : -1);
    const float* diagonal = level.diagonal + level.diagonal_row(i, j) + h;
    const float* weight = level.z.weight + h;
    for (int64_t m = 0; m < level.half; m += kLanes) {
      const int64_t at = row + h + m;
      // What a row some rows ahead brings that none before it did: of z, that is the plane above. Line by line, between
      // the loads of this row: all at once, they would have to wait for each other.
      core::keep_prefetches();
      __builtin_prefetch(z + at + ahead + above);
      __builtin_prefetch(arrays.r + at + ahead);
#pragma GCC unroll 8
      for (size_t d = 0; d < kCount; ++d) __builtin_prefetch(arrays.p[d] + at + ahead);
      const Lanes<float> here = load(z + at), wide = load(weight + m);
      const Lanes<float> az = wide * (load(diagonal + m) * here - neighbours_at<kWeighted>(s, m));
      const Lanes<float> wr = wide * load(arrays.r + at);
      sums[0] += here * az;
      sums[1] += wr * here;
#pragma GCC unroll 8
      for (size_t d = 0; d < kCount; ++d) {
        const Lanes<float> p = load(arrays.p[d] + at);
        sums[2 + d] += p * az;
        sums[2 + kCount + d] += wr * p;
      }
    }
  }
  const double area = static_cast<double>(level.x.weight[i]) * static_cast<double>(level.y.weight[j]);
#pragma GCC unroll 18
  for (size_t k = 0; k < sums.size(); ++k) {
    products[k] += area * static_cast<double>(core::sum_of_lanes<float>(sums[k]));
  }
}

template <int kCount>
Products products_of(const Level& level, const Arrays& arrays) {
  // One sum per plane, added in order: the result does not depend on the number of threads.
  std::vector<Products> planes(static_cast<size_t>(level.x.extent));
  core::parallel_range(level.x.extent, level.cells() / level.x.extent, [&](int64_t begin, int64_t end) {
    std::vector<float> padded(static_cast<size_t>(PaddedRow::stride(level)));
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < level.y.extent; ++j) {
        multigrid::with_weights(level.weighted(i, j), [&](auto weighted) {
          add_row<weighted.value, kCount>(planes[static_cast<size_t>(i)], level, arrays, i, j, padded.data());
        });
      }
    }
  });
  Products sums{};
  for (const Products& plane : planes) {
    for (size_t k = 0; k < sums.size(); ++k) sums[k] += plane[k];
  }
  return sums;
}

}  // namespace

Tensor conjugate_line_search(Tensor z, std::vector<Tensor> directions, Tensor r, Ints extents, Ints periodic,
                             Tensor axes, Tensor maps, Tensor diagonals, Tensor z_couplings, Tensor faces) {
  const multigrid::LevelTensors tensors{axes, maps, diagonals, z_couplings, &faces};
  check_line_search(z, directions, r, extents, tensors);
  const Level level = multigrid::level_of(0, extents, periodic, tensors);
  Arrays arrays{.z = core::data<float>(z), .r = core::data<float>(r), .p = {}};
  std::transform(directions.begin(), directions.end(), arrays.p.begin(), core::data<float>);
  const Products sums =
      with_count(directions.size(), [&](auto count) { return products_of<count.value>(level, arrays); });
  const size_t size = 2 + 2 * directions.size();
  Tensor products = torch::stable::new_empty(z, {static_cast<int64_t>(size)}, core::ScalarType::Double);
  std::copy_n(sums.begin(), size, core::mutable_data<double>(products));
  return products;
}

}  // namespace fastsciml::directions
