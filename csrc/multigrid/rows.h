// The loops of the cycle, over half a row of cells at a time (see level.h): plain loops at unit stride, which the
// compiler vectorises. n, the floats of a half, is a multiple of kRowUnit.
#pragma once

#include <algorithm>
#include <type_traits>

#include "multigrid/level.h"
#include "multigrid/relaxation.h"

namespace fastsciml::multigrid {

// body(weighted), std::true_type or std::false_type.
template <class Body>
inline void with_weights(bool weighted, Body body) {
  weighted ? body(std::true_type{}) : body(std::false_type{});
}

// What stands around half a row: couplings, and the values of the neighbours.
struct HalfStencil {
  float lower_x, upper_x, lower_y, upper_y;
  const float* below_x;  // the same half at i - 1
  const float* above_x;  // at i + 1
  const float* below_y;  // at j - 1
  const float* above_y;  // at j + 1
  const float* near;     // the other half of this row, neighbours with the same index
  const float* far;      // the other half, moved by one cell
  const float* near_z;
  const float* far_z;
  const float* face_lower_x;  // null where all faces conduct 1
  const float* face_upper_x;
  const float* face_lower_y;
  const float* face_upper_y;

  // The sum of couplings times neighbours at index m.
  template <bool kWeighted>
  float neighbours(int64_t m) const {
    const float along_z = near_z[m] * near[m] + far_z[m] * far[m];
    if constexpr (kWeighted) {
      return along_z + lower_x * face_lower_x[m] * below_x[m] + upper_x * face_upper_x[m] * above_x[m] +
             lower_y * face_lower_y[m] * below_y[m] + upper_y * face_upper_y[m] * above_y[m];
    } else {
      return along_z + lower_x * below_x[m] + upper_x * above_x[m] + lower_y * below_y[m] + upper_y * above_y[m];
    }
  }
};

// Couplings and face factors of half `which` of row (x, y); the neighbours are the caller's.
template <bool kWeighted>
inline HalfStencil couplings_of(const Level& level, int64_t x, int64_t y, int64_t which) {
  const int64_t h = which * level.half, row = level.row(x, y) + h;
  const int64_t z_row = level.z_row(x, y) + h;
  HalfStencil s{};
  s.lower_x = level.x.lower[x];
  s.upper_x = level.x.upper[x];
  s.lower_y = level.y.lower[y];
  s.upper_y = level.y.upper[y];
  s.near_z = level.near_z + z_row;
  s.far_z = level.far_z + z_row;
  if constexpr (kWeighted) {
    s.face_lower_x = level.face_x + row;
    s.face_upper_x = s.face_lower_x + level.y.extent * level.stride();
    // One more row in every plane.
    s.face_lower_y = level.face_y + row + x * level.stride();
    s.face_upper_y = s.face_lower_y + level.stride();
  }
  return s;
}

// v = relaxation f / d: the first half-sweep from a zero guess.
inline void start_half(float* __restrict v, const float* __restrict f, const float* __restrict inverse, float factor,
                       int64_t n) {
#pragma omp simd
  for (int64_t m = 0; m < n; ++m) v[m] = factor * inverse[m] * f[m];
}

// v = (1 - relaxation) v + relaxation (f + neighbours) / d.
template <bool kWeighted>
inline void relax_half(float* __restrict v, const float* __restrict f, const float* __restrict inverse,
                       const Relaxation& relaxation, const HalfStencil& stencil, int64_t n) {
  const Relaxation relax = relaxation;
  const HalfStencil s = stencil;
#pragma omp simd
  for (int64_t m = 0; m < n; ++m) {
    v[m] = relax.keep * v[m] + relax.factor * inverse[m] * (f[m] + s.neighbours<kWeighted>(m));
  }
}

// sum += share (f - A v); solid cells and padding have no residual.
template <bool kWeighted>
inline void residual_half(float* __restrict sum, float share, const float* __restrict v, const float* __restrict f,
                          const float* __restrict diagonal, const float* __restrict inverse, const HalfStencil& stencil,
                          int64_t n) {
  const HalfStencil s = stencil;
#pragma omp simd
  for (int64_t m = 0; m < n; ++m) {
    const float residual = f[m] + s.neighbours<kWeighted>(m) - diagonal[m] * v[m];
    sum[m] += inverse[m] > 0.0f ? share * residual : 0.0f;
  }
}

// A coarse row from the sums of residuals over the fine rows it is made of, both as two halves. `natural` is scratch
// of twice a coarse half.
inline void restrict_row(const Level& level, float* __restrict coarse, const float* __restrict sum,
                         float* __restrict natural) {
  const int64_t half = level.half, coarse_half = half_of(level.z.coarse_extent);
  const float* __restrict share = level.z.share;
  if (level.z_first != nullptr) {
    for (int64_t m = 0; m < 2 * coarse_half; ++m) {
      const int32_t first = level.z_first[m], second = level.z_second[m];
      coarse[m] = (first < 0 ? 0.0f : share[first] * sum[first]) + (second < 0 ? 0.0f : share[second] * sum[second]);
    }
    return;
  }
  if (!level.z.coarsened()) {
    std::copy_n(sum, 2 * half, coarse);
    return;
  }
  const int64_t n = std::min(half, 2 * coarse_half);
  for (int64_t m = 0; m < n; ++m) natural[m] = share[m] * sum[m] + share[half + m] * sum[half + m];
  std::fill(natural + n, natural + 2 * coarse_half, 0.0f);
#pragma omp simd
  for (int64_t m = 0; m < coarse_half; ++m) {
    coarse[m] = natural[2 * m];
    coarse[coarse_half + m] = natural[2 * m + 1];
  }
}

// Four coarse rows (I, J), (I, J'), (I', J), (I', J') and their weights in a fine row between them.
struct CoarseNeighbours {
  const float* row[4];
  float weight[4];

  float at(int64_t m) const {
    return weight[0] * row[0][m] + weight[1] * row[1][m] + weight[2] * row[2][m] + weight[3] * row[3][m];
  }
};

// Linear interpolation across x and y, as a row in the order of k.
inline void interpolate_natural(float* __restrict out, const CoarseNeighbours& coarse, int64_t half) {
  const CoarseNeighbours c = coarse;
#pragma omp simd
  for (int64_t m = 0; m < half; ++m) {
    out[2 * m] = c.at(m);
    out[2 * m + 1] = c.at(half + m);
  }
}

// out = v + own e + next e_beyond for half a fine row; cells without an unknown stay 0.
inline void correct_half(float* __restrict out, const float* __restrict v, const float* __restrict e,
                         const float* __restrict e_beyond, const float* __restrict own, const float* __restrict next,
                         const float* __restrict inverse, int64_t n) {
#pragma omp simd
  for (int64_t m = 0; m < n; ++m) {
    const float correction = own[m] * e[m] + next[m] * e_beyond[m];
    out[m] = v[m] + (inverse[m] > 0.0f ? correction : 0.0f);
  }
}

// The same where z's cells do not merge in pairs: e is a coarse row in the order of k.
inline void correct_row(const Level& level, const float* __restrict own, const float* __restrict next,
                        float* __restrict out_even, float* __restrict out_odd, const float* __restrict v,
                        const float* __restrict e, const float* __restrict inverse) {
  for (int64_t which : {0, 1}) {
    float* out = which ? out_odd : out_even;
    for (int64_t m = 0; m < level.half; ++m) {
      const int64_t at = which * level.half + m;
      const float correction = own[at] * e[level.z_parent[at]] + next[at] * e[level.z_beyond[at]];
      out[m] = v[at] + (inverse[at] > 0.0f ? correction : 0.0f);
    }
  }
}

// The same where z is not coarsened: only x and y are interpolated.
inline void correct_half(float* __restrict out, const float* __restrict v, const CoarseNeighbours& coarse,
                         int64_t offset, const float* __restrict inverse, int64_t n) {
  const CoarseNeighbours c = coarse;
#pragma omp simd
  for (int64_t m = 0; m < n; ++m) out[m] = v[m] + (inverse[m] > 0.0f ? c.at(offset + m) : 0.0f);
}

}  // namespace fastsciml::multigrid
