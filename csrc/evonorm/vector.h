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
using core::sum_of_lanes;

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

}  // namespace fastsciml::evonorm
