// S0, S1, S2 on the CPU; formulae in evonorm/operators.h. A group's statistics (or the gradient's sums) and its output
// are made by one thread in turn, so that the second reading comes from the cache: memory moves 2 tensors forward, 3
// backward.

#include <torch/csrc/stable/ops.h>

#include <cmath>
#include <memory>

#include "evonorm/operators.h"
#include "evonorm/tensors.h"
#include "evonorm/tiles.h"
#include "evonorm/variants.h"

namespace fastsciml::evonorm {
namespace {

// What is kept of a group or sample between two passes, and what is fetched ahead, are to stay in a thread's cache.
constexpr int64_t kMostKept = 1 << 20, kMostAhead = 1 << 18;

// Groups of channels, and what one thread handles between two passes: a group, or a sample where channels interleave.
struct Groups {
  Layout layout, measured;  // `measured` takes a group that is one run of memory for one channel
  int64_t count, channels, units;

  Groups(const Layout& of, int64_t groups)
      : layout(of),
        measured(of.interleaved ? of : Layout(of.samples, groups, of.channels / groups * of.space, false)),
        count(groups),
        channels(of.channels / groups),
        units(of.interleaved ? of.samples : of.samples * groups) {}

  int64_t unit_elements() const { return layout.elements() / units; }

  // Threads take whole units, whose second reading comes from the cache, where units are many.
  bool many() const { return units >= 4 * core::thread_count(); }

  // body(sample, group) for the groups of a unit
  template <class Body>
  void of_unit(int64_t unit, Body body) const {
    if (!layout.interleaved) return body(unit / count, unit % count);
    for (int64_t group = 0; group < count; ++group) body(unit, group);
  }

  // body(begin, end), the unit's tiles
  template <class Body>
  void tiles_of_unit(const Layout& cut, int64_t unit, Body body) const {
    const int64_t tiles = cut.tiles() / units;
    body(unit * tiles, (unit + 1) * tiles);
  }

  // How far ahead to fetch in the last arithmetic before unit + 1: where one fits, the next unit.
  int64_t ahead(int64_t unit, int64_t end, size_t element) const {
    const bool next = unit + 1 < end && unit_elements() * static_cast<int64_t>(element) <= kMostAhead;
    return !layout.interleaved && next ? unit_elements() : layout.ahead();
  }
};

// [channels]
template <class T>
std::vector<T> values_or(const std::optional<Tensor>& tensor, int64_t channels, T otherwise) {
  if (!tensor) return std::vector<T>(static_cast<size_t>(channels), otherwise);
  return std::vector<T>(core::data<T>(*tensor), core::data<T>(*tensor) + channels);
}

// Per group, as in operators.h.
template <class T>
struct Statistic {
  T mean, r;
};

// Of each channel of each sample, [samples, channels], and of each channel.
template <class T>
struct GateParameters {
  const Groups& groups;
  std::vector<T> v, weight, bias;
  std::unique_ptr<T[]> scales;

  GateParameters(const Groups& of, const std::optional<Tensor>& v_, const std::optional<Tensor>& weight_,
                 const std::optional<Tensor>& bias_)
      : groups(of),
        v(values_or(v_, of.layout.channels, T{1})),
        weight(values_or(weight_, of.layout.channels, T{1})),
        bias(values_or(bias_, of.layout.channels, T{0})),
        scales(new T[static_cast<size_t>(of.layout.samples * of.layout.channels)]) {}

  void set_scale(int64_t sample, int64_t group, T r) {
    T* scale = scales.get() + sample * groups.layout.channels;
    for (int64_t channel = group * groups.channels; channel < (group + 1) * groups.channels; ++channel)
      scale[channel] = weight[static_cast<size_t>(channel)] * r;
  }

  Parameters<T, Gate::kParameters> of(const Tile& tile) const {
    const T* scale = scales.get() + tile.sample * groups.layout.channels;
    return Parameters<T, Gate::kParameters>(
        {scale + tile.channel, bias.data() + tile.channel, v.data() + tile.channel});
  }
};

template <class Stored, class T = Compute<Stored>>
struct Forward {
  const Groups& groups;
  const Stored* x;
  GateParameters<T> parameters;
  bool centred;
  double eps;
  Stored* y;
  Statistic<T>* statistics;
  Partials partials{groups.measured, 2};

  void measure(int64_t begin, int64_t end) {
    for_tiles_from(groups.measured, begin, end,
                   [&](const Tile& tile) { measure_tile(groups.measured, tile, x, centred, partials); });
  }

  void summarise(int64_t sample, int64_t group) {
    Moments moments;
    if (groups.layout.interleaved) {
      for (int64_t channel = group * groups.channels; channel < (group + 1) * groups.channels; ++channel)
        moments.merge(partials.moments(sample, channel));
    } else {
      moments = partials.moments(sample, group);
    }
    const T r = static_cast<T>(1.0 / std::sqrt(moments.variance() + eps));
    statistics[sample * groups.count + group] = {static_cast<T>(moments.mean), r};
    parameters.set_scale(sample, group, r);
  }

  void map(int64_t begin, int64_t end, int64_t ahead) {
    for_tiles_from(groups.layout, begin, end,
                   [&](const Tile& tile) { map_tile<Gate>(groups.layout, tile, parameters.of(tile), x, y, ahead); });
  }

  void run() {
    const Layout &layout = groups.layout, &measured = groups.measured;
    const auto between = [&](int64_t sample, int64_t group) { summarise(sample, group); };
    if (!groups.many()) {
      for_all_tiles(measured, [&](int64_t begin, int64_t end) { measure(begin, end); });
      for (int64_t unit = 0; unit < groups.units; ++unit) groups.of_unit(unit, between);
      return for_all_tiles(layout, [&](int64_t begin, int64_t end) { map(begin, end, layout.ahead()); });
    }
    core::parallel_range(groups.units, groups.unit_elements(), [&](int64_t first, int64_t last) {
      for (int64_t unit = first; unit < last; ++unit) {
        groups.tiles_of_unit(measured, unit, [&](int64_t begin, int64_t end) { measure(begin, end); });
        groups.of_unit(unit, between);
        const int64_t ahead = groups.ahead(unit, last, sizeof(Stored));
        groups.tiles_of_unit(layout, unit, [&](int64_t begin, int64_t end) { map(begin, end, ahead); });
      }
    });
  }
};

template <class Stored, class T = Compute<Stored>>
struct Backward {
  const Groups& groups;
  const Stored *dy, *x;
  GateParameters<T> parameters;
  const Statistic<T>* statistics;
  Stored* dx;
  Partials partials{groups.layout, Gate::kSums};
  // Of each channel of each sample, [kShares, samples, channels]; without a constant.
  std::vector<T> shares = std::vector<T>(static_cast<size_t>(kShares * groups.layout.samples * groups.layout.channels));

  template <class Keep>
  void sum(int64_t begin, int64_t end, Keep keep, int64_t ahead) {
    for_tiles_from(groups.layout, begin, end, [&](const Tile& tile) {
      sum_tile<Gate>(groups.layout, tile, parameters.of(tile), x, dy,
                     partials.of(tile.sample, tile.chunk) + tile.channel, groups.layout.channels, keep, ahead);
    });
  }
  void sum(int64_t begin, int64_t end, int64_t ahead) { sum(begin, end, nothing_kept, ahead); }

  void set_scale(int64_t sample, int64_t group) {
    parameters.set_scale(sample, group, statistics[sample * groups.count + group].r);
  }

  // The factor of x - mean in dx; r, which the sums for the parameters lack.
  void summarise(int64_t sample, int64_t group) {
    const int64_t channels = groups.layout.channels, first = group * groups.channels, end = first + groups.channels;
    const Statistic<T> statistic = statistics[sample * groups.count + group];
    const double r = static_cast<double>(statistic.r),
                 elements = static_cast<double>(groups.channels * groups.layout.space);
    double sum = 0;
    for (int64_t channel = first; channel < end; ++channel)
      sum += static_cast<double>(parameters.weight[static_cast<size_t>(channel)]) *
             partials.sum(sample, Gate::kWeight, channel);
    const T linear = static_cast<T>(-r * r * r * sum / elements);
    T* share = shares.data() + sample * channels + first;
    std::fill_n(share + kLinear * groups.layout.samples * channels, groups.channels, linear);
    std::fill_n(share + kCentre * groups.layout.samples * channels, groups.channels, statistic.mean);
    for (int64_t chunk = 0; chunk < groups.layout.chunks; ++chunk)
      for (int64_t kind : {Gate::kWeight, Gate::kGateSum}) {
        double* part = partials.of(sample, chunk) + kind * channels;
        for (int64_t channel = first; channel < end; ++channel) part[channel] *= r;
      }
  }

  // Of a tile of `layout`, or of `measured`, where a channel may be a group.
  Parameters<T, kShares> shares_of(const Layout& layout, const Tile& tile) const {
    const int64_t channel = tile.channel * (groups.layout.channels / layout.channels);
    return {shares.data() + tile.sample * groups.layout.channels + channel,
            groups.layout.samples * groups.layout.channels};
  }

  void slope(int64_t begin, int64_t end) {
    for_tiles_from(groups.layout, begin, end, [&](const Tile& tile) {
      slope_tile<Gate>(groups.layout, tile, parameters.of(tile), shares_of(groups.layout, tile), x, dy, dx);
    });
  }

  void share(int64_t begin, int64_t end, const T* kept, int64_t base) {
    for_tiles_from(groups.measured, begin, end, [&](const Tile& tile) {
      share_tile(groups.measured, tile, shares_of(groups.measured, tile), x, kept, base, dx);
    });
  }

  void unit(int64_t unit, int64_t ahead, T* kept) {
    const int64_t base = unit * groups.unit_elements();
    const auto keep = [&](int64_t at, Vector<T> own, auto access) __attribute__((always_inline)) {
      prefetch_to_write(dx + at);
      access.store(kept + (at - base), own);
    };
    groups.of_unit(unit, [&](int64_t sample, int64_t group) { set_scale(sample, group); });
    groups.tiles_of_unit(groups.layout, unit, [&](int64_t begin, int64_t end) {
      kept ? sum(begin, end, keep, ahead) : sum(begin, end, ahead);
    });
    groups.of_unit(unit, [&](int64_t sample, int64_t group) { summarise(sample, group); });
    groups.tiles_of_unit(kept ? groups.measured : groups.layout, unit,
                         [&](int64_t begin, int64_t end) { kept ? share(begin, end, kept, base) : slope(begin, end); });
  }

  void run() {
    const Layout& layout = groups.layout;
    if (!groups.many()) {
      for (int64_t unit = 0; unit < groups.units; ++unit)
        groups.of_unit(unit, [&](int64_t sample, int64_t group) { set_scale(sample, group); });
      for_all_tiles(layout, [&](int64_t begin, int64_t end) { sum(begin, end, layout.ahead()); });
      for (int64_t unit = 0; unit < groups.units; ++unit)
        groups.of_unit(unit, [&](int64_t sample, int64_t group) { summarise(sample, group); });
      return for_all_tiles(layout, [&](int64_t begin, int64_t end) { slope(begin, end); });
    }
    const int64_t elements = groups.unit_elements();
    core::parallel_range(groups.units, elements, [&](int64_t begin, int64_t end) {
      const bool fits = elements * static_cast<int64_t>(sizeof(T)) <= kMostKept;
      const std::unique_ptr<T[]> kept(fits ? new T[static_cast<size_t>(elements)] : nullptr);
      for (int64_t index = begin; index < end; ++index)
        unit(index, groups.ahead(index, end, 2 * sizeof(Stored)), kept.get());
    });
  }

  // [3, channels] of bias, weight, v
  void gradients(T* to) const {
    const std::vector<double> totals = partials.totals();
    const int64_t channels = groups.layout.channels;
    for (int64_t i = 0; i < Gate::kSums * channels; ++i) to[i] = static_cast<T>(totals[static_cast<size_t>(i)]);
    for (int64_t channel = 0; channel < channels; ++channel)
      to[Gate::kGateSum * channels + channel] *= parameters.weight[static_cast<size_t>(channel)];
  }
};

Groups groups_of(const Tensor& x, int64_t groups, const char* op) {
  const Layout layout = layout_of(x, op);
  STD_TORCH_CHECK(groups > 0 && layout.channels % groups == 0, op, ": ", layout.channels,
                  " channels cannot be divided into ", groups, " groups");
  return {layout, groups};
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
    Forward<Stored>{groups, core::data<Stored>(x),         GateParameters<T>(groups, v, weight, bias),       centred,
                    eps,    core::mutable_data<Stored>(y), static_cast<Statistic<T>*>(statistics.data_ptr())}
        .run();
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
    Backward<Stored> backward{groups,
                              core::data<Stored>(dy),
                              core::data<Stored>(x),
                              GateParameters<T>(groups, v, weight, std::nullopt),
                              static_cast<const Statistic<T>*>(statistics.data_ptr()),
                              core::mutable_data<Stored>(dx)};
    backward.run();
    backward.gradients(core::mutable_data<T>(gradients));
  });
  return {dx, gradients};
}

}  // namespace fastsciml::evonorm
