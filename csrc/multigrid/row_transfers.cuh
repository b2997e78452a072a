// The steps between two levels whose cells along z merge in pairs (i // 2), four columns of a row at a time (rows.cuh):
// a column is the two cells of one coarse cell, and in the coarse row its even and odd ones stand in two halves again.
#pragma once

#include "multigrid/row_steps.cuh"

namespace fastsciml::multigrid {

FASTSCIML_HOST_DEVICE inline bool merges_in_pairs(const Level& level) {
  return level.z.coarsened() && level.z_parent == nullptr;
}

// out = guess. Fills the padding with zeros, too.
//   out = v + weight P e
//   moves 8 + 4/8 bytes per cell
struct LoadRows {
  static constexpr const char* kName = "multigrid load";
  DeviceGuess guess;
  Field out;

  FASTSCIML_HOST_DEVICE Reach reach(const LevelPair& on) const { return reach_of(on.level, fours_of_half(on.level)); }
  FASTSCIML_HOST_DEVICE Nothing shared(const LevelPair&) const { return {}; }
  __device__ void run(const LevelPair& on, int i, int j, int four, Nothing) const {
    const Level& level = on.level;
    const Row row = row_of(level, i, j);
    const unsigned even = row.at + four;
    Columns sum{};
    if (four < fours_with_cells(level)) {
      if (guess.v != nullptr) sum = load_columns(level, guess.v, even);
      if (guess.e != nullptr) {
        if (guess.around_solid && beside_solid(on, i, j)) {
          correct_around(on, row, four, sum);
        } else {
          correct(on, row, four, sum);
        }
      }
    }
    store_four(out, even, sum.even);
    store_four(out, even + fours_of_half(level), sum.odd);
  }

 private:
  // Whether one of the four coarse rows may have cells without an unknown.
  __device__ static bool beside_solid(const LevelPair& on, int i, int j) {
    const auto weighted = [&](int I, int J) { return on.coarse.stored[row_index(on.coarse, I, J)] < 0; };
    const int I = on.level.x.parent[i], I_next = on.level.x.beyond[i];
    const int J = on.level.y.parent[j], J_next = on.level.y.beyond[j];
    return weighted(I, J) || weighted(I, J_next) || weighted(I_next, J) || weighted(I_next, J_next);
  }

  __device__ void correct_around(const LevelPair& on, const Row& row, int four, Columns& sum) const {
#pragma unroll 1
    for (int n = 0; n < 8; ++n) {
      const int k = 8 * four + n;
      if (k >= on.level.z.extent) break;
      const float correction = correction_at(on.level, on.coarse, guess, cell_of(on.level, row.i, row.j, k));
      // An index that the compiler does not know would take the sums out of their registers.
#pragma unroll
      for (int m = 0; m < 4; ++m) {
        if (n == 2 * m) sum.even.at[m] += correction;
        if (n == 2 * m + 1) sum.odd.at[m] += correction;
      }
    }
  }

  // e interpolated across x and y at the coarse cells 4 four - 1 .. 4 four + 4.
  struct CoarseCells {
    float at[6];
  };
  __device__ CoarseCells across(const LevelPair& on, const Row& row, int four) const {
    const Level& coarse = on.coarse;
    const Interpolation x = interpolation(on.level.x, guess.weight, row.i);
    const Interpolation y = interpolation(on.level.y, guess.weight, row.j);
    const int wide = static_cast<int>(coarse.z.extent), half = static_cast<int>(coarse.half);
    const int below = index_in_row(coarse, four > 0 ? 4 * four - 1 : wide - 1);
    const int above = index_in_row(coarse, 4 * four + 4 < wide ? 4 * four + 4 : 0);
    CoarseCells sum{};
#pragma unroll
    for (int corner = 0; corner < 4; ++corner) {
      const bool next_x = corner & 2, next_y = corner & 1;
      const float weight = (next_x ? x.next : x.own) * (next_y ? y.next : y.own);
      const int number = row_index(coarse, next_x ? x.beyond : x.parent, next_y ? y.beyond : y.parent);
      const ConstField e = guess.e + number * coarse.stride();
      const float2 even = core::load2(e, 2 * four), odd = core::load2(e, half + 2 * four);
      sum.at[0] += weight * e[below];
      sum.at[1] += weight * even.x;
      sum.at[2] += weight * odd.x;
      sum.at[3] += weight * even.y;
      sum.at[4] += weight * odd.y;
      sum.at[5] += weight * e[above];
    }
    // The coarse axis of a single cell counts as closed.
    if (on.level.z.periodic) {
#pragma unroll
      for (int n = 1; n < 5; ++n) {
        if (4 * four + n - 1 == wide) sum.at[n] = sum.at[5];
      }
    }
    return sum;
  }

  __device__ void correct(const LevelPair& on, const Row& row, int four, Columns& sum) const {
    const Level& level = on.level;
    const int half = static_cast<int>(level.half), nz = static_cast<int>(level.z.extent);
    const CoarseCells e = across(on, row, four);
    const Columns inverse = load_columns(level, level.inverse_diagonal, row.diagonal + four);
    const Four own_even = load_singly(level.z.own, 4 * four), own_odd = load_singly(level.z.own, half + 4 * four);
    const Four next_even = load_singly(level.z.next, 4 * four), next_odd = load_singly(level.z.next, half + 4 * four);
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      const float weight =
          guess.weight * emphasis(level.z, guess.weight, 4 * four + n, [&](int K) { return 2 * K + 1 == nz; });
      const float even = own_even.at[n] * e.at[n + 1] + next_even.at[n] * e.at[n];
      const float odd = own_odd.at[n] * e.at[n + 1] + next_odd.at[n] * e.at[n + 2];
      sum.even.at[n] += inverse.even.at[n] > 0.0f ? weight * even : 0.0f;
      sum.odd.at[n] += inverse.odd.at[n] > 0.0f ? weight * odd : 0.0f;
    }
  }
};

// f_coarse = R (f - A v), or R f without v, R taking means over coarse cells. Fills the padding with zeros, too. Not
// for a z axis that closes oddly.
//   moves 8 + 4/8 bytes per cell, or 4 + 4/8; with weights 8 more
template <bool kWeighted>
struct RestrictRows {
  static constexpr const char* kName = "multigrid restrict";
  ConstField f, v;
  Field f_coarse;

  FASTSCIML_HOST_DEVICE Reach reach(const LevelPair& on) const {
    return reach_of(on.coarse, 2 * fours_of_half(on.coarse));
  }
  FASTSCIML_HOST_DEVICE Nothing shared(const LevelPair&) const { return {}; }
  __device__ void run(const LevelPair& on, int I, int J, int four, Nothing) const {
    const Level& level = on.level;
    Four sum{};
    if (four < fours_with_cells(level)) {
      const int end_x = level.x.first[I + 1], begin_y = level.y.first[J], end_y = level.y.first[J + 1];
      // Both halves at once would take twice the registers.
#pragma unroll 1
      for (int which = 0; which < 2; ++which) {
        Four across{};
#pragma unroll 1
        for (int i = level.x.first[I]; i < end_x; ++i) {
#pragma unroll 1
          for (int j = begin_y; j < end_y; ++j) {
            const Row row = row_of(level, i, j);
            const Four residual = v == nullptr ? load_four(f, row.at + which * fours_of_half(level) + four)
                                               : residual_of<kWeighted>(level, f, v, row, which, four);
            add_product(across, level.x.share[i] * level.y.share[j], residual);
          }
        }
        const Four share = load_singly(level.z.share, which * static_cast<int>(level.half) + 4 * four);
        add_product(sum, share, across);
      }
    }
    const int64_t to = row_index(on.coarse, I, J) * on.coarse.stride() + 2 * four;
    core::store2(f_coarse, to, make_float2(sum.at[0], sum.at[2]));
    core::store2(f_coarse, to + on.coarse.half, make_float2(sum.at[1], sum.at[3]));
  }
};

}  // namespace fastsciml::multigrid
