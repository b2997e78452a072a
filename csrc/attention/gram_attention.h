// Small matrices of many tasks side by side: a vector holds the same element of as many tasks as it has lanes, so that
// matrices of any size fill it. What a task's matrix is multiplied by is another one of its own, or one that all tasks
// share, whose elements are broadcast.
//
// A product goes by blocks of kBlockRows x kBlockColumns sums in registers: per step in depth a block of AVX-512 takes
// 24 multiply-adds and 10 loads. Extents are cut into blocks as even as can be: 11 into 6, 5. Called by
// gram_attention_cpu.cpp.
#pragma once

#include <type_traits>

#include "attention/rows.h"

namespace fastsciml::attention {

inline constexpr int kBlockRows = 6;
#if defined(__AVX512F__)
inline constexpr int kBlockColumns = 4;
#else
inline constexpr int kBlockColumns = 2;
#endif

// A matrix of every lane's task: element (i, j) is the vector at values + i row_step + j column_step.
template <class T>
struct OfTasks {
  T* values;
  int64_t row_step, column_step;

  // Rows of `width` elements, one after another
  static OfTasks rows(T* values, int64_t width) { return {values, width * kLanes<T>, kLanes<T>}; }

  OfTasks transposed() const { return {values, column_step, row_step}; }
  OfTasks from(int64_t i, int64_t j) const { return {values + i * row_step + j * column_step, row_step, column_step}; }
  Lanes<T> at(int64_t i, int64_t j) const { return core::load(values + i * row_step + j * column_step); }
  void set(int64_t i, int64_t j, Lanes<T> value) const { core::store(values + i * row_step + j * column_step, value); }
};

// A matrix that all tasks share: element (i, j) at values[i row_step + j column_step].
template <class T>
struct OfAll {
  const T* values;
  int64_t row_step, column_step;

  static OfAll rows(const T* values, int64_t width) { return {values, width, 1}; }

  OfAll transposed() const { return {values, column_step, row_step}; }
  OfAll from(int64_t i, int64_t j) const { return {values + i * row_step + j * column_step, row_step, column_step}; }
  T at(int64_t i, int64_t j) const { return values[i * row_step + j * column_step]; }
};

enum class Into { kNew, kSum };

// R x C sums in registers.
template <class T, int R, int C>
struct Block {
  Lanes<T> sums[R][C];

  [[gnu::always_inline]] void load(const OfTasks<T>& from) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) sums[r][c] = from.at(r, c);
  }

  [[gnu::always_inline]] void clear() {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) sums[r][c] = Lanes<T>{};
  }

  // sums += left right. Measured at a depth of 11: unrolling takes a tenth off a product's time.
  template <class Right>
  [[gnu::always_inline]] void add_product(OfTasks<T> left, Right right, int64_t depth) {
#pragma GCC unroll 4
    for (int64_t k = 0; k < depth; ++k) {
      decltype(right.at(0, 0)) row[C];
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) row[c] = right.at(0, c);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const Lanes<T> factor = left.at(r, 0);
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) sums[r][c] += factor * row[c];
      }
      left.values += left.column_step;
      right.values += right.row_step;
    }
  }

  [[gnu::always_inline]] void store(const OfTasks<T>& to) const {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) to.set(r, c, sums[r][c]);
  }
};

template <int n>
using Extent = std::integral_constant<int, n>;

// body(Extent<n>), n from 1 to kMost
template <int kMost, class Body>
[[gnu::always_inline]] inline void with_extent(int64_t n, Body body) {
  if constexpr (kMost > 1) {
    if (n < kMost) return with_extent<kMost - 1>(n, body);
  }
  body(Extent<kMost>{});
}

// body(begin, Extent) for the blocks that 0 .. n - 1 is cut into
template <int kMost, class Body>
[[gnu::always_inline]] inline void for_blocks(int64_t n, Body body) {
  const int64_t blocks = (n + kMost - 1) / kMost;
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t begin = n * b / blocks;
    with_extent<kMost>(n * (b + 1) / blocks - begin, [&](auto extent) { body(begin, extent); });
  }
}

struct Extents {
  int64_t rows, depth, columns;
};

// out = left right, or added to it
template <class T, class Right>
void multiply(const OfTasks<T>& left, const Right& right, const Extents& extents, Into into, const OfTasks<T>& out) {
  for_blocks<kBlockRows>(extents.rows, [&](int64_t i, auto R) {
    for_blocks<kBlockColumns>(extents.columns, [&](int64_t j, auto C) {
      Block<T, R.value, C.value> block;
      if (into == Into::kSum) {
        block.load(out.from(i, j));
      } else {
        block.clear();
      }
      block.add_product(left.from(i, 0), right.from(0, j), extents.depth);
      block.store(out.from(i, j));
    });
  });
}

template <class T>
void multiply(const OfAll<T>& left, const OfTasks<T>& right, const Extents& extents, Into into, const OfTasks<T>& out) {
  multiply(right.transposed(), left.transposed(), {extents.columns, extents.depth, extents.rows}, into,
           out.transposed());
}

// out [width, width] = tokens^T tokens for tokens [count, width]: the blocks of the upper half, stored to the lower,
// too.
template <class T>
void make_gram(const OfTasks<T>& tokens, int64_t count, int64_t width, const OfTasks<T>& out) {
  for_blocks<kBlockColumns>(width, [&](int64_t i, auto R) {
    for_blocks<kBlockColumns>(width, [&](int64_t j, auto C) {
      if (j < i) return;
      Block<T, R.value, C.value> block;
      block.clear();
      block.add_product(tokens.transposed().from(i, 0), tokens.from(0, j), count);
      block.store(out.from(i, j));
      if (j > i) block.store(out.from(j, i).transposed());
    });
  });
}

// matrix += matrix^T
template <class T>
void symmetrize(const OfTasks<T>& matrix, int64_t width) {
  for (int64_t i = 0; i < width; ++i) {
    for (int64_t j = i; j < width; ++j) {
      const Lanes<T> sum = matrix.at(i, j) + matrix.at(j, i);
      matrix.set(i, j, sum);
      matrix.set(j, i, sum);
    }
  }
}

// Whether rows of a tensor [tasks, size] need no buffer to become vectors.
template <class Stored>
bool stands_as_squares(int64_t count, int64_t size) {
  using T = Compute<Stored>;
  return std::is_same_v<Stored, T> && count == kLanes<T> && size >= kLanes<T>;
}

// What the two functions below need of memory for `size` elements.
template <class T>
constexpr int64_t vectors_size(int64_t size) {
  return round_up(size, kLanes<T>) * kLanes<T>;
}
template <class T>
constexpr int64_t buffer_size(int64_t size) {
  return round_up(size, kLanes<T>) * std::max<int64_t>(kLanes<T>, kRows);
}

// Rows of `count` tasks to vectors [size, lanes], with zeros for the lanes without a task.
template <class Stored, class T = Compute<Stored>>
void load_tasks(const Stored* rows, int64_t count, int64_t size, T* buffer, T* vectors) {
  constexpr int64_t W = kLanes<T>;
  if constexpr (std::is_same_v<Stored, T>) {
    if (stands_as_squares<Stored>(count, size)) {
      // The last square overlaps the one before it.
      for (int64_t i = 0; i < size; i += W) {
        const int64_t start = std::min(i, size - W);
        core::transpose(rows + start, size, vectors + start * W, W);
      }
      return;
    }
  }
  const Tile<T> tile = load_rows(rows, count, size, buffer);
  for (int64_t i = 0; i < size; i += W) core::transpose(tile.values + i, tile.pitch, vectors + i * W, W);
}

template <class Stored, class T = Compute<Stored>>
void store_tasks(const T* vectors, int64_t count, int64_t size, T* buffer, Stored* rows) {
  constexpr int64_t W = kLanes<T>;
  if constexpr (std::is_same_v<Stored, T>) {
    if (stands_as_squares<Stored>(count, size)) {
      for (int64_t i = 0; i < size; i += W) {
        const int64_t start = std::min(i, size - W);
        core::transpose(vectors + start * W, W, rows + start, size);
      }
      return;
    }
  }
  const int64_t pitch = round_up(size, W);
  for (int64_t i = 0; i < size; i += W) core::transpose(vectors + i * W, W, buffer + i, pitch);
  store_rows(buffer, pitch, count, size, rows);
}

// sums[i] = the sum over the lanes of vector i, i < n rounded up to lanes.
template <class T>
void sum_lanes(const T* vectors, int64_t n, T* sums) {
  constexpr int64_t W = kLanes<T>;
  for (int64_t i = 0; i < n; i += W) {
    alignas(core::kVectorBytes) T square[W * W];
    core::transpose(vectors + i * W, W, square, W);
    Lanes<T> sum{};
    for (int64_t l = 0; l < W; ++l) sum += core::load(square + l * W);
    core::store(sums + i, sum);
  }
}

}  // namespace fastsciml::attention
