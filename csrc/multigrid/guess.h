// The rows from which a pass starts: v + weight P e, with P linear interpolation.
#pragma once

#include "core/cache.h"
#include "multigrid/rows.h"

namespace fastsciml::multigrid {

// Where a pass starts, v + weight P e: v [x, y, 2 half] or null for 0, and e [coarse x, coarse y, 2 coarse half] or
// null for 0.
struct Guess {
  const float* v = nullptr;
  const float* e = nullptr;
  float weight = 1.0f;

  bool zero() const { return v == nullptr && e == nullptr; }
};

class GuessRows {
 public:
  // A row of zeros, and an interpolated one with its ghost cells.
  static int64_t scratch_floats(const Level& level) { return 3 * level.stride() + 4 * kRowUnit; }

  GuessRows(const Level& level, const Level& coarse, const Guess& guess, float* scratch)
      : level_(level), coarse_(coarse), guess_(guess), zeros_(scratch), natural_(scratch + level.stride() + kRowUnit) {
    std::fill_n(scratch, scratch_floats(level), 0.0f);
  }

  // A padded row; `inverse` is 0 where there is no unknown.
  void load(int64_t x, int64_t y, const float* inverse, float* out) const {
    const int64_t n = level_.half;
    const float* v = guess_.v == nullptr ? zeros_ : guess_.v + level_.row(x, y);
    core::prefetch_into_l2(v + core::kRowsAhead * level_.stride(), level_.stride());
    float* odd = out + PaddedRow::odd(level_);
    if (guess_.e == nullptr) {
      std::copy_n(v, n, out);
      std::copy_n(v + n, n, odd);
    } else {
      correct(x, y, v, inverse, out, odd);
    }
    PaddedRow::wrap_ends(level_, out);
  }

 private:
  void correct(int64_t x, int64_t y, const float* v, const float* inverse, float* even, float* odd) const {
    const CoarseNeighbours e = neighbours(x, y);
    const Axis& z = level_.z;
    const int64_t n = level_.half;
    if (level_.z_parent != nullptr) {
      interpolate_natural(natural_, e, coarse_.half);
      correct_row(level_, even, odd, v, natural_, inverse);
    } else if (z.coarsened()) {
      interpolate(e);
      correct_half(even, v, natural_, natural_ - 1, z.own, z.next, inverse, n);
      correct_half(odd, v + n, natural_, natural_ + 1, z.own + n, z.next + n, inverse + n, n);
    } else {
      correct_half(even, v, e, 0, inverse, n);
      correct_half(odd, v + n, e, n, inverse + n, n);
    }
  }

  CoarseNeighbours neighbours(int64_t x, int64_t y) const {
    const Axis& ax = level_.x;
    const Axis& ay = level_.y;
    const float* i = guess_.e + coarse_.row(ax.parent[x], 0);
    const float* i_next = guess_.e + coarse_.row(ax.beyond[x], 0);
    const int64_t j = coarse_.row(0, ay.parent[y]), j_next = coarse_.row(0, ay.beyond[y]);
    const float own = guess_.weight * ax.own[x], next = guess_.weight * ax.next[x];
    return {{i + j, i + j_next, i_next + j, i_next + j_next},
            {own * ay.own[y], own * ay.next[y], next * ay.own[y], next * ay.next[y]}};
  }

  void interpolate(const CoarseNeighbours& e) const {
    interpolate_natural(natural_, e, coarse_.half);
    if (!level_.z.periodic) return;
    natural_[-1] = natural_[coarse_.z.extent - 1];
    natural_[coarse_.z.extent] = natural_[0];
  }

  const Level& level_;
  const Level& coarse_;
  Guess guess_;
  float* zeros_;
  float* natural_;
};

}  // namespace fastsciml::multigrid
