// Comes before every source of the module that counts floating-point operations (FASTSCIML_COUNT_FLOPS in
// CMakeLists.txt). From its end on, float and double are numbers that count what is done to them, and an array of
// floats is one of such numbers. Headers of others would not bear that: those that have floats in them come first.
//
// + - * / and a square root count 1, a fused multiply-add 2; comparisons, minus signs, conversions and what works on
// exponents count nothing. Operations count as often as the source does them: a compiler may do one for several.
#pragma once

#include <bits/stdc++.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>
#if __has_include(<cuda_fp16.h>)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

#include "cuda_host/language.h"
#include "cuda_host/traffic.h"

namespace fastsciml::core::host {

template <std::floating_point T>
struct Counted;
template <class Array>
class Entry;  // memory.h

// What stands in an expression as a number: plain, counted, or the entry of an array.
template <class A>
struct Number {
  static constexpr bool kPlain = std::is_arithmetic_v<A>, kCounted = false;
};
template <std::floating_point T>
struct Number<Counted<T>> {
  static constexpr bool kPlain = false, kCounted = true;
};
template <class Array>
struct Number<Entry<Array>> : Number<typename Array::Value> {};

template <class A>
concept IsCounted = Number<A>::kCounted;
template <class A>
concept IsNumber = Number<A>::kPlain || Number<A>::kCounted;
template <class A, class B>
concept Countable = IsNumber<A> && IsNumber<B> && (IsCounted<A> || IsCounted<B>);

// A Counted converts as a plain number does, but only by a cast to a plain one, where what is done no longer counts.
template <std::floating_point T>
struct Counted {
  T plain;

  Counted() = default;
  template <class A>
    requires std::is_arithmetic_v<A>
  constexpr Counted(A number) : plain(static_cast<T>(number)) {}  // NOLINT
  template <std::floating_point U>
  constexpr Counted(Counted<U> number) : plain(static_cast<T>(number.plain)) {}  // NOLINT
  // From half precision, and to it.
  template <class A>
    requires(std::is_class_v<A> && !IsNumber<A> && std::is_convertible_v<A, T>)
  explicit Counted(const A& number) : plain(number) {}
  template <class A>
    requires(!IsCounted<A> && std::is_constructible_v<A, T>)
  constexpr explicit operator A() const {
    return static_cast<A>(plain);
  }

  template <class B>
  constexpr Counted& operator+=(const B& b) {
    return *this = *this + b;
  }
  template <class B>
  constexpr Counted& operator-=(const B& b) {
    return *this = *this - b;
  }
  template <class B>
  constexpr Counted& operator*=(const B& b) {
    return *this = *this * b;
  }
  template <class B>
  constexpr Counted& operator/=(const B& b) {
    return *this = *this / b;
  }
};

template <class A>
constexpr auto plain(const A& number) {
  if constexpr (std::is_arithmetic_v<A>) {
    return number;
  } else if constexpr (requires { number.plain; }) {
    return number.plain;
  } else {
    return plain<typename A::Value>(std::move(number));
  }
}

template <std::floating_point T>
constexpr Counted<T> result(T value, uint64_t operations = 1) {
  if (!std::is_constant_evaluated()) flops += operations;
  return value;
}

template <class A, class B>
  requires Countable<A, B>
constexpr auto operator+(const A& a, const B& b) {
  return result(plain(a) + plain(b));
}
template <class A, class B>
  requires Countable<A, B>
constexpr auto operator-(const A& a, const B& b) {
  return result(plain(a) - plain(b));
}
template <class A, class B>
  requires Countable<A, B>
constexpr auto operator*(const A& a, const B& b) {
  return result(plain(a) * plain(b));
}
template <class A, class B>
  requires Countable<A, B>
constexpr auto operator/(const A& a, const B& b) {
  return result(plain(a) / plain(b));
}
template <IsCounted A>
constexpr auto operator-(const A& a) {
  return result(-plain(a), 0);
}
template <class A, class B>
  requires Countable<A, B>
constexpr bool operator==(const A& a, const B& b) {
  return plain(a) == plain(b);
}
template <class A, class B>
  requires Countable<A, B>
constexpr auto operator<=>(const A& a, const B& b) {
  return plain(a) <=> plain(b);
}

using Float = Counted<float>;
using Double = Counted<double>;

inline Float sqrtf(Float x) { return result(::sqrtf(x.plain)); }
inline Double sqrt(Double x) { return result(::sqrt(x.plain)); }
inline Float fmaf(Float x, Float y, Float z) { return result(::fmaf(x.plain, y.plain, z.plain), 2); }
inline Double fma(Double x, Double y, Double z) { return result(::fma(x.plain, y.plain, z.plain), 2); }
inline Float fabsf(Float x) { return ::fabsf(x.plain); }
inline Double fabs(Double x) { return ::fabs(x.plain); }
inline Float roundf(Float x) { return ::roundf(x.plain); }
inline Float frexpf(Float x, int* exponent) { return ::frexpf(x.plain, exponent); }
inline Float ldexpf(Float x, int exponent) { return ::ldexpf(x.plain, exponent); }
inline Float nextafterf(Float x, Float to) { return ::nextafterf(x.plain, to.plain); }

struct alignas(8) Float2 {
  Float x, y;
};
struct alignas(16) Float4 {
  Float x, y, z, w;
};
struct alignas(16) Double2 {
  Double x, y;
};

}  // namespace fastsciml::core::host

// In NumPy's arrays they are what they were.
template <class T>
struct pybind11::detail::npy_format_descriptor<fastsciml::core::host::Counted<T>>
    : pybind11::detail::npy_format_descriptor<T> {};

#define float ::fastsciml::core::host::Float
#define double ::fastsciml::core::host::Double
#define float2 ::fastsciml::core::host::Float2
#define float4 ::fastsciml::core::host::Float4
#define double2 ::fastsciml::core::host::Double2
#define make_float2(...) (float2{__VA_ARGS__})
#define make_float4(...) (float4{__VA_ARGS__})
#define make_double2(...) (double2{__VA_ARGS__})
