// A stencil's weights as its products read them: element by element for kRows channels of out at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "stencils/row_pairs.h"
#include "stencils/rows.h"
#include "stencils/tensors.h"

namespace fastsciml::stencils {

// Matrices [C_out, C_in] of the taps, in blocks of kRows channels of out, each [tap, C_in, kRows], zero where a block
// has more channels than there are.
template <class T>
struct Weights {
  int64_t channels, channels_in, taps;
  int64_t block_size = taps * channels_in * kRows;
  Lines<T> memory{round_up(channels, kRows) * taps * channels_in};

  // Element (out, in, tap) of `from` at from[out out_step + in in_step + tap].
  template <class Number>
  void fill(const Number* from, int64_t out_step, int64_t in_step, T factor) {
    T* to = memory.data();
    for (int64_t block = 0; block < channels; block += kRows)
      for (int64_t tap = 0; tap < taps; ++tap)
        for (int64_t in = 0; in < channels_in; ++in, to += kRows)
          for (int64_t out = block; out < std::min<int64_t>(block + kRows, channels); ++out)
            to[out - block] = factor * core::load(from[out * out_step + in * in_step + tap]);
  }

  const T* at(int64_t block, int64_t tap) { return memory.data() + block * block_size + tap * channels_in * kRows; }
};

// The weights' factors for two rows at once; a transpose meets the rows in the other order.
template <class Stored, class T = Compute<Stored>>
Weights<T> pair_weights(const Call& call, const Tensor& weight, const Weights<T>& like, bool turned, bool subtract,
                        bool transpose) {
  const int64_t x = call.taps_along(0), planes = weight.numel() / (3 * x);
  std::vector<T> taps(static_cast<size_t>(weight.numel()));
  for (int64_t i = 0; i < weight.numel(); ++i) {
    const int64_t y = i / x % 3, to = transpose ? i + (2 - 2 * y) * x : i;
    taps[static_cast<size_t>(to)] = core::load(core::data<Stored>(weight)[i]);
  }
  const std::vector<T> factors = transformed_taps(taps.data(), planes, x);
  const int64_t inner = call.taps_along(2) * kProducts * x, outer = inner * weight.size(1);
  Weights<T> of_pairs{like.channels, like.channels_in, inner};
  of_pairs.fill(factors.data(), turned ? inner : outer, turned ? outer : inner, subtract ? T{-1} : T{1});
  return of_pairs;
}

}  // namespace fastsciml::stencils
