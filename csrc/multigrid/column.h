// Several half-sweeps at once: what the stages of a wavefront do to a row in one step.
//
// Stage k updates plane i - k, and its colour is the other one than stage k - 1's, so that all stages update the same
// half of the row. Stage k's neighbours along x are then what stage k - 1 has just computed and what stage k + 1 is
// about to update, both at the same index: a value is loaded once for all three, and passed on in a register. The
// neighbours along y and z are in the other colour's cells of plane i - k, which no stage of this step touches.
//
//   loads per cell updated, of constant coefficient: 6 + 4 / stages, where half-sweeps one by one take 11; measured
//   with one thread at 128^3, a V-cycle's two passes over the finest level take 5.6 ms instead of 6.6
// Where z's coupling is one number, two loads fewer: a V-cycle at 128^3 takes 3.8 ms instead of 4.1 with two threads.
#pragma once

#include "multigrid/rows.h"

namespace fastsciml::multigrid {

// What the couplings of rows ask of the loops: faces have factors; z's couplings differ along the row, but faces have
// none; z's couplings are one number, too. The last needs no care at the ends of z: the ghost cells there are 0.
enum class Rows { weighted, plain, uniform };

// What stands along a row besides the values: couplings in z and, with a medium in the grid, what the faces conduct.
struct RowCouplings {
  const float* near_z;
  const float* far_z;
  const float* face_lower_x;  // null where all faces conduct 1
  const float* face_upper_x;
  const float* face_lower_y;
  const float* face_upper_y;
};

template <Rows kRows>
inline RowCouplings row_couplings(const Level& level, int64_t x, int64_t y, int64_t which) {
  const int64_t h = which * level.half, z_row = level.z_row(x, y) + h;
  RowCouplings r{};
  r.near_z = level.near_z + z_row;
  r.far_z = level.far_z + z_row;
  if constexpr (kRows == Rows::weighted) {
    const int64_t row = level.row(x, y) + h;
    r.face_lower_x = level.face_x + row;
    r.face_upper_x = r.face_lower_x + level.y.extent * level.stride();
    // One more row in every plane.
    r.face_lower_y = level.face_y + row + x * level.stride();
    r.face_upper_y = r.face_lower_y + level.stride();
  }
  return r;
}

template <int kStages, Rows kRows>
struct Column {
  float* v[kStages + 2];  // the same half of the same row in the plane above the first stage's, in each stage's, and
                          // in the plane below the last one's
  int64_t row_stride;     // from a row to the next
  int64_t near, far;      // to the neighbours in the row's other half
  const float* f[kStages];
  const float* inverse[kStages];
  float lower_x[kStages], upper_x[kStages];
  float lower_y, upper_y;
  RowCouplings row[kRows == Rows::weighted ? kStages : 1];  // without factors, z's are the same in every row
  float uniform_z;
  Relaxation relaxation[kStages];

  // Stage k's f + neighbours at index m, where `above` and `below` are the ones along x. One product at a time, so
  // that it is rounded alike wherever the compiler fuses products with sums. `above` comes last: stages wait for it.
  float right_side(int k, int64_t m, float above, float below) const {
    const float* at = v[k + 1] + m;
    float sum = f[k][m];
    if constexpr (kRows == Rows::weighted) {
      const RowCouplings& r = row[k];
      sum += r.near_z[m] * at[near];
      sum += r.far_z[m] * at[far];
      sum += lower_y * r.face_lower_y[m] * at[-row_stride];
      sum += upper_y * r.face_upper_y[m] * at[row_stride];
      sum += lower_x[k] * r.face_lower_x[m] * below;
      sum += upper_x[k] * r.face_upper_x[m] * above;
    } else {
      if constexpr (kRows == Rows::uniform) {
        sum += uniform_z * (at[near] + at[far]);
      } else {
        sum += row[0].near_z[m] * at[near];
        sum += row[0].far_z[m] * at[far];
      }
      sum += lower_y * at[-row_stride];
      sum += upper_y * at[row_stride];
      sum += lower_x[k] * below;
      sum += upper_x[k] * above;
    }
    return sum;
  }

  // Stage k's new value.
  float relaxed(int k, float inverse_diagonal, float side, float here) const {
    const float step = relaxation[k].factor * inverse_diagonal * side;
    return step + relaxation[k].keep * here;
  }
};

// The half-sweeps, stage by stage.
template <int kStages, Rows kRows>
inline void relax_column(const Column<kStages, kRows>& column, int64_t n) {
  const Column<kStages, kRows> c = column;
  if (n % kRowUnit != 0) __builtin_unreachable();
#pragma omp simd
  for (int64_t m = 0; m < n; ++m) {
    float above = c.v[0][m], here = c.v[1][m];
#pragma GCC unroll 8
    for (int k = 0; k < kStages; ++k) {
      const float below = c.v[k + 2][m];
      above = c.relaxed(k, c.inverse[k][m], c.right_side(k, m, above, below), here);
      c.v[k + 1][m] = above;
      here = below;
    }
  }
}

// Where a half row's residuals go: sum += share (f - A v).
struct ResidualRow {
  float* sum;
  const float* diagonal;
  float share;
};

// The last half-sweep, stage 0 of the column, and the residual. The black cells' neighbours are final already, and
// summed up for the half-sweep. The red cells' residual, whose neighbours the half-sweep completes, is computed one
// plane later, as if it were one more stage.
//
// Both subtract d v, v being what is stored. (1 - w) / w d (v - v_old) is the black cells' residual as well, but for
// v's rounding, and what the coarse level does not see, it cannot take off: of a residual that three cycles have left
// at 128^3, three more then leave 1.2e-5 instead of 1.4e-6.
template <bool kRelax, bool kBlack, bool kRed, Rows kRows>
inline void finish_column(const Column<2, kRows>& column, const ResidualRow& black, const ResidualRow& red, int64_t n) {
  const Column<2, kRows> c = column;
  const ResidualRow b = black, r = red;
  if (n % kRowUnit != 0) __builtin_unreachable();
#pragma omp simd
  for (int64_t m = 0; m < n; ++m) {
    const float below = c.v[2][m];
    float here = c.v[1][m];
    if constexpr (kRelax) {
      const float inverse = c.inverse[0][m], side = c.right_side(0, m, c.v[0][m], below);
      here = c.relaxed(0, inverse, side, here);
      c.v[1][m] = here;
      if constexpr (kBlack) b.sum[m] += inverse > 0.0f ? b.share * (side - b.diagonal[m] * here) : 0.0f;
    }
    if constexpr (kRed) {
      const float left = c.right_side(1, m, here, c.v[3][m]) - r.diagonal[m] * below;
      r.sum[m] += c.inverse[1][m] > 0.0f ? r.share * left : 0.0f;
    }
  }
}

}  // namespace fastsciml::multigrid
