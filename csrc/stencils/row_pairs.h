// Two rows of a stencil of 3 taps at once, with 4 products instead of 6: Winograd's F(2, 3) along y. Of the source rows
// d_0 .. d_3 above, at and below the two and of the taps g_0 .. g_2,
//
//   m_0 = (d_0 - d_2) g_0                        out_0 = m_0 + m_1 + m_2
//   m_1 = (d_1 + d_2) (g_0 + g_1 + g_2) / 2      out_1 = m_1 - m_2 - m_3
//   m_2 = (d_2 - d_1) (g_0 - g_1 + g_2) / 2
//   m_3 = (d_1 - d_3) g_2
//
// and transposed, for the gradient of g from those of out, a_0 and a_1,
//
//   n_0 = a_0 (d_0 - d_2)              dg_0 = n_0 + (n_1 + n_2) / 2
//   n_1 = (a_0 + a_1) (d_1 + d_2)      dg_1 = (n_1 - n_2) / 2
//   n_2 = (a_0 - a_1) (d_2 - d_1)      dg_2 = n_3 + (n_1 + n_2) / 2
//   n_3 = -a_1 (d_1 - d_3)
//
// The sums of two rows cost 4 additions per source value beside 288 multiply-adds (24 channels), and its rounding about
// twice the plain sum's. Used where sums are float.
//
// S. Winograd, Arithmetic Complexity of Computations, 1980; A. Lavin, S. Gray, Fast Algorithms for Convolutional Neural
// Networks, CVPR 2016.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "stencils/rows.h"

namespace fastsciml::stencils {

inline constexpr int64_t kProducts = 4;  // of two rows
inline constexpr int64_t kTransformedTaps = 3;

// The factors of the products by those taps, [outer, 3, inner] -> [outer, 4, inner].
template <class T>
std::vector<T> transformed_taps(const T* taps, int64_t outer, int64_t inner) {
  std::vector<T> factors(static_cast<size_t>(outer * kProducts * inner));
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < inner; ++i) {
      const T* g = taps + o * kTransformedTaps * inner + i;
      T* to = factors.data() + o * kProducts * inner + i;
      const T ends = (g[0] + g[2 * inner]) / 2, middle = g[inner] / 2;
      to[0] = g[0];
      to[inner] = ends + middle;
      to[2 * inner] = ends - middle;
      to[3 * inner] = -g[2 * inner];  // so that out_1 is a sum
    }
  return factors;
}

// [outer, 4, inner] of n -> [outer, 3, inner] of dg.
template <class T>
void gradients_of_taps(const T* products, int64_t outer, int64_t inner, T* gradients) {
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < inner; ++i) {
      const T* n = products + o * kProducts * inner + i;
      T* to = gradients + o * kTransformedTaps * inner + i;
      const T ends = (n[inner] + n[2 * inner]) / 2;
      to[0] = n[0] + ends;
      to[inner] = (n[inner] - n[2 * inner]) / 2;
      to[2 * inner] = n[3 * inner] + ends;
    }
}

// Rows of source or of out as they stand in a product: first + sign second, either of them null where it is zero.
template <class T>
struct Combined {
  const T *first, *second;
  T sign;

  void write(int64_t size, T* to) const {
    const T s = sign;
    if (!second) {
      std::copy_n(first, size, to);
    } else if (!first) {
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) to[i] = s * second[i];
    } else {
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) to[i] = first[i] + s * second[i];
    }
  }
};

template <class T>
Combined<T> source_of_product(int64_t product, const T* const (&d)[4]) {
  switch (product) {
    case 0:
      return {d[0], d[2], -1};
    case 1:
      return {d[1], d[2], 1};
    case 2:
      return {d[2], d[1], -1};
    default:
      return {d[1], d[3], -1};
  }
}

template <class T>
Combined<T> out_of_product(int64_t product, const T* a0, const T* a1) {
  switch (product) {
    case 0:
      return {a0, nullptr, 1};
    case 1:
      return {a0, a1, 1};
    case 2:
      return {a0, a1, -1};
    default:
      return {nullptr, a1, -1};
  }
}

}  // namespace fastsciml::stencils
