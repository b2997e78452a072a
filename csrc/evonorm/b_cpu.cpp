// The stages of B0, B1, B2 on the CPU; formulae in evonorm/operators.h. Each stage is one pass over all tiles.

#include <torch/csrc/stable/ops.h>

#include "evonorm/operators.h"
#include "evonorm/tensors.h"
#include "evonorm/tiles.h"
#include "evonorm/variants.h"

namespace fastsciml::evonorm {
namespace {

template <class Body>
void with_variant(int64_t variant, const char* op, Body body) {
  switch (variant) {
    case 0:
      return body(Quotient<Right::kB0>{});
    case 1:
      return body(Quotient<Right::kB1>{});
    case 2:
      return body(Quotient<Right::kB2>{});
    default:
      STD_TORCH_CHECK(false, op, ": variant must be 0, 1 or 2");
  }
}

constexpr int64_t kForward = Quotient<Right::kB0>::kForward;
constexpr int64_t kBackward = Quotient<Right::kB0>::kBackward;
constexpr int64_t kSums = Quotient<Right::kB0>::kSums;

}  // namespace

Tensor evonorm_moments(Tensor x, bool centred) {
  const Layout layout = layout_of(x, "evonorm_moments");
  const int64_t channels = layout.channels;
  Tensor out = torch::stable::new_empty(x, {layout.samples, 2, channels}, real_type(x));
  with_stored(x, [&](auto element) {
    using Stored = decltype(element);
    using T = Compute<Stored>;
    Partials partials(layout, 2);
    for_tiles(layout, [&](const Tile& t) { measure_tile(layout, t, core::data<Stored>(x), centred, partials); });
    for (int64_t sample = 0; sample < layout.samples; ++sample) {
      T* mean = core::mutable_data<T>(out) + sample * 2 * channels;
      for (int64_t channel = 0; channel < channels; ++channel) {
        const Moments moments = partials.moments(sample, channel);
        mean[channel] = static_cast<T>(moments.mean);
        mean[channels + channel] = static_cast<T>(moments.variance());
      }
    }
  });
  return out;
}

Tensor evonorm_b_map(Tensor x, Tensor parameters, int64_t variant) {
  constexpr const char* op = "evonorm_b_map";
  const Layout layout = layout_of(x, op);
  const int64_t set = kForward * layout.channels;
  check_real(parameters, x, layout.samples * set, op, "parameters");
  Tensor y = torch::stable::empty_like(x);
  with_stored(x, [&](auto element) {
    using Stored = decltype(element);
    const auto* p = core::data<Compute<Stored>>(parameters);
    with_variant(variant, op, [&](auto formula) {
      for_tiles(layout, [&](const Tile& tile) {
        map_tile<decltype(formula)>(layout, tile, p + tile.sample * set, core::data<Stored>(x),
                                    core::mutable_data<Stored>(y));
      });
    });
  });
  return y;
}

Tensor evonorm_b_sums(Tensor dy, Tensor x, Tensor parameters, int64_t variant) {
  constexpr const char* op = "evonorm_b_sums";
  const Layout layout = layout_of(x, op);
  const int64_t set = kForward * layout.channels;
  check_like(dy, x, op, "dy");
  check_real(parameters, x, layout.samples * set, op, "parameters");
  Tensor out = torch::stable::new_empty(x, {layout.samples, kSums, layout.channels}, real_type(x));
  with_stored(x, [&](auto element) {
    using Stored = decltype(element);
    using T = Compute<Stored>;
    Partials partials(layout, kSums);
    with_variant(variant, op, [&](auto formula) {
      for_tiles(layout, [&](const Tile& tile) {
        sum_tile<decltype(formula)>(layout, tile, core::data<T>(parameters) + tile.sample * set, core::data<Stored>(x),
                                    core::data<Stored>(dy), partials.of(tile.sample, tile.chunk));
      });
    });
    T* to = core::mutable_data<T>(out);
    for (int64_t sample = 0; sample < layout.samples; ++sample)
      for (int64_t kind = 0; kind < kSums; ++kind)
        for (int64_t channel = 0; channel < layout.channels; ++channel)
          *to++ = static_cast<T>(partials.sum(sample, kind, channel));
  });
  return out;
}

Tensor evonorm_b_slope(Tensor dy, Tensor x, Tensor parameters, int64_t variant) {
  constexpr const char* op = "evonorm_b_slope";
  const Layout layout = layout_of(x, op);
  const int64_t set = kBackward * layout.channels;
  check_like(dy, x, op, "dy");
  check_real(parameters, x, layout.samples * set, op, "parameters");
  Tensor dx = torch::stable::empty_like(x);
  with_stored(x, [&](auto element) {
    using Stored = decltype(element);
    const auto* p = core::data<Compute<Stored>>(parameters);
    with_variant(variant, op, [&](auto formula) {
      for_tiles(layout, [&](const Tile& tile) {
        slope_tile<decltype(formula)>(layout, tile, p + tile.sample * set, core::data<Stored>(x),
                                      core::data<Stored>(dy), core::mutable_data<Stored>(dx));
      });
    });
  });
  return dx;
}

}  // namespace fastsciml::evonorm
