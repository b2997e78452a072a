// The steps of a cycle cell by cell, for grids that those along rows (row_steps.cuh, row_transfers.cuh) do not fit: a z
// axis that closes oddly, cells along z that do not merge in pairs; and what only a symmetric cycle does.
//
// A step knows the number of its items, what they all share, which each thread works out once, and how to do one. Items
// do not depend on each other. They are numbered in 32 bits: divisions of 64 cost a device a hundred instructions.
// run_on_device.cuh launches them, tail.cuh runs them in one block.
#pragma once

#include "multigrid/row_steps.cuh"

namespace fastsciml::multigrid {

// What stands at an index of a field: k is past the end in the padding.
struct Place {
  int i, j, k;
};
FASTSCIML_HOST_DEVICE inline Place place_of(const Level& level, unsigned at) {
  const auto stride = static_cast<unsigned>(level.stride()), ny = static_cast<unsigned>(level.y.extent);
  const int in_row = static_cast<int>(at % stride), half = static_cast<int>(level.half), which = in_row >= half;
  return {static_cast<int>(at / stride / ny), static_cast<int>(at / stride % ny), 2 * (in_row - which * half) + which};
}

// out = guess. Fills the padding with zeros, too.
//   moves 12 + 4/8 bytes per cell
struct LoadCells {
  static constexpr const char* kName = "multigrid load";
  DeviceGuess guess;
  Field out;

  FASTSCIML_HOST_DEVICE int64_t items(const LevelPair& on) const { return on.level.floats(); }
  FASTSCIML_HOST_DEVICE Nothing shared(const LevelPair&) const { return {}; }
  FASTSCIML_HOST_DEVICE void run(const LevelPair& on, unsigned at, Nothing) const {
    const Level& level = on.level;
    const Place to = place_of(level, at);
    float value = 0.0f;
    if (to.k < level.z.extent) value = guess_at(level, on.coarse, guess, cell_of(level, to.i, to.j, to.k));
    out[at] = value;
  }
};

// v = (1 - w) v + w (f + neighbours) / d for the cells of a colour whose turn it is.
//   moves 12 bytes per cell, or less where caches hold what the colours share
struct RelaxCells {
  static constexpr const char* kName = "multigrid relax";
  ConstField f;
  Field v;
  float factor;
  int colour, turn;

  FASTSCIML_HOST_DEVICE static int64_t in_row(const Level& level) { return (level.z.extent + 1) / 2; }
  FASTSCIML_HOST_DEVICE int64_t items(const LevelPair& on) const {
    return on.level.x.extent * on.level.y.extent * in_row(on.level);
  }
  FASTSCIML_HOST_DEVICE Relaxation shared(const LevelPair& on) const { return relaxation_by(on.level, factor); }
  FASTSCIML_HOST_DEVICE void run(const LevelPair& on, unsigned item, const Relaxation& relaxation) const {
    const Level& level = on.level;
    const auto columns = static_cast<unsigned>(in_row(level)), ny = static_cast<unsigned>(level.y.extent);
    const auto i = static_cast<int>(item / columns / ny), j = static_cast<int>(item / columns % ny);
    const int k = 2 * static_cast<int>(item % columns) + ((i + j + colour) & 1);
    if (k >= level.z.extent) return;
    const Cell c = cell_of(level, i, j, k);
    if (turn_of(level, c) != turn) return;
    const float inverse = level.inverse_diagonal[c.diagonal];
    v[c.at] = relaxation.factor * inverse * (f[c.at] + neighbours_of(level, v, c)) + relaxation.keep * v[c.at];
  }
};

// The cell with this number.
FASTSCIML_HOST_DEVICE inline Cell cell_numbered(const Level& level, unsigned item) {
  const auto nz = static_cast<unsigned>(level.z.extent), ny = static_cast<unsigned>(level.y.extent);
  return cell_of(level, static_cast<int>(item / nz / ny), static_cast<int>(item / nz % ny),
                 static_cast<int>(item % nz));
}

// r = weight G (f - A v), where G is 1, or around solid what belongs to the adjoint of interpolation (transfers.h).
//   moves 12 bytes per cell
struct ResidualCells {
  static constexpr const char* kName = "multigrid residual";
  ConstField f, v;
  Field r;
  float weight;
  bool around_solid;

  FASTSCIML_HOST_DEVICE int64_t items(const LevelPair& on) const { return on.level.cells(); }
  FASTSCIML_HOST_DEVICE Nothing shared(const LevelPair&) const { return {}; }
  FASTSCIML_HOST_DEVICE void run(const LevelPair& on, unsigned item, Nothing) const {
    const Cell c = cell_numbered(on.level, item);
    float by = weight;
    if (around_solid) {
      const Shares shares = shares_at(on.level, on.coarse, 1.0f, true, c, [](const Cell&) { return 0.0f; });
      if (shares.open != shares.all) by *= shares.open > 0.0f ? shares.all / shares.open : 0.0f;
    }
    r[c.at] = by * residual_of(on.level, f, v, c);
  }
};

// The cells that a coarse one is made of along z: `first`, and `second` or -1.
struct Children {
  int first, second;
};
FASTSCIML_HOST_DEVICE inline Children children_z(const Level& level, int K) {
  if (!level.z.coarsened()) return {K, -1};
  if (level.z_first == nullptr) return {2 * K, 2 * K + 1 < level.z.extent ? 2 * K + 1 : -1};
  const int at = (K >> 1) + (K & 1) * static_cast<int>(half_of(level.z.coarse_extent));
  const int half = static_cast<int>(level.half);
  const auto natural = [&](int in_row) { return in_row < 0 ? -1 : 2 * (in_row % half) + in_row / half; };
  return {natural(level.z_first[at]), natural(level.z_second[at])};
}

// f_coarse = R (f - A v), or R f without v, R taking means over coarse cells. Fills the padding with zeros, too.
//   moves 8 + 4/8 bytes per cell, or 4 + 4/8
struct RestrictCells {
  static constexpr const char* kName = "multigrid restrict";
  ConstField f, v;
  Field f_coarse;

  FASTSCIML_HOST_DEVICE int64_t items(const LevelPair& on) const { return on.coarse.floats(); }
  FASTSCIML_HOST_DEVICE Nothing shared(const LevelPair&) const { return {}; }
  FASTSCIML_HOST_DEVICE void run(const LevelPair& on, unsigned item, Nothing) const {
    const Level& level = on.level;
    const Place to = place_of(on.coarse, item);
    f_coarse[item] = 0.0f;
    if (to.k >= on.coarse.z.extent) return;
    const Children pair = children_z(level, to.k);
    const int begin_y = level.y.first[to.j], rows = level.y.first[to.j + 1] - begin_y;
    const int begin_x = level.x.first[to.i], children = 2 * rows * (level.x.first[to.i + 1] - begin_x);
    float sum = 0.0f;
#pragma unroll 1
    for (int child = 0; child < children; ++child) {
      const int i = begin_x + child / 2 / rows, j = begin_y + child / 2 % rows;
      const int k = child & 1 ? pair.second : pair.first;
      if (k < 0) continue;
      const Cell c = cell_of(level, i, j, k);
      const float share = level.x.share[i] * level.y.share[j] * level.z.share[c.in_row];
      sum += share * (v == nullptr ? f[c.at] : residual_of(level, f, v, c));
    }
    f_coarse[item] = sum;
  }
};

// f_coarse = P* r, the adjoint of linear interpolation (transfers.h), gathered: the cells of a coarse one and of
// its neighbours. Fills the padding with zeros, too.
//   moves 4 + 4/8 bytes per cell
struct AdjointCells {
  static constexpr const char* kName = "multigrid adjoint";
  ConstField r;
  Field f_coarse;

  FASTSCIML_HOST_DEVICE int64_t items(const LevelPair& on) const { return on.coarse.floats(); }
  FASTSCIML_HOST_DEVICE Nothing shared(const LevelPair&) const { return {}; }
  FASTSCIML_HOST_DEVICE void run(const LevelPair& on, unsigned item, Nothing) const {
    const auto& [level, coarse] = on;
    const Place to = place_of(coarse, item);
    f_coarse[item] = 0.0f;
    if (to.k >= coarse.z.extent) return;
    float sum = 0.0f;
    for_each_child(level.x, to.i, [&](int i) {
      const float weight_x = weight_of(level.x, coarse.x, i, to.i);
      if (weight_x == 0.0f) return;
      for_each_child(level.y, to.j, [&](int j) {
        const float weight_xy = weight_x * weight_of(level.y, coarse.y, j, to.j);
        if (weight_xy != 0.0f) sum += weight_xy * along_z(on, i, j, to.k);
      });
    });
    f_coarse[item] = sum;
  }

 private:
  // body(J) for the coarse cells J whose children may be interpolated from coarse cell I: itself and its neighbours.
  template <class Body>
  FASTSCIML_HOST_DEVICE static void for_each_near(const Axis& axis, int I, Body body) {
    const int wide = static_cast<int>(axis.coarse_extent);
    const int reach = axis.coarsened() && wide > 1 ? 1 : 0;
#pragma unroll 1
    for (int step = -reach; step <= reach; ++step) {
      if (step == 1 && wide == 2 && axis.periodic) continue;  // the same as the one below
      const int J = axis.periodic ? (I + step + wide) % wide : I + step;
      if (J >= 0 && J < wide) body(J);
    }
  }
  template <class Body>
  FASTSCIML_HOST_DEVICE static void for_each_child(const Axis& axis, int I, Body body) {
    for_each_near(axis, I, [&](int J) {
      for (int i = axis.first[J]; i < axis.first[J + 1]; ++i) body(i);
    });
  }
  // What the residual of cell i counts for coarse cell I; the share is one of the parent's width.
  FASTSCIML_HOST_DEVICE static float weight_of(const Axis& fine, const Axis& coarse, int i, int I) {
    const int parent = fine.parent[i], beyond = fine.beyond[i];
    float sum = parent == I ? fine.own[i] : 0.0f;
    if (beyond == I && fine.next[i] != 0.0f) sum += fine.next[i] * coarse.weight[parent] / coarse.weight[beyond];
    return fine.share[i] * sum;
  }
  FASTSCIML_HOST_DEVICE float along_z(const LevelPair& on, int i, int j, int K) const {
    const auto& [level, coarse] = on;
    const auto width = [&](int L) { return coarse.z.weight[index_in_row(coarse, L)]; };
    float sum = 0.0f;
    for_each_near(level.z, K, [&](int C) {
      const Children pair = children_z(level, C);
#pragma unroll 1
      for (int child = 0; child < 2; ++child) {
        const int k = child ? pair.second : pair.first;
        if (k < 0) continue;
        const Cell c = cell_of(level, i, j, k);
        const Interpolation from = interpolation_z(level, 1.0f, k);
        float weight = from.parent == K ? from.own : 0.0f;
        if (from.beyond == K && from.next != 0.0f) weight += from.next * width(from.parent) / width(from.beyond);
        sum += level.z.share[c.in_row] * weight * r[c.at];
      }
    });
    return sum;
  }
};

// The coarsest level: z = f / d in its single cell.
struct CoarsestCells {
  static constexpr const char* kName = "multigrid coarsest";
  ConstField f;
  Field z;

  FASTSCIML_HOST_DEVICE int64_t items(const LevelPair& on) const { return on.level.floats(); }
  FASTSCIML_HOST_DEVICE Nothing shared(const LevelPair&) const { return {}; }
  FASTSCIML_HOST_DEVICE void run(const LevelPair& on, unsigned at, Nothing) const {
    float value = 0.0f;
    if (at == 0) value = on.level.inverse_diagonal[0] * f[0];
    z[at] = value;
  }
};

}  // namespace fastsciml::multigrid
