// exp(t) as straight-line arithmetic, so that a loop around it is vectorised.
//
// exp(t) = 2^n exp(r) with n the integer nearest t / ln 2 and r = t - n ln 2, in two parts, |r| <= ln 2 / 2; exp(r) by
// a polynomial that interpolates at Chebyshev nodes (relative error 2e-9 in float, 4e-20 in double).
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

namespace fastsciml::core {

template <class T>
struct ExpOf;

template <>
struct ExpOf<float> {
  using Bits = uint32_t;
  static constexpr int kMantissa = 23;
  static constexpr Bits kOne = 0x3f800000u;
  static constexpr float kLimit = 87.0f;
  static constexpr float kToInteger = 0x1.8p23f;  // added to a small number, it leaves the integer in the lowest bits
  static constexpr float kPerLn2 = 0x1.715476p+0f, kLn2 = 0x1.63p-1f, kLn2Rest = -0x1.bd0106p-13f;
  static constexpr float kPolynomial[] = {0.00139411190f, 0.00837513475f, 0.0416663528f, 0.166664154f,
                                          0.500000005f,   1.00000004f,    1.0f};
};

template <>
struct ExpOf<double> {
  using Bits = uint64_t;
  static constexpr int kMantissa = 52;
  static constexpr Bits kOne = 0x3ff0000000000000u;
  static constexpr double kLimit = 708.0;
  static constexpr double kToInteger = 0x1.8p52;
  static constexpr double kPerLn2 = 0x1.71547652b82fep+0, kLn2 = 0x1.62e42fefap-1, kLn2Rest = 0x1.cf79abc9e3b3ap-40;
  static constexpr double kPolynomial[] = {2.0921588938971492e-09,
                                           2.5114882095880340e-08,
                                           2.7557251877225083e-07,
                                           2.7557224920652139e-06,
                                           2.4801587350139931e-05,
                                           1.9841269909257903e-04,
                                           1.3888888888871875e-03,
                                           8.3333333333095080e-03,
                                           4.1666666666666692e-02,
                                           1.6666666666666702e-01,
                                           0.5,
                                           1.0,
                                           1.0};
};

// t, but no further from 0 than the limit. In integers: from a choice between floats the compiler makes a case of its
// own for the limit, whose tiny result it then works out for every vector, and subnormal numbers are a hundred times
// slower.
template <class T>
[[gnu::always_inline]] inline T limited(T t) {
  using Bits = typename ExpOf<T>::Bits;
  constexpr Bits sign = Bits{1} << (sizeof(T) * 8 - 1);
  const Bits bits = std::bit_cast<Bits>(t);
  return std::bit_cast<T>(std::min(bits & ~sign, std::bit_cast<Bits>(ExpOf<T>::kLimit)) | (bits & sign));
}

// |t| at most kLimit
template <class T>
[[gnu::always_inline]] inline T exp_of(T t) {
  using Of = ExpOf<T>;
  using Bits = typename Of::Bits;
  const T shifted = t * Of::kPerLn2 + Of::kToInteger;
  const T n = shifted - Of::kToInteger;
  const T r = (t - n * Of::kLn2) - n * Of::kLn2Rest;
  T sum = Of::kPolynomial[0];
#pragma GCC unroll 16
  for (unsigned k = 1; k < std::extent_v<decltype(Of::kPolynomial)>; ++k) sum = sum * r + Of::kPolynomial[k];
  return sum * std::bit_cast<T>((std::bit_cast<Bits>(shifted) << Of::kMantissa) + Of::kOne);
}

}  // namespace fastsciml::core
