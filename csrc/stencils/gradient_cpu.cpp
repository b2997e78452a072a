// The gradient of a learned stencil's weight on the CPU; formulae in operators.h. With a the field on the coarser grid
// of the stencil, that is dout, or x where it prolongs, and s the one on the finer grid,
//
//   dweight[a's channel][s' channel][k] = sum over batch and points c of a_c s_(stride c + k - before)
//
// Rows of both are copied as for the stencil itself (rows.h), so that a sum over a row runs by whole vectors for all
// taps along x: kBlock x 6 vectors of sums stay in registers while columns and the rows of a strip run, then their
// lanes are added to a part of the batch's sum. The parts are as many whatever the number of threads, so that it
// changes no bit.
//
// Flops: as the stencil's. Bytes: both fields read once, and once more per strip for the rows beside it. Called by
// ops/multigrid_conv.py.

#include <torch/csrc/stable/ops.h>

#include <array>
#include <type_traits>

#include "core/parallel.h"
#include "stencils/columns.h"
#include "stencils/operators.h"
#include "stencils/row_pairs.h"
#include "stencils/tensors.h"

namespace fastsciml::stencils {
namespace {

inline constexpr int64_t kMostParts = 32;

// Sums of kBlock channels of a with kChannels of s, at kTaps taps along x: 24 of AVX-512's 32 registers, 12 of 16.
template <class T, int kBlock, int kChannels, int kTaps>
struct Sums {
  core::Lanes<T> at[kBlock][kChannels * kTaps] = {};

  // Rows of a and s, channels so far apart, over so many columns; where the taps along x find s.
  [[gnu::always_inline]] void add(const T* a, int64_t a_pitch, const T* s, int64_t s_pitch,
                                  const std::array<int64_t, kTaps>& offsets, int64_t count) {
    const T* from[kTaps];
    for (size_t k = 0; k < kTaps; ++k) from[k] = s + offsets[k];
    for (int64_t m = 0; m < count; m += kLanes<T>) {
      core::Lanes<T> of_a[kBlock];
#pragma GCC unroll 8
      for (int r = 0; r < kBlock; ++r) of_a[r] = core::load(a + r * a_pitch + m);
#pragma GCC unroll 8
      for (int c = 0; c < kChannels; ++c)
#pragma GCC unroll 8
        for (int k = 0; k < kTaps; ++k) {
          const core::Lanes<T> of_s = core::load(from[k] + c * s_pitch + m);
#pragma GCC unroll 8
          for (int r = 0; r < kBlock; ++r) at[r][c * kTaps + k] += of_a[r] * of_s;
        }
    }
  }

  // Over the columns: [kBlock, kChannels, kTaps], up to a whole vector
  [[gnu::always_inline]] void sum_lanes(T* to) const {
    constexpr int kRow = kChannels * kTaps, kCount = kBlock * kRow, W = static_cast<int>(kLanes<T>);
#pragma GCC unroll 8
    for (int i = 0; i < kCount; i += W) {
      std::array<core::Lanes<T>, W> vectors;
#pragma GCC unroll 16
      for (int k = 0; k < W; ++k) vectors[k] = i + k < kCount ? at[(i + k) / kRow][(i + k) % kRow] : core::Lanes<T>{};
      core::store(to + i, core::sums_of_lanes<T>(vectors));
    }
  }
};

template <class Stored, class T = Compute<Stored>>
struct Gradient {
  Axes axes;  // from s to a
  Field<Stored> a, s;
  bool a_is_x;
  int64_t batch;
  Columns columns = Columns::of<T>(axes[2]);
  // a is read in the columns of the sum: its own points, and where it is x, continued beyond the grid
  Axis a_axis{axes[2].taps, true, !a_is_x, axes[2].boundary, axes[2].out, axes[2].out};
  RowLayout a_layout = RowLayout::of<T>(1, axes[2].out, columns.count);
  // A stencil of 3 x 3 taps sums rows of a by two: then it has 4 taps along y (row_pairs.h)
  bool by_pairs = std::is_same_v<T, float> && axes[1].taps.count == 3 && axes[1].taps.stride == 1;
  int64_t y_taps = by_pairs ? kProducts : axes[1].taps.count;
  int64_t taps = axes[0].taps.count * y_taps * axes[2].taps.count;
  int64_t size = a.channels * s.channels * taps;
  int64_t a_size = round_up(a.channels, kChannelUnit) * a_layout.pitch();
  int64_t s_size = round_up(s.channels, kChannelUnit) * columns.layout.pitch();

  struct Scratch {
    Rows<Stored> a, s;
    Lines<T> a_of_pairs, s_of_pairs;
    Scratch(const Gradient& of, int64_t pairs)
        : a(of.a, of.a_axis, of.a_layout),
          s(of.s, of.axes[2], of.columns.layout),
          a_of_pairs(pairs * of.a_size),
          s_of_pairs(pairs * of.s_size) {}
  };

  // Rows whose columns are multiplied
  struct Match {
    const T *a, *s;
  };

  // [a's channels, s' channels, taps]
  void run(T* to) {
    const int64_t rows = axes[1].out + 2 * axes[1].reach(), planes = axes[0].out + 2 * axes[0].reach();
    const int64_t bytes = (a_size + axes[1].taps.stride * s_size) * static_cast<int64_t>(sizeof(T));
    const int64_t height = strip_height(rows, bytes), strips = (rows + height - 1) / height;
    const int64_t units = batch * planes * strips, parts = std::min(units, kMostParts);
    Lines<T> sums(parts * size);
    core::parallel_range(parts, units * height * columns.count * size / parts / 16, [&](int64_t begin, int64_t end) {
      Scratch scratch(*this, by_pairs ? (height + 1) / 2 : 0);
      for (int64_t part = begin; part < end; ++part)
        for (int64_t unit = units * part / parts; unit < units * (part + 1) / parts; ++unit) {
          const int64_t first = unit % strips * height, last = std::min(first + height, rows);
          const int64_t reach = axes[1].reach();
          add({unit / strips / planes, unit / strips % planes - axes[0].reach(), first - reach, last - reach}, scratch,
              sums.data() + part * size);
        }
    });
    for (int64_t part = 1; part < parts; ++part)
      for (int64_t i = 0; i < size; ++i) sums.data()[i] += sums.data()[part * size + i];
    if (by_pairs) {
      gradients_of_taps(sums.data(), a.channels * s.channels * axes[0].taps.count, axes[2].taps.count, to);
    } else {
      std::copy_n(sums.data(), size, to);
    }
  }

  // Rows of a of one element of the batch and one plane; beyond the grid where a is continued
  struct Strip {
    int64_t element, z, begin, end;
  };

  void add(const Strip& strip, Scratch& scratch, T* to) {
    scratch.a.begin(a.data + strip.element * a.size());
    scratch.s.begin(s.data + strip.element * s.size());
    std::vector<Match> matches;
    for (const auto& [kz, jz] : axes[0].taps_at(strip.z)) {
      const int64_t z = axes[0].stored(jz);
      if (z == kNowhere) continue;
      for (int64_t ky = 0; ky < y_taps; ++ky) {
        by_pairs ? match_pairs(strip, z, ky, scratch, matches) : match_rows(strip, z, ky, scratch, matches);
        add_matches(matches, (kz * y_taps + ky) * axes[2].taps.count, to);
      }
    }
  }

  const T* row_of_a(const Strip& strip, int64_t y, Scratch& scratch) {
    return scratch.a.row(point_for(strip.z, axes[0].out, axes[0].boundary),
                         point_for(y, axes[1].out, axes[1].boundary));
  }

  // Rows of a with those of s that tap ky sees from them
  void match_rows(const Strip& strip, int64_t z, int64_t ky, Scratch& scratch, std::vector<Match>& matches) {
    matches.clear();
    const Axis& y = axes[1];
    for (int64_t c = strip.begin; c < strip.end; ++c)
      if (const int64_t jy = y.stored(y.taps.stride * c + ky - y.taps.before); jy != kNowhere)
        matches.push_back({row_of_a(strip, c, scratch), scratch.s.row(z, jy)});
  }

  // The rows of a product, for every two rows of a
  void match_pairs(const Strip& strip, int64_t z, int64_t product, Scratch& scratch, std::vector<Match>& matches) {
    matches.clear();
    T *of_a = scratch.a_of_pairs.data(), *of_s = scratch.s_of_pairs.data();
    for (int64_t c = strip.begin; c < strip.end; c += 2, of_a += a_size, of_s += s_size) {
      const T* const second = c + 1 < strip.end ? row_of_a(strip, c + 1, scratch) : nullptr;
      if (!second && product == 3) continue;
      const T* d[4];
      for (int64_t i = 0; i < 4; ++i) {
        const int64_t jy = axes[1].stored(c + i - 1);
        d[i] = jy == kNowhere ? nullptr : scratch.s.row(z, jy);
      }
      const auto source = source_of_product(product, d);
      if (!source.first && !source.second) continue;
      out_of_product(product, row_of_a(strip, c, scratch), second).write(a_size, of_a);
      source.write(s_size, of_s);
      matches.push_back({of_a, of_s});
    }
  }

  void add_matches(const std::vector<Match>& matches, int64_t number, T* to) const {
#if defined(__AVX512F__)
    constexpr int kHalf = 2;
#else
    constexpr int kHalf = 1;
#endif
    switch (axes[2].taps.count) {
      case 3:
        return add_blocks<2 * kHalf, 2, 3>(matches, number, to);
      case 4:
        return add_blocks<3 * kHalf, 1, 4>(matches, number, to);
      default:
        return add_blocks<2 * kHalf, 6, 1>(matches, number, to);
    }
  }

  template <int kBlock, int kChannels, int kTaps>
  void add_blocks(const std::vector<Match>& matches, int64_t number, T* to) const {
    const int64_t a_pitch = a_layout.pitch(), s_pitch = columns.layout.pitch();
    std::array<int64_t, kTaps> offsets;
    for (size_t k = 0; k < kTaps; ++k) offsets[k] = columns.taps[0][k].offset + columns.first;
    for (int64_t i = 0; i < a.channels; i += kBlock) {
      for (int64_t j = 0; j < s.channels; j += kChannels) {
        Sums<T, kBlock, kChannels, kTaps> sums;
        for (const auto& [of_a, of_s] : matches)
          sums.add(of_a + RowLayout::kLead + columns.first + i * a_pitch, a_pitch, of_s + j * s_pitch, s_pitch, offsets,
                   columns.count);
        T of_block[round_up(kBlock * kChannels * kTaps, kLanes<T>)];
        sums.sum_lanes(of_block);
        for (int64_t r = 0; r < std::min<int64_t>(kBlock, a.channels - i); ++r)
          for (int64_t c = 0; c < std::min<int64_t>(kChannels, s.channels - j); ++c)
            for (int64_t k = 0; k < kTaps; ++k)
              to[((i + r) * s.channels + j + c) * taps + number + k] += of_block[(r * kChannels + c) * kTaps + k];
      }
    }
  }
};

}  // namespace

Tensor multigrid_stencil_gradient(Tensor dout, Tensor x, int64_t kind, int64_t boundary, std::vector<int64_t> shape) {
  const char* op = "multigrid_stencil_gradient";
  check_field(x, x.scalar_type(), op, "x");
  check_field(dout, x.scalar_type(), op, "dout");
  core::check(dout.dim() == x.dim() && dout.size(0) == x.size(0), op, "dout", "have the dimensions and batch of x");
  const Call call(op, kind, boundary, x.dim() - 2);
  call.check_weight(shape, dout.size(1), x.size(1), op);
  call.check_grids(extents_of(x), extents_of(dout), op);
  Tensor gradient = torch::stable::new_empty(x, shape);
  core::with_stored(x, [&](auto element) {
    using Stored = decltype(element);
    const bool prolongs = call.kind == Kind::kProlong;
    const Axes axes = call.axes(extents_of(x), extents_of(dout), prolongs);
    const Field<Stored> of_x = field_of<Stored>(x), of_dout = field_of<Stored>(dout);
    Gradient<Stored> sums{axes, prolongs ? of_x : of_dout, prolongs ? of_dout : of_x, prolongs, x.size(0)};
    Lines<Compute<Stored>> total(gradient.numel());
    sums.run(total.data());
    Stored* to = core::mutable_data<Stored>(gradient);
    for (int64_t i = 0; i < gradient.numel(); ++i) core::store(to[i], total.data()[i]);
  });
  return gradient;
}

}  // namespace fastsciml::stencils
