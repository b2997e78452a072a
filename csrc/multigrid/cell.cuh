// What happens to one cell in a step of a cycle, on CUDA; formulae as in rows.h and guess.h, layouts in level.h.
#pragma once

#include "multigrid/relaxation.h"

namespace fastsciml::multigrid {

using Field = core::Memory<float>;
using ConstField = core::Memory<const float>;

// A cell and where it stands in the level's arrays. Indices along axes are int, which on a device costs half.
struct Cell {
  int i, j, k;
  int in_row;        // in its row in halves
  int64_t at;        // in a field
  int64_t z_at;      // in the couplings along z
  int64_t diagonal;  // in the diagonals
  bool weighted;
};

FASTSCIML_HOST_DEVICE inline int index_in_row(const Level& level, int k) {
  return (k & 1) * static_cast<int>(level.half) + (k >> 1);
}
// Of row (i, j) in the plane-wise arrays; there are fewer than 2^31.
FASTSCIML_HOST_DEVICE inline int row_index(const Level& level, int i, int j) {
  return i * static_cast<int>(level.y.extent) + j;
}

FASTSCIML_HOST_DEVICE inline Cell cell_of(const Level& level, int i, int j, int k) {
  const int in_row = index_in_row(level, k), stored = level.stored[row_index(level, i, j)];
  const int64_t row = stored < 0 ? ~stored : stored;
  return {.i = i,
          .j = j,
          .k = k,
          .in_row = in_row,
          .at = row_index(level, i, j) * level.stride() + in_row,
          .z_at = row * level.z_stride + in_row,
          .diagonal = row * level.stride() + in_row,
          .weighted = stored < 0 && level.face_x != nullptr};
}

// A half-sweep takes cells of one colour in so many turns, the later ones where seams are.
FASTSCIML_HOST_DEVICE inline int turns_of(const Level& level) {
  return 1 + level.x.closes_oddly() + level.y.closes_oddly() + level.z.closes_oddly();
}
FASTSCIML_HOST_DEVICE inline int turn_of_row(const Level& level, int i, int j) {
  return (level.x.closes_oddly() && i == 0) + (level.y.closes_oddly() && j == 0);
}
FASTSCIML_HOST_DEVICE inline int turn_of(const Level& level, const Cell& c) {
  return turn_of_row(level, c.i, c.j) + (level.z.closes_oddly() && c.k == 0);
}

// The distance along an axis to index `to`, which may lie past an end; beyond tells that nothing is there.
struct Across {
  int steps;
  bool beyond;
};
FASTSCIML_HOST_DEVICE inline Across across(const Axis& axis, int from, int to) {
  const int extent = static_cast<int>(axis.extent);
  if (to >= 0 && to < extent) return {to - from, false};
  return {(to < 0 ? extent - 1 : 0) - from, !axis.periodic};
}

// The sum of couplings times neighbours.
FASTSCIML_HOST_DEVICE inline float neighbours_of(const Level& level, ConstField v, const Cell& c) {
  const int64_t stride = level.stride(), plane = level.y.extent * stride;
  const auto value = [&](const Across& to, int64_t step) { return to.beyond ? 0.0f : v[c.at + to.steps * step]; };
  const auto value_z = [&](const Across& to) {
    return to.beyond ? 0.0f : v[c.at - c.in_row + index_in_row(level, c.k + to.steps)];
  };
  const bool odd = c.k & 1;
  const float lower_z = odd ? level.near_z[c.z_at] : level.far_z[c.z_at];
  const float upper_z = odd ? level.far_z[c.z_at] : level.near_z[c.z_at];
  float lower_x = level.x.lower[c.i], upper_x = level.x.upper[c.i];
  float lower_y = level.y.lower[c.j], upper_y = level.y.upper[c.j];
  if (c.weighted) {
    lower_x *= level.face_x[c.at];
    upper_x *= level.face_x[c.at + plane];
    lower_y *= level.face_y[c.at + c.i * stride];
    upper_y *= level.face_y[c.at + (c.i + 1) * stride];
  }
  return lower_z * value_z(across(level.z, c.k, c.k - 1)) + upper_z * value_z(across(level.z, c.k, c.k + 1)) +
         lower_y * value(across(level.y, c.j, c.j - 1), stride) +
         upper_y * value(across(level.y, c.j, c.j + 1), stride) +
         lower_x * value(across(level.x, c.i, c.i - 1), plane) + upper_x * value(across(level.x, c.i, c.i + 1), plane);
}

// f - A v, 0 without an unknown.
FASTSCIML_HOST_DEVICE inline float residual_of(const Level& level, ConstField f, ConstField v, const Cell& c) {
  if (!(level.inverse_diagonal[c.diagonal] > 0.0f)) return 0.0f;
  return f[c.at] + neighbours_of(level, v, c) - level.diagonal[c.diagonal] * v[c.at];
}

// The coarse cells that a fine one is interpolated from along one axis, and their weights.
struct Interpolation {
  int parent, beyond;
  float own, next;
};

// What `weight` counts at coarse cell I, relative to itself; guess.h tells why.
template <class IsSingle>
FASTSCIML_HOST_DEVICE inline float emphasis(const Axis& axis, float weight, int I, IsSingle is_single) {
  // Cells merge in twos at most: an axis twice as long as its coarse one has no single ones.
  if (weight == 1.0f || !axis.coarsened() || axis.extent == 2 * axis.coarse_extent) return 1.0f;
  if (is_single(I)) return 1.0f / weight;
  const bool beside = (I > 0 && is_single(I - 1)) || (I + 1 < axis.coarse_extent && is_single(I + 1));
  return beside ? (1.0f + 0.5f * (weight - 1.0f)) / weight : 1.0f;
}

FASTSCIML_HOST_DEVICE inline Interpolation interpolation(const Axis& axis, float weight, int i) {
  const int parent = axis.parent[i];
  const float share = emphasis(axis, weight, parent, [&](int I) { return axis.first[I + 1] - axis.first[I] == 1; });
  return {parent, axis.beyond[i], share * axis.own[i], share * axis.next[i]};
}

FASTSCIML_HOST_DEVICE inline Interpolation interpolation_z(const Level& level, float weight, int k) {
  const Axis& z = level.z;
  const int in_row = index_in_row(level, k), wide = static_cast<int>(z.coarse_extent);
  Interpolation to{.parent = k, .beyond = k, .own = z.own[in_row], .next = z.next[in_row]};
  if (!z.coarsened()) return to;
  if (level.z_parent != nullptr) {
    to.parent = level.z_parent[in_row];
    to.beyond = level.z_beyond[in_row];
  } else {
    to.parent = k >> 1;
    to.beyond = (to.parent + (k & 1 ? 1 : wide - 1)) % wide;
  }
  const int coarse_half = static_cast<int>(half_of(wide));
  const float share = emphasis(z, weight, to.parent, [&](int K) {
    return level.z_parent == nullptr ? 2 * K + 1 == z.extent : level.z_second[(K >> 1) + (K & 1) * coarse_half] < 0;
  });
  to.own *= share;
  to.next *= share;
  return to;
}

// Where sweeps start: v + weight P e, as Guess in guess.h.
struct DeviceGuess {
  ConstField v;
  ConstField e;
  float weight = 1.0f;
  bool around_solid = false;

  FASTSCIML_HOST_DEVICE bool zero() const { return v == nullptr && e == nullptr; }
};

// At a cell: P e, P 1, and P m, where m is 1 in the coarse cells with an unknown and 0 in the others; e_at(coarse
// cell).
struct Shares {
  float sum, all, open;
};
template <class ValueAt>
FASTSCIML_HOST_DEVICE inline Shares shares_at(const Level& level, const Level& coarse, float weight, bool wants_open,
                                              const Cell& c, ValueAt e_at) {
  const Interpolation x = interpolation(level.x, weight, c.i), y = interpolation(level.y, weight, c.j),
                      z = interpolation_z(level, weight, c.k);
  Shares shares{};
#pragma unroll 1
  for (int corner = 0; corner < 8; ++corner) {
    const bool next_x = corner & 4, next_y = corner & 2, next_z = corner & 1;
    const float part = (next_x ? x.next : x.own) * (next_y ? y.next : y.own) * (next_z ? z.next : z.own);
    if (part == 0.0f) continue;
    const Cell from =
        cell_of(coarse, next_x ? x.beyond : x.parent, next_y ? y.beyond : y.parent, next_z ? z.beyond : z.parent);
    shares.sum += part * e_at(from);
    shares.all += part;
    if (wants_open && coarse.inverse_diagonal[from.diagonal] > 0.0f) shares.open += part;
  }
  return shares;
}

// weight P e at a cell, 0 without an unknown.
FASTSCIML_HOST_DEVICE inline float correction_at(const Level& level, const Level& coarse, const DeviceGuess& guess,
                                                 const Cell& c) {
  if (!(level.inverse_diagonal[c.diagonal] > 0.0f)) return 0.0f;
  const Shares shares =
      shares_at(level, coarse, guess.weight, guess.around_solid, c, [&](const Cell& from) { return guess.e[from.at]; });
  const float sum = shares.sum * guess.weight;
  if (!guess.around_solid || shares.open == shares.all) return sum;
  return shares.open > 0.0f ? sum * shares.all / shares.open : 0.0f;
}

FASTSCIML_HOST_DEVICE inline float guess_at(const Level& level, const Level& coarse, const DeviceGuess& guess,
                                            const Cell& c) {
  const float v = guess.v == nullptr ? 0.0f : guess.v[c.at];
  return guess.e == nullptr ? v : v + correction_at(level, coarse, guess, c);
}

}  // namespace fastsciml::multigrid
