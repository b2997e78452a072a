// Red-black Gauss-Seidel with over-relaxation on the planes of a ring, and the residual it leaves.
//
// An odd periodic axis closes between two cells of one colour. Taken at once they could diverge, so the cell at 0 sees
// the one before it, at the other end, updated.
#pragma once

#include <array>
#include <span>

#include "core/cache.h"
#include "multigrid/column.h"
#include "multigrid/guess.h"
#include "multigrid/relaxation.h"
#include "multigrid/rows.h"
#include "multigrid/wavefront.h"

namespace fastsciml::multigrid {

template <Rows kLevel>  // what the level's rows may ask for
class Smoother {
 public:
  // f [x, y, 2 half]. Half-sweeps begin at stage `first`, with colour `colour`; factors: one per sweep (schedule.h).
  Smoother(const Level& level, const PlaneRing& v, const float* f, int64_t first, int64_t colour,
           std::span<const float> factors)
      : level_(level), v_(v), f_(f), first_(first), colour_(colour) {
    for (size_t k = 0; k < relaxations_.size(); ++k) {
      relaxations_[k] = relaxation_by(level, factors[std::min(k, factors.size() - 1)]);
    }
  }

  // Whether a colour's cells are neighbours somewhere, so that their residuals must wait until the sweep is done.
  bool has_seams() const { return level_.x.closes_oddly() || level_.y.closes_oddly() || level_.z.closes_oddly(); }

  // Row j of plane i, padded.
  float* row(const Planes& planes, int64_t j) const { return planes.here + j * v_.row_stride(); }

  // The first half-sweep from a zero guess.
  void start(const Planes& planes, int64_t j) const {
    const int64_t x = planes.x, y = level_.y.wrap(j), which = half_of_colour(0, x, y), h = which * level_.half;
    const float* f = f_ + level_.row(x, y);
    float* v = row(planes, j);
    prefetch_rows(x, y);
    start_half(v + PaddedRow::half(level_, which), f + h, inverse(x, y) + h, relaxations_[0].factor, level_.half);
    std::fill_n(v + PaddedRow::half(level_, 1 - which), level_.half, 0.0f);
    PaddedRow::wrap_ends(level_, v);
  }

  // Row j of a guess.
  void load(const GuessRows& from, const Planes& planes, int64_t j) const {
    const int64_t x = planes.x, y = level_.y.wrap(j);
    prefetch_rows(x, y);
    from.load(x, y, inverse(x, y), row(planes, j));
  }

  // Half-sweeps at.first .. at.stop - 1 on row j of their planes. All of them update the same half of the row, but not
  // across a seam in x; one in z needs a correction after each.
  void half_sweeps(const Stages& at, int64_t j) const {
    if (level_.x.closes_oddly() || level_.z.closes_oddly()) {
      for (int64_t s = at.first; s < at.stop; ++s) half_sweep(s, at.planes[s], j);
      return;
    }
    if constexpr (kLevel == Rows::weighted) {
      weighted(at, j) ? relax_as<Rows::weighted>(at, j) : relax_as<Rows::plain>(at, j);
    } else {
      relax_as<kLevel>(at, j);
    }
  }

  // The last half-sweep on row j, stage last - 1, and the residual of the plane below it, stage `last`, share (f - A v)
  // being added to the rows sums.row(plane, j), which are two halves without padding. A stage that lies outside the
  // tile adds nothing.
  template <class Sums>
  void finish(const Stages& at, int64_t last, int64_t j, const Sums& sums) const {
    if (has_seams()) {
      half_sweeps(at.within(last - 1, last), j);
      if (at.has(last)) add_residual(sums.row(at.planes[last], j), at.planes[last], j);
      return;
    }
    if constexpr (kLevel == Rows::weighted) {
      const bool has_factors = weighted(at.within(last - 1, last + 1), j);
      has_factors ? finish_as<Rows::weighted>(at, last, j, sums) : finish_as<Rows::plain>(at, last, j, sums);
    } else {
      finish_as<kLevel>(at, last, j, sums);
    }
  }

  const float* inverse(int64_t x, int64_t y) const { return level_.inverse_diagonal + level_.diagonal_row(x, y); }

 private:
  // What the stages will read of the rows to come: too many arrays for the hardware to follow. Measured with one thread
  // at 128^3 with an obstacle, fetching the diagonal and its inverse ahead: the way down takes 5.2 ms instead of 5.8.
  void prefetch_rows(int64_t x, int64_t y) const {
    const int64_t n = level_.stride(), row = level_.row(x, y) + core::kRowsAhead * n;
    core::prefetch_into_l2(f_ + row, n);
    prefetch_diagonal(level_.inverse_diagonal, x, y);
    const int64_t ahead = std::min(y + core::kRowsAhead, level_.y.extent - 1);
    if (!level_.weighted(x, ahead)) return;
    core::prefetch_into_l2(level_.near_z + level_.z_row(x, ahead), n);
    core::prefetch_into_l2(level_.far_z + level_.z_row(x, ahead), n);
    core::prefetch_into_l2(level_.face_x + row, n);
    core::prefetch_into_l2(level_.face_y + row + x * n, n);
  }

  // Whether a row of these stages' planes is weighted. Then all of them are taken so: where faces conduct 1, that gives
  // the same to the bit, whatever stages a tile brings together.
  bool weighted(const Stages& at, int64_t j) const {
    const int64_t y = level_.y.wrap(j);
    int32_t all = 0;
    for (int64_t s = at.first; s < at.stop; ++s) all |= at.planes[s].stored[y];
    return all < 0;
  }

  int64_t colour_of(int64_t stage) const { return (stage - first_ + colour_) & 1; }
  const Relaxation& relaxation_of(int64_t stage) const { return relaxations_[static_cast<size_t>(stage - first_) / 2]; }

  // The diagonal or its inverse, where rows do not share one.
  void prefetch_diagonal(const float* rows, int64_t x, int64_t y) const {
    const int64_t ahead = level_.diagonal_row(x, std::min(y + core::kRowsAhead, level_.y.extent - 1));
    if (ahead != level_.diagonal_row(x, y)) core::prefetch_into_l2(rows + ahead, level_.stride());
  }

  // Rows j of kStages planes that follow each other downwards, the first of them at `stage`.
  template <int kStages, Rows kRows>
  Column<kStages, kRows> column_of(const Planes* planes, int64_t stage, int64_t which, int64_t j) const {
    const int64_t y = level_.y.wrap(j), h = which * level_.half, stride = level_.stride();
    const int64_t ring_row = j * v_.row_stride() + PaddedRow::half(level_, which);
    const float* f_row = f_ + y * stride + h;
    const float* inverse_row = level_.inverse_diagonal + h;
    Column<kStages, kRows> column;
    column.uniform_z = level_.uniform_z;
    column.row_stride = v_.row_stride();
    column.near = PaddedRow::half(level_, 1 - which) - PaddedRow::half(level_, which);
    column.far = column.near + (which ? 1 : -1);
    column.lower_y = level_.y.lower[y];
    column.upper_y = level_.y.upper[y];
    column.v[0] = planes[0].here + planes[0].above + ring_row;
#pragma GCC unroll 8
    for (int k = 0; k < kStages; ++k) {
      column.v[k + 1] = planes[k].here + ring_row;
      column.f[k] = f_row + planes[k].first_row;
      const int32_t stored = planes[k].stored[y];
      column.inverse[k] = inverse_row + (kRows == Rows::weighted && stored < 0 ? ~stored : stored) * stride;
      column.lower_x[k] = planes[k].lower_x;
      column.upper_x[k] = planes[k].upper_x;
      column.relaxation[k] = relaxation_of(stage + k);
      if (kRows == Rows::weighted || k == 0) column.row[k] = row_couplings<kRows>(level_, planes[k].x, y, which);
    }
    column.v[kStages + 1] = planes[kStages - 1].here + planes[kStages - 1].below + ring_row;
    return column;
  }

  template <Rows kRows>
  void relax_as(const Stages& at, int64_t j) const {
    switch (at.count()) {
      case 0:
        return;
      case 1:
        return relax_rows<1, kRows>(at, j);
      case 2:
        return relax_rows<2, kRows>(at, j);
      case 3:
        return relax_rows<3, kRows>(at, j);
      case 4:
        return relax_rows<4, kRows>(at, j);
      default:
        relax_as<kRows>(at.within(at.first, at.first + 4), j);
        relax_as<kRows>(at.within(at.first + 4, at.stop), j);
    }
  }

  template <int kStages, Rows kRows>
  void relax_rows(const Stages& at, int64_t j) const {
    const Planes* planes = at.planes + at.first;
    const int64_t which = half_of_colour(colour_of(at.first), planes[0].x, level_.y.wrap(j));
    relax_column(column_of<kStages, kRows>(planes, at.first, which, j), level_.half);
    for (int k = 0; k < kStages; ++k) PaddedRow::wrap_ends(level_, row(planes[k], j));
  }

  template <Rows kRows, class Sums>
  void finish_as(const Stages& at, int64_t last, int64_t j, const Sums& sums) const {
    const bool relax = at.has(last - 1), red = at.has(last), black = relax && sums.has(at.planes[last - 1], j);
    const Planes* planes = at.planes + last - 1;
    if (relax && black && red) return finish_rows<true, true, true, kRows>(planes, last - 1, j, sums);
    if (relax && black) return finish_rows<true, true, false, kRows>(planes, last - 1, j, sums);
    if (relax && red) return finish_rows<true, false, true, kRows>(planes, last - 1, j, sums);
    if (red) return finish_rows<false, false, true, kRows>(planes, last - 1, j, sums);
    if (relax) return finish_rows<true, false, false, kRows>(planes, last - 1, j, sums);
  }

  // planes: of the last half-sweep, then of the residual.
  template <bool kRelax, bool kBlack, bool kRed, Rows kRows, class Sums>
  void finish_rows(const Planes* planes, int64_t stage, int64_t j, const Sums& sums) const {
    const int64_t y = level_.y.wrap(j);
    // Where one of the two is not at work, the other stands in.
    const Planes& relaxed = planes[kRelax ? 0 : 1];
    const Planes& finished = planes[kRed ? 1 : 0];
    const Planes both[] = {relaxed, finished};
    const int64_t which = kRelax ? half_of_colour(1, relaxed.x, y) : half_of_colour(0, finished.x, y);
    const int64_t h = which * level_.half;
    prefetch_diagonal(level_.diagonal, relaxed.x, y);
    Column<2, kRows> column = column_of<2, kRows>(both, stage, which, j);
    if constexpr (!kRelax) column.v[1] = column.v[0];
    if constexpr (!kRed) column.v[2] = column.v[1] + relaxed.below;
    const auto residuals = [&](const Planes& of) {
      return ResidualRow{.sum = sums.row(of, j) + h,
                         .diagonal = level_.diagonal + level_.diagonal_row(of.x, y) + h,
                         .share = level_.x.share[of.x] * level_.y.share[y]};
    };
    finish_column<kRelax, kBlack, kRed>(column, kBlack ? residuals(relaxed) : ResidualRow{},
                                        kRed ? residuals(finished) : ResidualRow{}, level_.half);
    if constexpr (kRelax) PaddedRow::wrap_ends(level_, row(relaxed, j));
  }

  // sum += share (f - A v) on a row.
  void add_residual(float* sum, const Planes& planes, int64_t j) const {
    const int64_t x = planes.x, y = level_.y.wrap(j);
    const float* v = row(planes, j);
    const float share = level_.x.share[x] * level_.y.share[y];
    for (int64_t which : {0, 1}) {
      const int64_t h = which * level_.half;
      with_weights(level_.weighted(x, y), [&](auto weighted) {
        residual_half<weighted.value>(sum + h, share, v + PaddedRow::half(level_, which), f_ + level_.row(x, y) + h,
                                      level_.diagonal + level_.diagonal_row(x, y) + h, inverse(x, y) + h,
                                      stencil<weighted.value>(x, y, which, v, planes), level_.half);
      });
    }
  }

  void half_sweep(int64_t stage, const Planes& planes, int64_t j) const {
    const int64_t x = planes.x, y = level_.y.wrap(j), which = half_of_colour(colour_of(stage), x, y);
    const int64_t h = which * level_.half;
    const Relaxation relaxation = relaxation_of(stage);
    float* v = row(planes, j);
    const int64_t end = level_.z.extent / 2;
    const float last = v[end];
    with_weights(level_.weighted(x, y), [&](auto weighted) {
      relax_half<weighted.value>(v + PaddedRow::half(level_, which), f_ + level_.row(x, y) + h, inverse(x, y) + h,
                                 relaxation, stencil<weighted.value>(x, y, which, v, planes), level_.half);
    });
    if (which == 0 && level_.z.closes_oddly()) {
      v[0] += relaxation.factor * inverse(x, y)[0] * level_.far_z[level_.z_row(x, y)] * (v[end] - last);
    }
    PaddedRow::wrap_ends(level_, v);
  }

  template <bool kWeighted>
  HalfStencil stencil(int64_t x, int64_t y, int64_t which, const float* row, const Planes& planes) const {
    const float* v = row + PaddedRow::half(level_, which);
    HalfStencil s = couplings_of<kWeighted>(level_, x, y, which);
    s.below_x = v + planes.below;
    s.above_x = v + planes.above;
    s.below_y = v - v_.row_stride();
    s.above_y = v + v_.row_stride();
    s.near = row + PaddedRow::half(level_, 1 - which);
    s.far = s.near + (which ? 1 : -1);
    return s;
  }

  const Level& level_;
  const PlaneRing& v_;
  const float* f_;
  int64_t first_, colour_;
  std::array<Relaxation, kMostStages / 2> relaxations_;
};

}  // namespace fastsciml::multigrid
