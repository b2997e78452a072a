// The number of directions as a compile-time constant: one loop or kernel for each, whose sums then stay in registers.
#pragma once

#include <type_traits>

#include "directions/operators.h"

namespace fastsciml::directions {

// run(std::integral_constant<int, count>)
template <int kCount = 0, class Run>
auto with_count(size_t count, Run run) {
  if constexpr (kCount < int{kMostDirections}) {
    if (count != size_t{kCount}) return with_count<kCount + 1>(count, run);
  }
  return run(std::integral_constant<int, kCount>{});
}

}  // namespace fastsciml::directions
