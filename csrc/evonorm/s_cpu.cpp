// S0, S1, S2 on the CPU; formulae in evonorm/operators.h. A group's statistics (or the gradient's sums) and its output
// are made by one thread in turn, so that the second reading comes from the cache: memory moves 2 tensors forward, 3
// backward.

#include <torch/csrc/stable/ops.h>

#include <cmath>

#include "evonorm/operators.h"
#include "evonorm/tensors.h"
#include "evonorm/tiles.h"
#include "evonorm/variants.h"

namespace fastsciml::evonorm {
namespace {

// Channels per group, and what one thread handles between two passes: a group, or a sample where channels interleave.
struct Groups {
  Layout layout;
  int64_t count, channels;

  Groups(const Layout& of, int64_t groups) : layout(of), count(groups), channels(of.channels / groups) {}

  int64_t units() const { return layout.interleaved ? layout.samples : layout.samples * count; }

  // body(sample, group) for the groups of a unit
  template <class Body>
  void of_unit(int64_t unit, Body body) const {
    if (!layout.interleaved) return body(unit / count, unit % count);
    for (int64_t group = 0; group < count; ++group) body(unit, group);
  }
};

template <class T>
const T* optional_data(const std::optional<Tensor>& tensor) {
  return tensor ? core::data<T>(*tensor) : nullptr;
}

template <class T>
T value_or(const T* values, int64_t channel, T otherwise) {
  return values ? values[channel] : otherwise;
}

// y, statistics as in operators.h
template <class Stored, class T = Compute<Stored>>
void forward(const Groups& groups, const Stored* x, const T* v, const T* weight, const T* bias, bool centred,
             double eps, Stored* y, T* statistics) {
  const Layout& layout = groups.layout;
  const int64_t channels = layout.channels, set = Gate::kForward * channels;
  Partials partials(layout, 2);
  std::vector<T> parameters(static_cast<size_t>(layout.samples * set));

  const auto normalise = [&](int64_t sample, int64_t group) {
    Moments moments;
    const int64_t first = group * groups.channels, end = first + groups.channels;
    for (int64_t channel = first; channel < end; ++channel) moments.merge(partials.moments(sample, channel));
    const T r = static_cast<T>(1.0 / std::sqrt(moments.variance() + eps));
    T* saved = statistics + (sample * groups.count + group) * 2;
    saved[0] = static_cast<T>(moments.mean);
    saved[1] = r;
    T* p = parameters.data() + sample * set;
    for (int64_t channel = first; channel < end; ++channel) {
      p[Gate::kScale * channels + channel] = value_or(weight, channel, T{1}) * r;
      p[Gate::kShift * channels + channel] = value_or(bias, channel, T{0});
      p[Gate::kGate * channels + channel] = value_or(v, channel, T{1});
    }
  };
  for_units(
      layout, groups.units(), [&](const Tile& tile) { measure_tile(layout, tile, x, centred, partials); },
      [&](int64_t unit) { groups.of_unit(unit, normalise); },
      [&](const Tile& tile) { map_tile<Gate>(layout, tile, parameters.data() + tile.sample * set, x, y); });
}

// dx; gradients [3, channels] of bias, weight, v
template <class Stored, class T = Compute<Stored>>
void backward(const Groups& groups, const Stored* dy, const Stored* x, const T* v, const T* weight, const T* statistics,
              Stored* dx, T* gradients) {
  const Layout& layout = groups.layout;
  const int64_t channels = layout.channels, set = Gate::kBackward * channels;
  const double elements = static_cast<double>(groups.channels * layout.space);
  Partials partials(layout, Gate::kSums);
  std::vector<T> parameters(static_cast<size_t>(layout.samples * set));
  const auto r_of = [&](int64_t sample, int64_t channel) {
    return static_cast<double>(statistics[(sample * groups.count + channel / groups.channels) * 2 + 1]);
  };

  for (int64_t sample = 0; sample < layout.samples; ++sample) {
    T* p = parameters.data() + sample * set;
    for (int64_t channel = 0; channel < channels; ++channel) {
      p[Gate::kScale * channels + channel] = value_or(weight, channel, T{1}) * static_cast<T>(r_of(sample, channel));
      p[Gate::kGate * channels + channel] = value_or(v, channel, T{1});
    }
  }
  const auto spread = [&](int64_t sample, int64_t group) {
    const int64_t first = group * groups.channels, end = first + groups.channels;
    double sum = 0;
    for (int64_t channel = first; channel < end; ++channel)
      sum += static_cast<double>(value_or(weight, channel, T{1})) * partials.sum(sample, Gate::kWeight, channel);
    const double r = r_of(sample, first), mean = static_cast<double>(statistics[(sample * groups.count + group) * 2]);
    const double linear = -r * r * r * sum / elements;
    T* p = parameters.data() + sample * set;
    std::fill_n(p + Gate::kLinear * channels + first, groups.channels, static_cast<T>(linear));
    std::fill_n(p + Gate::kConstant * channels + first, groups.channels, static_cast<T>(-linear * mean));
  };
  for_units(
      layout, groups.units(),
      [&](const Tile& tile) {
        sum_tile<Gate>(layout, tile, parameters.data() + tile.sample * set, x, dy,
                       partials.of(tile.sample, tile.chunk));
      },
      [&](int64_t unit) { groups.of_unit(unit, spread); },
      [&](const Tile& tile) { slope_tile<Gate>(layout, tile, parameters.data() + tile.sample * set, x, dy, dx); });

  for (int64_t channel = 0; channel < channels; ++channel) {
    double sums[Gate::kSums] = {};
    for (int64_t sample = 0; sample < layout.samples; ++sample) {
      const double r = r_of(sample, channel);
      sums[Gate::kBias] += partials.sum(sample, Gate::kBias, channel);
      sums[Gate::kWeight] += r * partials.sum(sample, Gate::kWeight, channel);
      sums[Gate::kGateSum] += r * partials.sum(sample, Gate::kGateSum, channel);
    }
    sums[Gate::kGateSum] *= static_cast<double>(value_or(weight, channel, T{1}));
    for (int k = 0; k < Gate::kSums; ++k) gradients[k * channels + channel] = static_cast<T>(sums[k]);
  }
}

Groups groups_of(const Tensor& x, int64_t groups, const char* op) {
  const Layout layout = layout_of(x, op);
  STD_TORCH_CHECK(groups > 0 && layout.channels % groups == 0, op, ": ", layout.channels,
                  " channels cannot be divided into ", groups, " groups");
  return {layout, groups};
}

void check_channels(const std::optional<Tensor>& tensor, const Tensor& x, const char* op, const char* name) {
  if (tensor) check_real(*tensor, x, x.size(1), op, name);
}

}  // namespace

std::tuple<Tensor, Tensor> evonorm_s(Tensor x, std::optional<Tensor> v, std::optional<Tensor> weight,
                                     std::optional<Tensor> bias, int64_t group_count, bool centred, double eps) {
  constexpr const char* op = "evonorm_s";
  const Groups groups = groups_of(x, group_count, op);
  check_channels(v, x, op, "v");
  check_channels(weight, x, op, "weight");
  check_channels(bias, x, op, "bias");
  Tensor y = torch::stable::empty_like(x);
  Tensor statistics = torch::stable::new_empty(x, {x.size(0), group_count, 2}, real_type(x));
  with_stored(x, [&](auto element) {
    using Stored = decltype(element);
    using T = Compute<Stored>;
    forward(groups, core::data<Stored>(x), optional_data<T>(v), optional_data<T>(weight), optional_data<T>(bias),
            centred, eps, core::mutable_data<Stored>(y), core::mutable_data<T>(statistics));
  });
  return {y, statistics};
}

std::tuple<Tensor, Tensor> evonorm_s_backward(Tensor dy, Tensor x, std::optional<Tensor> v,
                                              std::optional<Tensor> weight, Tensor statistics, int64_t group_count,
                                              bool, double) {
  constexpr const char* op = "evonorm_s_backward";
  const Groups groups = groups_of(x, group_count, op);
  check_like(dy, x, op, "dy");
  check_channels(v, x, op, "v");
  check_channels(weight, x, op, "weight");
  check_real(statistics, x, x.size(0) * group_count * 2, op, "statistics");
  Tensor dx = torch::stable::empty_like(x);
  Tensor gradients = torch::stable::new_empty(x, {Gate::kSums, x.size(1)}, real_type(x));
  with_stored(x, [&](auto element) {
    using Stored = decltype(element);
    using T = Compute<Stored>;
    backward(groups, core::data<Stored>(dy), core::data<Stored>(x), optional_data<T>(v), optional_data<T>(weight),
             core::data<T>(statistics), core::mutable_data<Stored>(dx), core::mutable_data<T>(gradients));
  });
  return {dx, gradients};
}

}  // namespace fastsciml::evonorm
