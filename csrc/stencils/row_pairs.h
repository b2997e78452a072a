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

// `size` values of four rows, null where a row is zero, to those of the products, `pitch` apart.
template <class T>
void transform_source(const T* const (&d)[4], int64_t size, const T* zeros, T* to, int64_t pitch) {
  const T* row[4];
  for (int i = 0; i < 4; ++i) row[i] = d[i] ? d[i] : zeros;
  const T *d0 = row[0], *d1 = row[1], *d2 = row[2], *d3 = row[3];
  T *e0 = to, *e1 = to + pitch, *e2 = to + 2 * pitch, *e3 = to + 3 * pitch;
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    e0[i] = d0[i] - d2[i];
    e1[i] = d1[i] + d2[i];
    e2[i] = d2[i] - d1[i];
    e3[i] = d1[i] - d3[i];
  }
}

// Two rows of a likewise; the first and the last product take the rows as they are.
template <class T>
void transform_pair(const T* a0, const T* a1, int64_t size, T* to, int64_t pitch) {
  T *sum = to + pitch, *difference = to + 2 * pitch, *last = to + 3 * pitch;
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    to[i] = a0[i];
    sum[i] = a0[i] + a1[i];
    difference[i] = a0[i] - a1[i];
    last[i] = -a1[i];
  }
}

}  // namespace fastsciml::stencils
