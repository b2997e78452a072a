// Every lane belongs to another sequence, so that a transform of W sequences is written like one of a single sequence.
#pragma once

#include "core/lanes.h"

namespace fastsciml::spectral {

using core::kLanes;
using core::Lanes;
using core::load;
using core::round_up_to_lanes;
using core::store;
using core::transpose;

template <class T>
struct Complex {
  Lanes<T> re, im;
};

// (a + ib)(re + i im)
template <class T>
inline Complex<T> times(Complex<T> z, T re, T im) {
  return {z.re * re - z.im * im, z.re * im + z.im * re};
}

// One sequence per lane: element i of all of them stands at base + i stride.
template <class T>
struct Rows {
  T* base;
  int64_t stride;

  auto operator[](int64_t i) const { return load(base + i * stride); }
  void set(int64_t i, Lanes<T> lanes) const { store(base + i * stride, lanes); }
  Rows from(int64_t first, int64_t step) const { return {base + first * stride, step * stride}; }
  Rows reversed(int64_t n) const { return from(n - 1, -1); }
};

}  // namespace fastsciml::spectral
