// The steps of a cycle that go along rows, four cells of one half or four columns of both at a time (rows.cuh): those
// on a level alone. Between levels: row_transfers.cuh; for the grids that these do not fit: steps.cuh.
//
// A step knows how far it reaches, what all that it does shares, which each thread works out once, and how to do one
// four. Fours do not depend on each other. run_on_device.cuh launches them, tail.cuh runs them in one block.
#pragma once

#include "multigrid/rows.cuh"

namespace fastsciml::multigrid {

// A level and the next coarser one.
struct LevelPair {
  const Level& level;
  const Level& coarse;
};

struct Nothing {};

// How many planes, rows of each, and fours of each row a step has.
struct Reach {
  int planes, rows, fours;
};
FASTSCIML_HOST_DEVICE inline Reach reach_of(const Level& level, int fours) {
  return {static_cast<int>(level.x.extent), static_cast<int>(level.y.extent), fours};
}

// v = the first half-sweep from zero: red cells alone. Fills the padding with zeros, too.
//   v = w f / d
//   moves 6 bytes per cell: half of f, all of v
struct StartRows {
  static constexpr const char* kName = "multigrid start";
  ConstField f;
  Field v;
  float factor;

  FASTSCIML_HOST_DEVICE Reach reach(const LevelPair& on) const { return reach_of(on.level, fours_of_half(on.level)); }
  FASTSCIML_HOST_DEVICE Relaxation shared(const LevelPair& on) const { return relaxation_by(on.level, factor); }
  __device__ void run(const LevelPair& on, int i, int j, int four, const Relaxation& relaxation) const {
    const Level& level = on.level;
    const Row row = row_of(level, i, j);
    const int which = (i + j) & 1, half = fours_of_half(level);
    Four red{};
    if (four < fours_with_cells(level)) {
      const Four inverse = load_four(level.inverse_diagonal, row.diagonal + which * half + four);
      const Four side = load_four(f, row.at + which * half + four);
#pragma unroll
      for (int n = 0; n < 4; ++n) red.at[n] = relaxation.factor * inverse.at[n] * side.at[n];
    }
    store_four(v, row.at + which * half + four, red);
    store_four(v, row.at + (1 - which) * half + four, Four{});
  }
};

// v = (1 - w) v + w (f + neighbours) / d for the cells of a colour in the rows whose turn it is. Not for a z axis that
// closes oddly.
//   moves 8 bytes per cell: half of f, all of v, which half of it is written; with weights 8 more
template <bool kWeighted>
struct RelaxRows {
  static constexpr const char* kName = "multigrid relax";
  ConstField f;
  Field v;
  float factor;
  int colour, turn, turns;

  FASTSCIML_HOST_DEVICE Reach reach(const LevelPair& on) const {
    return reach_of(on.level, fours_with_cells(on.level));
  }
  FASTSCIML_HOST_DEVICE Relaxation shared(const LevelPair& on) const { return relaxation_by(on.level, factor); }
  __device__ void run(const LevelPair& on, int i, int j, int four, const Relaxation& relaxation) const {
    const Level& level = on.level;
    if (turns > 1 && turn_of_row(level, i, j) != turn) return;
    const Row row = row_of(level, i, j);
    const int which = (i + j + colour) & 1, half = fours_of_half(level);
    const unsigned in_row = which * half + four, at = row.at + in_row;
    const Four side = load_four(f, at), inverse = load_four(level.inverse_diagonal, row.diagonal + in_row);
    const Four near = load_four(v, row.at + (1 - which) * half + four);
    Four own = load_four(v, at);
    const Four around = neighbours_of<kWeighted>(level, v, row, which, four, near);
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      own.at[n] = relaxation.factor * inverse.at[n] * (side.at[n] + around.at[n]) + relaxation.keep * own.at[n];
    }
    store_four(v, at, own);
  }
};

// r = weight (f - A v). Not for a z axis that closes oddly.
//   moves 12 bytes per cell
template <bool kWeighted>
struct ResidualRows {
  static constexpr const char* kName = "multigrid residual";
  ConstField f, v;
  Field r;
  float weight;

  FASTSCIML_HOST_DEVICE Reach reach(const LevelPair& on) const {
    return reach_of(on.level, fours_with_cells(on.level));
  }
  FASTSCIML_HOST_DEVICE Nothing shared(const LevelPair&) const { return {}; }
  __device__ void run(const LevelPair& on, int i, int j, int four, Nothing) const {
    const Row row = row_of(on.level, i, j);
#pragma unroll 1
    for (int which = 0; which < 2; ++which) {
      const unsigned at = row.at + which * fours_of_half(on.level) + four;
      Four residual = residual_of<kWeighted>(on.level, f, v, row, which, four);
#pragma unroll
      for (int n = 0; n < 4; ++n) residual.at[n] *= weight;
      store_four(r, at, residual);
    }
  }
};

}  // namespace fastsciml::multigrid
