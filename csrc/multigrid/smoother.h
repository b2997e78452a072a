// Red-black Gauss-Seidel with over-relaxation on the planes of a ring.
//
// An odd periodic axis closes between two cells of one colour. Taken at once they could diverge, so the cell at 0 sees
// the one before it, at the other end, updated.
#pragma once

#include "core/cache.h"
#include "multigrid/rows.h"
#include "multigrid/wavefront.h"

namespace fastsciml::multigrid {

inline bool closes_oddly(const Axis& axis) { return axis.periodic && axis.extent % 2 == 1 && axis.extent > 1; }

template <bool kWeighted>  // whether faces have open fractions
class Smoother {
 public:
  // f [x, y, 2 half]
  Smoother(const Level& level, const PlaneRing& v, const float* f) : level_(level), v_(v), f_(f) {}

  // The first half-sweep from a zero guess.
  void start(int64_t i, Range rows) const {
    for_each_row(i, rows, [&](int64_t x, int64_t y, float* v) {
      const int64_t h = half_of_colour(0, x, y) * level_.half;
      core::prefetch(f_ + level_.row(x, y) + core::kRowsAhead * level_.stride(), level_.stride());
      start_half(v + PaddedRow::half(level_, h != 0), f_ + level_.row(x, y) + h, inverse(x, y) + h, level_.half);
      std::fill_n(v + PaddedRow::half(level_, h == 0), level_.half, 0.0f);
      PaddedRow::wrap_ends(level_, v);
    });
  }

  void half_sweep(int64_t colour, int64_t i, Range rows) const {
    const Planes planes = planes_around(i);
    for_each_row(i, rows, [&](int64_t x, int64_t y, float* v) {
      const int64_t which = half_of_colour(colour, x, y), h = which * level_.half;
      const HalfStencil s = stencil(x, y, which, v, planes);
      const int64_t end = level_.z.extent / 2;
      const float last = v[end];
      relax_half<kWeighted>(v + PaddedRow::half(level_, which), f_ + level_.row(x, y) + h, inverse(x, y) + h,
                            1.0f - level_.relaxation, s, level_.half);
      if (which == 0 && closes_oddly(level_.z)) {
        v[0] += inverse(x, y)[0] * s.far_z[0] * (v[end] - last);
      }
      PaddedRow::wrap_ends(level_, v);
    });
  }

  // sums.row(j) += share (f - A v) on the rows of plane i, each as two halves without padding.
  template <class Sums>
  void add_residual(const Sums& sums, int64_t i, Range rows) const {
    const Planes planes = planes_around(i);
    for_each_row(i, rows, [&](int64_t x, int64_t y, float* v) {
      const float share = level_.x.share[x] * level_.y.share[y];
      for (int64_t which : {0, 1}) {
        const int64_t h = which * level_.half;
        residual_half<kWeighted>(sums.row(y) + h, share, v + PaddedRow::half(level_, which), f_ + level_.row(x, y) + h,
                                 level_.diagonal + level_.diagonal_row(x, y) + h, inverse(x, y) + h,
                                 stencil(x, y, which, v, planes), level_.half);
      }
    });
  }

  // body(x, y, padded row of v) for the rows of plane i, where (x, y) is the cell that a periodic halo stands for.
  template <class Body>
  void for_each_row(int64_t i, Range rows, Body body) const {
    const int64_t x = level_.x.wrap(i), stride = v_.row_stride();
    float* plane = v_.plane(i);
    for (int64_t j = rows.begin; j < rows.end; ++j) body(x, level_.y.wrap(j), plane + j * stride);
  }

  const float* inverse(int64_t x, int64_t y) const { return level_.inverse_diagonal + level_.diagonal_row(x, y); }

 private:
  // Distances in memory from a plane of the ring to the ones before and after it.
  struct Planes {
    int64_t below, above;
  };
  Planes planes_around(int64_t i) const { return {v_.plane(i - 1) - v_.plane(i), v_.plane(i + 1) - v_.plane(i)}; }

  HalfStencil stencil(int64_t x, int64_t y, int64_t which, const float* row, const Planes& planes) const {
    const int64_t h = which * level_.half;
    const int64_t z_row = (x * level_.y.extent + y) * level_.z_stride + h;
    const float* v = row + PaddedRow::half(level_, which);
    const float* other = row + PaddedRow::half(level_, 1 - which);
    HalfStencil s{.lower_x = level_.x.lower[x],
                  .upper_x = level_.x.upper[x],
                  .lower_y = level_.y.lower[y],
                  .upper_y = level_.y.upper[y],
                  .below_x = v + planes.below,
                  .above_x = v + planes.above,
                  .below_y = v - v_.row_stride(),
                  .above_y = v + v_.row_stride(),
                  .near = other,
                  .far = other + (which ? 1 : -1),
                  .near_z = level_.near_z + z_row,
                  .far_z = level_.far_z + z_row,
                  .open_lower_x = nullptr,
                  .open_upper_x = nullptr,
                  .open_lower_y = nullptr,
                  .open_upper_y = nullptr};
    if constexpr (kWeighted) {
      s.open_upper_x = level_.open_x + level_.row(x, y) + h;
      s.open_upper_y = level_.open_y + level_.row(x, y) + h;
      s.open_lower_x = level_.open_x + level_.row(x > 0 ? x - 1 : level_.x.extent - 1, y) + h;
      s.open_lower_y = level_.open_y + level_.row(x, y > 0 ? y - 1 : level_.y.extent - 1) + h;
    }
    return s;
  }

  const Level& level_;
  const PlaneRing& v_;
  const float* f_;
};

}  // namespace fastsciml::multigrid
