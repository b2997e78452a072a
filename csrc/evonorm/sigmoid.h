// sigmoid(z) = 1 / (1 + exp(-z)) as straight-line arithmetic, so that a loop around it is vectorised.
//
// Relative error for z >= -87: below 2.5 units in the last place, tried over all floats. Below that it stays at
// exp(-88), as good as 0. NaN stays NaN.
#pragma once

#include "core/exp.h"

namespace fastsciml::evonorm {

template <class T>
[[gnu::always_inline]] inline T sigmoid(T z) {
  const T value = T{1} / (T{1} + core::exp_of(core::limited(-z)));
  return z == z ? value : z;
}

}  // namespace fastsciml::evonorm
