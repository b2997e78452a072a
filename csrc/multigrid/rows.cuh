// Four cells of half a row at a time, on CUDA: one access of 16 bytes for each array. Formulae as in rows.h, layouts in
// level.h.
//
// Halves of rows are whole cache lines, so that four cells of one colour stand together, their neighbours in x and y
// likewise, and of those in z all but one. Places are counted in fours of floats: 32 bits of them count all that a
// device can hold.
#pragma once

#include "multigrid/cell.cuh"

namespace fastsciml::multigrid {

struct Four {
  float at[4];
};

__device__ inline Four load_four(ConstField from, unsigned four) {
  const float4 values = core::load4(from, int64_t{4} * four);
  return {{values.x, values.y, values.z, values.w}};
}
__device__ inline void store_four(Field to, unsigned four, const Four& values) {
  core::store4(to, int64_t{4} * four, make_float4(values.at[0], values.at[1], values.at[2], values.at[3]));
}
// Of an array whose start may be no multiple of 16 bytes.
__device__ inline Four load_singly(ConstField from, int first) {
  return {{from[first], from[first + 1], from[first + 2], from[first + 3]}};
}
// sum += a b
__device__ inline void add_product(Four& sum, const Four& a, const Four& b) {
#pragma unroll
  for (int n = 0; n < 4; ++n) sum.at[n] += a.at[n] * b.at[n];
}
__device__ inline void add_product(Four& sum, float a, const Four& b) {
#pragma unroll
  for (int n = 0; n < 4; ++n) sum.at[n] += a * b.at[n];
}

// The fours in half a row, and how many of them hold cells.
FASTSCIML_HOST_DEVICE inline int fours_of_half(const Level& level) { return static_cast<int>(level.half) >> 2; }
FASTSCIML_HOST_DEVICE inline int fours_with_cells(const Level& level) {
  return (static_cast<int>(level.z.extent) + 7) >> 3;
}

// A row and where it starts: in a field, in the diagonals, in the couplings along z.
struct Row {
  int i, j;
  unsigned at, diagonal, z;
  bool weighted;
};
__device__ inline Row row_of(const Level& level, int i, int j) {
  const int number = row_index(level, i, j), stored = level.stored[number];
  const auto row = static_cast<unsigned>(stored < 0 ? ~stored : stored), stride = 2u * fours_of_half(level);
  return {.i = i,
          .j = j,
          .at = static_cast<unsigned>(number) * stride,
          .diagonal = row * stride,
          .z = row * (static_cast<unsigned>(level.z_stride) / 4),
          .weighted = stored < 0};
}

// Where the neighbour before or after cell i of an axis stands, relative to it. Beyond an end that is not periodic, the
// cell stands for it: the coupling is 0 there.
__device__ inline unsigned to_lower(const Axis& axis, int i, unsigned step) {
  const unsigned wrap = axis.periodic ? (static_cast<unsigned>(axis.extent) - 1) * step : 0;
  return i > 0 ? 0u - step : wrap;
}
__device__ inline unsigned to_upper(const Axis& axis, int i, unsigned step) {
  const unsigned wrap = axis.periodic ? (static_cast<unsigned>(axis.extent) - 1) * step : 0;
  return i + 1 < static_cast<int>(axis.extent) ? step : 0u - wrap;
}

// The far neighbours along z of four cells, whose near ones are `near`. An axis that closes oddly does otherwise.
__device__ inline Four far_of(const Level& level, ConstField v, const Row& row, int which, int four, const Four& near) {
  const int half = static_cast<int>(level.half), last = static_cast<int>(level.z.extent) / 2 - 1;
  const bool periodic = level.z.periodic;
  const int64_t other = int64_t{4} * row.at + (which ? 0 : half);
  const int before = four > 0 ? 4 * four - 1 : periodic ? last : 0, after = 4 * four + 4 < half ? 4 * four + 4 : 0;
  const float single = v[other + (which ? after : before)];
  Four far =
      which ? Four{{near.at[1], near.at[2], near.at[3], single}} : Four{{single, near.at[0], near.at[1], near.at[2]}};
  if (periodic && which && last >> 2 == four) {
    const float first = v[other];
#pragma unroll
    for (int n = 0; n < 4; ++n) far.at[n] = n == (last & 3) ? first : far.at[n];
  }
  return far;
}

// The sums of couplings times neighbours, of four cells of a half.
template <bool kWeighted>
__device__ Four neighbours_of(const Level& level, ConstField v, const Row& row, int which, int four, const Four& near) {
  const unsigned half = fours_of_half(level), stride = 2 * half;
  const unsigned plane = stride * static_cast<unsigned>(level.y.extent), in_row = which * half + four;
  const unsigned at = row.at + in_row;
  Four sum{};
  add_product(sum, load_four(level.near_z, row.z + in_row), near);
  add_product(sum, load_four(level.far_z, row.z + in_row), far_of(level, v, row, which, four, near));
  const Four lower_y = load_four(v, at + to_lower(level.y, row.j, stride));
  const Four upper_y = load_four(v, at + to_upper(level.y, row.j, stride));
  const Four lower_x = load_four(v, at + to_lower(level.x, row.i, plane));
  const Four upper_x = load_four(v, at + to_upper(level.x, row.i, plane));
  const auto add = [&](float coupling, const Four& neighbour, ConstField face, unsigned at_face) {
    if (kWeighted && row.weighted) {
      const Four conducts = load_four(face, at_face);
#pragma unroll
      for (int n = 0; n < 4; ++n) sum.at[n] += coupling * conducts.at[n] * neighbour.at[n];
    } else {
      add_product(sum, coupling, neighbour);
    }
  };
  const unsigned face_y = at + static_cast<unsigned>(row.i) * stride;
  add(level.y.lower[row.j], lower_y, level.face_y, face_y);
  add(level.y.upper[row.j], upper_y, level.face_y, face_y + stride);
  add(level.x.lower[row.i], lower_x, level.face_x, at);
  add(level.x.upper[row.i], upper_x, level.face_x, at + plane);
  return sum;
}

// Values of the cells with even k and of those with odd k, four columns of a row.
struct Columns {
  Four even, odd;
};
__device__ inline Columns load_columns(const Level& level, ConstField from, unsigned even) {
  return {load_four(from, even), load_four(from, even + fours_of_half(level))};
}

// f - A v in four cells of a half, 0 without an unknown.
template <bool kWeighted>
__device__ Four residual_of(const Level& level, ConstField f, ConstField v, const Row& row, int which, int four) {
  const unsigned half = fours_of_half(level), in_row = which * half + four;
  const Four own = load_four(v, row.at + in_row), near = load_four(v, row.at + (1 - which) * half + four);
  const Four inverse = load_four(level.inverse_diagonal, row.diagonal + in_row);
  const Four diagonal = load_four(level.diagonal, row.diagonal + in_row);
  const Four around = neighbours_of<kWeighted>(level, v, row, which, four, near);
  Four residual = load_four(f, row.at + in_row);
#pragma unroll
  for (int n = 0; n < 4; ++n) {
    residual.at[n] += around.at[n] - diagonal.at[n] * own.at[n];
    if (!(inverse.at[n] > 0.0f)) residual.at[n] = 0.0f;
  }
  return residual;
}

}  // namespace fastsciml::multigrid
