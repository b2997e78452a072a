// A row in the order of k to its two halves (level.h): out = scale * row, as float32.
#pragma once

#include <algorithm>

#include "multigrid/level.h"

namespace fastsciml::multigrid {

template <class T>
inline void split_row(float* __restrict out, const T* __restrict row, T scale, int64_t n, int64_t half) {
#pragma omp simd
  for (int64_t m = 0; m < n / 2; ++m) {
    out[m] = static_cast<float>(scale * row[2 * m]);
    out[half + m] = static_cast<float>(scale * row[2 * m + 1]);
  }
  if (n % 2) out[n / 2] = static_cast<float>(scale * row[n - 1]);
  std::fill(out + (n + 1) / 2, out + half, 0.0f);
  std::fill(out + half + n / 2, out + 2 * half, 0.0f);
}

}  // namespace fastsciml::multigrid
