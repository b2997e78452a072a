// Products of small matrices in registers: a block of kRows x (V vectors) sums stays there while k runs. The right-hand
// matrix has its columns side by side and is read by vectors; an element of the left-hand one, with any steps between
// its rows and columns, is broadcast to a vector. So neither A B nor A^T B needs a copy of A.
//
// Per k a block of AVX-512 takes 16 multiply-adds and 10 loads.
#pragma once

#include "core/lanes.h"

namespace fastsciml::core {

// 8 x 2 sums leave half of AVX-512's 32 registers to operands; 4 x 2 of 16 do so elsewhere.
#if defined(__AVX512F__)
inline constexpr int kRows = 8;
#else
inline constexpr int kRows = 4;
#endif
inline constexpr int kVectors = 2;

constexpr int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// Element (row, k) at values[row row_step + k k_step].
template <class T>
struct Left {
  const T* values;
  int64_t row_step, k_step;
};

template <class T, int V>
struct Sums {
  Lanes<T> at[kRows][V];

  [[gnu::always_inline]] void clear() {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) at[r][v] = Lanes<T>{};
  }

  // sums += left right for k = begin .. end - 1; row k of `right` at right + k pitch
  [[gnu::always_inline]] void add_product(const Left<T>& left, const T* right, int64_t pitch, int64_t begin,
                                          int64_t end) {
    const T* a = left.values + begin * left.k_step;
    const T* b = right + begin * pitch;
    for (int64_t k = begin; k < end; ++k, a += left.k_step, b += pitch) {
      Lanes<T> row[V];
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) row[v] = core::load(b + v * kLanes<T>);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const T factor = a[r * left.row_step];
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) at[r][v] += factor * row[v];
      }
    }
  }

  // Row r times factors[r step].
  [[gnu::always_inline]] void scale_rows(const T* factors, int64_t step) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) at[r][v] *= factors[r * step];
  }

  [[gnu::always_inline]] void load(const T* from, int64_t pitch) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) at[r][v] = core::load(from + r * pitch + v * kLanes<T>);
  }

  // first + sums stays, first - sums goes to second
  [[gnu::always_inline]] void split(const T* first, T* second, int64_t pitch) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) {
        const Lanes<T> other = core::load(first + r * pitch + v * kLanes<T>);
        core::store(second + r * pitch + v * kLanes<T>, other - at[r][v]);
        at[r][v] += other;
      }
  }

  [[gnu::always_inline]] void store(T* to, int64_t pitch) const {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) core::store(to + r * pitch + v * kLanes<T>, at[r][v]);
  }
};

template <int V>
struct Panel {
  static constexpr int vectors = V;
};

// body(column, Panel) for the columns begin .. end - 1, multiples of a vector, in panels as wide as a block.
template <class T, class Body>
[[gnu::always_inline]] inline void for_panels(int64_t begin, int64_t end, Body body) {
  constexpr int64_t wide = kVectors * kLanes<T>;
  for (; begin + wide <= end; begin += wide) body(begin, Panel<kVectors>{});
  for (; begin < end; begin += kLanes<T>) body(begin, Panel<1>{});
}

}  // namespace fastsciml::core
