// Activations of a layer's end, as straight-line arithmetic.
#pragma once

#include <cmath>
#include <type_traits>

#include "core/exp.h"
#include "stencils/axis.h"

namespace fastsciml::stencils {

// erf to 2e-7: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
inline float erf_of(float x) {
  const float a = std::fabs(x), t = 1.0f / (1.0f + 0.3275911f * a);
  const float sum =
      ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
  return std::copysign(1.0f - sum * core::exp_of(core::limited(-a * a)), x);
}
inline double erf_of(double x) { return std::erf(x); }

template <Activation kActivation, class T>
inline T activated(T x) {
  if constexpr (kActivation == Activation::kGelu) return T(0.5) * x * (T(1) + erf_of(x * T(0.70710678118654752440)));
  if constexpr (kActivation == Activation::kRelu) return x > T(0) ? x : T(0);
  return x;
}

}  // namespace fastsciml::stencils
