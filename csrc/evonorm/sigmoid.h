// sigmoid(z) = 1 / (1 + exp(-z)), lane by lane.
//
// exp as in core/exp.h, on vectors. Relative error of the sigmoid for z >= -87: below 2.5 units in the last place,
// tried over all floats. Below that it stays at exp(-88), as good as 0. NaN stays NaN.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "core/exp.h"
#include "evonorm/vector.h"

namespace fastsciml::evonorm {

using core::ExpOf;

// t, but no further from 0 than the limit. In integers: from a choice between floats the compiler makes a case of its
// own for the limit, whose tiny result it then works out for every vector, and subnormal numbers are a hundred times
// slower.
template <class V>
[[gnu::always_inline]] inline V limited(V t) {
  using Bits = typename ExpOf<Lane<V>>::Bits;
  constexpr Bits sign = Bits{1} << (sizeof(Bits) * 8 - 1);
  const auto bits = std::bit_cast<Vector<Bits>>(t);
  // Without the sign, the order of the signed integers, which every instruction set compares, is the same.
  const auto magnitude = std::bit_cast<Vector<std::make_signed_t<Bits>>>(bits & ~sign);
  const auto limit = std::bit_cast<Vector<std::make_signed_t<Bits>>>(broadcast<V>(ExpOf<Lane<V>>::kLimit));
  const auto within = magnitude < limit ? magnitude : limit;
  return std::bit_cast<V>(std::bit_cast<Vector<Bits>>(within) | (bits & sign));
}

// |t| at most kLimit
template <class V>
[[gnu::always_inline]] inline V exp_of(V t) {
  using Of = ExpOf<Lane<V>>;
  using Bits = Vector<typename Of::Bits>;
  const V shifted = t * Of::kPerLn2 + Of::kToInteger;
  const V n = shifted - Of::kToInteger;
  const V r = (t - n * Of::kLn2) - n * Of::kLn2Rest;
  V sum = broadcast<V>(Of::kPolynomial[0]);
#pragma GCC unroll 16
  for (unsigned k = 1; k < std::extent_v<decltype(Of::kPolynomial)>; ++k) sum = sum * r + Of::kPolynomial[k];
  return std::bit_cast<V>(std::bit_cast<Bits>(sum) + (std::bit_cast<Bits>(shifted) << Of::kMantissa));  // times 2^n
}

// 1 / sigmoid(z)
template <class V>
[[gnu::always_inline]] inline V sigmoid_inverse(V z) {
  const V value = 1.0f + exp_of(limited(-z));
  return z == z ? value : z;
}

}  // namespace fastsciml::evonorm
