// B0, B1, B2 on the CPU; formulae in evonorm/operators.h. Each stage is one pass over all tiles.

#include <torch/csrc/stable/ops.h>

#include <cmath>
#include <memory>
#include <vector>

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

using B0 = Quotient<Right::kB0>;  // all three have these in the same order
constexpr int64_t kParameters = B0::kParameters, kSums = B0::kSums, kWithShares = kParameters + 2;

// planes [samples, 2, channels]
template <class Stored, class T = Compute<Stored>>
void measure_planes(const Layout& layout, const Stored* x, bool centred, T* planes) {
  const int64_t channels = layout.channels;
  Partials partials(layout, 2);
  for_all_tiles(layout, [&](int64_t begin, int64_t end) {
    for_tiles_from(layout, begin, end, [&](const Tile& tile) { measure_tile(layout, tile, x, centred, partials); });
  });
  core::parallel_range(layout.samples, channels, [&](int64_t begin, int64_t end) {
    for (int64_t sample = begin; sample < end; ++sample) {
      T* mean = planes + 2 * sample * channels;
      for (int64_t channel = 0; channel < channels; ++channel) {
        const Moments moments = partials.moments(sample, channel);
        mean[channel] = static_cast<T>(moments.mean);
        mean[channels + channel] = static_cast<T>(moments.variance());
      }
    }
  });
}

// parameters [samples, kParameters, channels] of every sample
template <class Variant, class Stored, class T = Compute<Stored>>
void map_planes(const Layout& layout, const T* parameters, const Stored* x, Stored* y) {
  for_all_tiles(layout, [&](int64_t begin, int64_t end) {
    for_tiles_from(layout, begin, end, [&](const Tile& tile) {
      const T* first = parameters + tile.sample * kParameters * layout.channels + tile.channel;
      map_tile<Variant>(layout, tile, {first, layout.channels}, x, y, layout.ahead());
    });
  });
}

template <class Variant, class Stored, class T = Compute<Stored>>
Partials sum_planes(const Layout& layout, const T* parameters, const Stored* x, const Stored* dy) {
  Partials partials(layout, kSums);
  for_all_tiles(layout, [&](int64_t begin, int64_t end) {
    for_tiles_from(layout, begin, end, [&](const Tile& tile) {
      const T* first = parameters + tile.sample * kParameters * layout.channels + tile.channel;
      sum_tile<Variant>(layout, tile, {first, layout.channels}, x, dy,
                        partials.of(tile.sample, tile.chunk) + tile.channel, layout.channels, nothing_kept,
                        layout.ahead());
    });
  });
  return partials;
}

// shares [samples, kShares, channels]
template <class Variant, class Stored, class T = Compute<Stored>>
void slope_planes(const Layout& layout, const T* parameters, const T* shares, const Stored* x, const Stored* dy,
                  Stored* dx) {
  for_all_tiles(layout, [&](int64_t begin, int64_t end) {
    for_tiles_from(layout, begin, end, [&](const Tile& tile) {
      const T* first = parameters + tile.sample * kParameters * layout.channels + tile.channel;
      const T* share = shares + tile.sample * kShares * layout.channels + tile.channel;
      slope_tile<Variant>(layout, tile, {first, layout.channels}, {share, layout.channels}, x, dy, dx);
    });
  });
}

// batch [3, channels]: mean, variance and count of all samples together
template <class T>
void merge_planes(const Layout& layout, const T* planes, T* batch) {
  const int64_t channels = layout.channels;
  const double share = 1.0 / static_cast<double>(layout.samples);
  core::parallel_range(channels, 4 * layout.samples, [&](int64_t begin, int64_t end) {
    std::vector<double> centre(static_cast<size_t>(channels)), spread(centre);
    double* __restrict centres = centre.data(), * __restrict spreads = spread.data();
    for (int64_t sample = 0; sample < layout.samples; ++sample) {
      const T* mean = planes + 2 * sample * channels;
      for (int64_t c = begin; c < end; ++c) centres[c] += share * static_cast<double>(mean[c]);
    }
    for (int64_t sample = 0; sample < layout.samples; ++sample) {
      const T *mean = planes + 2 * sample * channels, *variance = mean + channels;
      for (int64_t c = begin; c < end; ++c) {
        const double apart = static_cast<double>(mean[c]) - centres[c];
        spreads[c] += share * (static_cast<double>(variance[c]) + apart * apart);
      }
    }
    for (int64_t c = begin; c < end; ++c) {
      batch[c] = static_cast<T>(centres[c]);
      batch[channels + c] = static_cast<T>(spreads[c]);
      batch[2 * channels + c] = static_cast<T>(layout.samples * layout.space);
    }
  });
}

template <class T>
const T* optional_data(const std::optional<Tensor>& tensor) {
  return tensor ? core::data<T>(*tensor) : nullptr;
}

// What the kernels' parameters come from.
template <class T>
struct Local {
  const Layout& layout;
  int64_t variant;
  T eps;
  const T *v, *weight, *bias, *planes, *batch;

  Local(const Layout& of, int64_t variant_, double eps_, const std::optional<Tensor>& v_,
        const std::optional<Tensor>& weight_, const std::optional<Tensor>& bias_, const Tensor& planes_,
        const Tensor& batch_)
      : layout(of),
        variant(variant_),
        eps(static_cast<T>(eps_)),
        v(optional_data<T>(v_)),
        weight(optional_data<T>(weight_)),
        bias(optional_data<T>(bias_)),
        planes(core::data<T>(planes_)),
        batch(core::data<T>(batch_)) {}

  T scale(int64_t channel) const { return weight ? weight[channel] : T{1}; }

  // [samples, kCount, channels] of what row(sample, its [kCount, channels]) writes
  template <class Row>
  std::unique_ptr<T[]> by_sample(int64_t count, Row row) const {
    const int64_t size = count * layout.channels;
    std::unique_ptr<T[]> all(new T[static_cast<size_t>(layout.samples * size)]);
    core::parallel_range(layout.samples, size, [&](int64_t begin, int64_t end) {
      for (int64_t sample = begin; sample < end; ++sample) row(sample, all.get() + sample * size);
    });
    return all;
  }

  std::unique_ptr<T[]> parameters() const {
    return by_sample(kParameters, [&](int64_t sample, T* __restrict to) {
      const int64_t channels = layout.channels;
      const T *mean = planes + 2 * sample * channels, *spread = mean + channels, *variance = batch + channels;
      for (int64_t c = 0; c < channels; ++c) {
        const T left = std::sqrt(variance[c] + eps);
        const T own = std::sqrt((variant == 0 ? spread[c] : spread[c] + mean[c] * mean[c]) + eps);
        to[B0::kBatch * channels + c] = left;
        // The kernels' choice of the larger passes a NaN on the right on, but not one on the left.
        to[B0::kOwn * channels + c] = left == left ? own : left;
      }
      for (int64_t c = 0; c < channels; ++c) {
        to[B0::kScale * channels + c] = scale(c);
        to[B0::kShift * channels + c] = bias ? bias[c] : T{0};
        to[B0::kGate * channels + c] = v ? v[c] : T{1};
      }
    });
  }

  // own (x - own mean) + shared (x - batch mean), from where x - centre is small. The sums: of down and dbatch without
  // their factor -weight; the latter's over all samples, or none where the batch's statistics are constants.
  std::unique_ptr<T[]> shares(const T* parameters, const Partials& sums, const double* batch_sum) const {
    return by_sample(kShares, [&](int64_t sample, T* __restrict to) {
      const int64_t channels = layout.channels;
      const T* p = parameters + sample * kParameters * channels;
      // The variance of one position is 0 whatever x is.
      const T fixed = variant == 0 && layout.space == 1 ? T{0} : T{1} / static_cast<T>(layout.space);
      for (int64_t c = 0; c < channels; ++c) {
        const T own_mean = variant == 0 ? planes[2 * sample * channels + c] : T{0};
        const T centre = variant == 0 ? own_mean : batch[c];
        const T own = -scale(c) * fixed * static_cast<T>(sums.sum(sample, B0::kOwnSum, c)) / p[B0::kOwn * channels + c];
        const T shared = batch_sum ? -scale(c) * static_cast<T>(batch_sum[c]) /
                                         (p[B0::kBatch * channels + c] * batch[2 * channels + c])
                                   : T{0};
        to[kLinear * channels + c] = own + shared;
        to[kCentre * channels + c] = centre;
        to[kConstant * channels + c] = own * (centre - own_mean) + shared * (centre - batch[c]);
      }
    });
  }
};

}  // namespace

std::tuple<Tensor, Tensor, Tensor> evonorm_b_local(Tensor x, std::optional<Tensor> v, std::optional<Tensor> weight,
                                                   std::optional<Tensor> bias, std::optional<Tensor> variance,
                                                   int64_t variant, double eps) {
  constexpr const char* op = "evonorm_b_local";
  const Layout layout = layout_of(x, op);
  check_channels(v, x, op, "v");
  check_channels(weight, x, op, "weight");
  check_channels(bias, x, op, "bias");
  check_channels(variance, x, op, "variance");
  const int64_t channels = layout.channels;
  Tensor y = torch::stable::empty_like(x);
  Tensor planes = torch::stable::new_empty(x, {layout.samples, 2, channels}, real_type(x));
  Tensor batch = torch::stable::new_empty(x, {3, channels}, real_type(x));
  with_stored(x, [&](auto element) {
    using Stored = decltype(element);
    using T = Compute<Stored>;
    // Of a given variance B1 and B2 need their mean of squares alone, which an infinity in x does not turn into NaN.
    measure_planes(layout, core::data<Stored>(x), !variance || variant == 0, core::mutable_data<T>(planes));
    T* whole = core::mutable_data<T>(batch);
    if (variance) {
      std::fill_n(whole, channels, T{0});
      std::copy_n(core::data<T>(*variance), channels, whole + channels);
      std::fill_n(whole + 2 * channels, channels, T{1});
    } else {
      merge_planes(layout, core::data<T>(planes), whole);
    }
    const auto parameters = Local<T>(layout, variant, eps, v, weight, bias, planes, batch).parameters();
    with_variant(variant, op, [&](auto formula) {
      map_planes<decltype(formula)>(layout, parameters.get(), core::data<Stored>(x), core::mutable_data<Stored>(y));
    });
  });
  return {y, planes, batch};
}

std::tuple<Tensor, Tensor> evonorm_b_local_backward(Tensor dy, Tensor x, std::optional<Tensor> v,
                                                    std::optional<Tensor> weight, Tensor planes, Tensor batch,
                                                    bool training, int64_t variant, double eps) {
  constexpr const char* op = "evonorm_b_local_backward";
  const Layout layout = layout_of(x, op);
  const int64_t channels = layout.channels;
  check_like(dy, x, op, "dy");
  check_channels(v, x, op, "v");
  check_channels(weight, x, op, "weight");
  check_real(planes, x, layout.samples * 2 * channels, op, "planes");
  check_real(batch, x, 3 * channels, op, "batch");
  Tensor dx = torch::stable::empty_like(x);
  Tensor gradients = torch::stable::new_empty(x, {3, channels}, real_type(x));
  with_stored(x, [&](auto element) {
    using Stored = decltype(element);
    using T = Compute<Stored>;
    const Stored *from = core::data<Stored>(x), *grad = core::data<Stored>(dy);
    const Local<T> local(layout, variant, eps, v, weight, std::nullopt, planes, batch);
    const auto parameters = local.parameters();
    with_variant(variant, op, [&](auto formula) {
      using Variant = decltype(formula);
      const Partials sums = sum_planes<Variant>(layout, parameters.get(), from, grad);
      const std::vector<double> totals = sums.totals();
      const double* total = totals.data();
      const auto shares = local.shares(parameters.get(), sums, training ? total + B0::kBatchSum * channels : nullptr);
      slope_planes<Variant>(layout, parameters.get(), shares.get(), from, grad, core::mutable_data<Stored>(dx));
      T* out = core::mutable_data<T>(gradients);
      for (int64_t c = 0; c < channels; ++c) {
        out[c] = static_cast<T>(total[B0::kBias * channels + c]);
        out[channels + c] = static_cast<T>(total[B0::kWeight * channels + c]);
        out[2 * channels + c] = -local.scale(c) * static_cast<T>(total[B0::kGateSum * channels + c]);
      }
    });
  });
  return {dx, gradients};
}

Tensor evonorm_moments(Tensor x, bool centred) {
  const Layout layout = layout_of(x, "evonorm_moments");
  Tensor out = torch::stable::new_empty(x, {layout.samples, 2, layout.channels}, real_type(x));
  with_stored(x, [&](auto element) {
    using Stored = decltype(element);
    measure_planes(layout, core::data<Stored>(x), centred, core::mutable_data<Compute<Stored>>(out));
  });
  return out;
}

Tensor evonorm_b_map(Tensor x, Tensor parameters, int64_t variant) {
  constexpr const char* op = "evonorm_b_map";
  const Layout layout = layout_of(x, op);
  check_real(parameters, x, layout.samples * kParameters * layout.channels, op, "parameters");
  Tensor y = torch::stable::empty_like(x);
  with_stored(x, [&](auto element) {
    using Stored = decltype(element);
    with_variant(variant, op, [&](auto formula) {
      map_planes<decltype(formula)>(layout, core::data<Compute<Stored>>(parameters), core::data<Stored>(x),
                                    core::mutable_data<Stored>(y));
    });
  });
  return y;
}

Tensor evonorm_b_sums(Tensor dy, Tensor x, Tensor parameters, int64_t variant) {
  constexpr const char* op = "evonorm_b_sums";
  const Layout layout = layout_of(x, op);
  check_like(dy, x, op, "dy");
  check_real(parameters, x, layout.samples * kParameters * layout.channels, op, "parameters");
  Tensor out = torch::stable::new_empty(x, {layout.samples, kSums, layout.channels}, real_type(x));
  with_stored(x, [&](auto element) {
    using Stored = decltype(element);
    using T = Compute<Stored>;
    with_variant(variant, op, [&](auto formula) {
      const Partials sums = sum_planes<decltype(formula)>(layout, core::data<T>(parameters), core::data<Stored>(x),
                                                          core::data<Stored>(dy));
      T* to = core::mutable_data<T>(out);
      for (int64_t sample = 0; sample < layout.samples; ++sample)
        for (int64_t kind = 0; kind < kSums; ++kind)
          for (int64_t channel = 0; channel < layout.channels; ++channel)
            *to++ = static_cast<T>(sums.sum(sample, kind, channel));
    });
  });
  return out;
}

Tensor evonorm_b_slope(Tensor dy, Tensor x, Tensor parameters, int64_t variant) {
  constexpr const char* op = "evonorm_b_slope";
  const Layout layout = layout_of(x, op);
  const int64_t channels = layout.channels, set = kParameters * channels;
  check_like(dy, x, op, "dy");
  check_real(parameters, x, layout.samples * kWithShares * channels, op, "parameters");
  Tensor dx = torch::stable::empty_like(x);
  with_stored(x, [&](auto element) {
    using Stored = decltype(element);
    using T = Compute<Stored>;
    std::vector<T> own(static_cast<size_t>(layout.samples * set));
    std::vector<T> shares(static_cast<size_t>(layout.samples * kShares * channels));  // the centre is 0
    for (int64_t sample = 0; sample < layout.samples; ++sample) {
      const T* from = core::data<T>(parameters) + sample * kWithShares * channels;
      T* to = shares.data() + sample * kShares * channels;
      std::copy_n(from, set, own.data() + sample * set);
      std::copy_n(from + set, channels, to + kLinear * channels);
      std::copy_n(from + set + channels, channels, to + kConstant * channels);
    }
    with_variant(variant, op, [&](auto formula) {
      slope_planes<decltype(formula)>(layout, own.data(), shares.data(), core::data<Stored>(x), core::data<Stored>(dy),
                                      core::mutable_data<Stored>(dx));
    });
  });
  return dx;
}

}  // namespace fastsciml::evonorm
