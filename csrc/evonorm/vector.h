// What EvoNorm does with vectors of T (core/lanes.h) beside their arithmetic, by GCC's vector extension: +, *, < and ?:
// work lane by lane, and a scalar counts as a vector of itself.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "core/lanes.h"

namespace fastsciml::evonorm {

using core::kLanes;
using core::kVectorBytes;

template <class T>
using Vector = core::Lanes<T>;

template <class V>
using Lane = std::remove_cvref_t<decltype(std::declval<V>()[0])>;

template <class V>
[[gnu::always_inline]] inline V broadcast(Lane<V> value) {
  return value - V{};  // exact, -0 and NaN included
}

// The lanes' numbers, in integers of the lanes' size.
template <class V>
[[gnu::always_inline]] inline auto lane_numbers() {
  using Number = std::conditional_t<sizeof(Lane<V>) == 8, int64_t, int32_t>;
  return []<Number... kLane>(std::integer_sequence<Number, kLane...>) __attribute__((always_inline)) {
    return Vector<Number>{kLane...};
  }(std::make_integer_sequence<Number, kLanes<Number>>());
}

// By halves, not in order.
template <class T, int64_t kBytes = kVectorBytes>
[[gnu::always_inline]] inline T sum_of_lanes(typename core::LanesOf<T, kBytes>::type vector) {
  constexpr int half = kBytes / 2 / static_cast<int>(sizeof(T));
  if constexpr (half == 1) {
    return vector[0] + vector[1];
  } else {
    return [&]<int... kLane>(std::integer_sequence<int, kLane...>) __attribute__((always_inline)) {
      return sum_of_lanes<T, kBytes / 2>(__builtin_shufflevector(vector, vector, kLane...) +
                                         __builtin_shufflevector(vector, vector, (half + kLane)...));
    }(std::make_integer_sequence<int, half>());
  }
}

}  // namespace fastsciml::evonorm
