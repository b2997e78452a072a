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

#include "core/parallel.h"
#include "stencils/columns.h"
#include "stencils/operators.h"
#include "stencils/tensors.h"

namespace fastsciml::stencils {
namespace {

inline constexpr int64_t kMostParts = 32;

// Sums of kBlock channels of a with kChannels of s, at kTaps taps along x: 24 of AVX-512's 32 registers, 12 of 16.
template <class T, int kBlock, int kChannels, int kTaps>
struct Sums {
  core::Lanes<T> at[kBlock][kChannels * kTaps] = {};

  // Rows of a and s, channels so far apart, over so many columns; offsets of the taps in s.
  [[gnu::always_inline]] void add(const T* a, int64_t a_pitch, const T* s, int64_t s_pitch,
                                  const std::vector<Columns::Tap>& taps, int64_t count) {
    const T* from[kTaps];
    for (int k = 0; k < kTaps; ++k) from[k] = s + taps[static_cast<size_t>(k)].offset;
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
  int64_t size = a.channels * s.channels * axes[0].taps.count * axes[1].taps.count * axes[2].taps.count;

  struct Scratch {
    Rows<Stored> a, s;
    explicit Scratch(const Gradient& of) : a(of.a, of.a_axis, of.a_layout), s(of.s, of.axes[2], of.columns.layout) {}
  };

  struct Pair {
    const T *a, *s;
  };

  // Every part's sum is added to `to`, in order.
  void run(T* to) {
    const int64_t rows = axes[1].out + 2 * axes[1].reach(), planes = axes[0].out + 2 * axes[0].reach();
    const int64_t bytes = (a.channels * a_layout.pitch() + axes[1].taps.stride * s.channels * columns.layout.pitch()) *
                          static_cast<int64_t>(sizeof(T));
    const int64_t height = strip_height(rows, bytes), strips = (rows + height - 1) / height;
    const int64_t units = batch * planes * strips, parts = std::min(units, kMostParts);
    Lines<T> sums(parts * size);
    core::parallel_range(parts, units * height * columns.count * size / parts / 16, [&](int64_t begin, int64_t end) {
      Scratch scratch(*this);
      for (int64_t part = begin; part < end; ++part)
        for (int64_t unit = units * part / parts; unit < units * (part + 1) / parts; ++unit) {
          const int64_t first = unit % strips * height, last = std::min(first + height, rows);
          const int64_t reach = axes[1].reach();
          add({unit / strips / planes, unit / strips % planes - axes[0].reach(), first - reach, last - reach}, scratch,
              sums.data() + part * size);
        }
    });
    for (int64_t i = 0; i < size; ++i)
      for (int64_t part = 0; part < parts; ++part) to[i] += sums.data()[part * size + i];
  }

  // Rows of a of one element of the batch and one plane; beyond the grid where a is continued
  struct Strip {
    int64_t element, z, begin, end;
  };

  void add(const Strip& strip, Scratch& scratch, T* to) {
    scratch.a.begin(a.data + strip.element * a.size());
    scratch.s.begin(s.data + strip.element * s.size());
    std::vector<Pair> pairs;
    const Axis &z = axes[0], &y = axes[1];
    for (const auto& [kz, jz] : z.taps_at(strip.z)) {
      if (z.stored(jz) == kNowhere) continue;
      for (int64_t ky = 0; ky < y.taps.count; ++ky) {
        pairs.clear();
        for (int64_t c = strip.begin; c < strip.end; ++c) {
          const int64_t jy = y.stored(y.taps.stride * c + ky - y.taps.before);
          if (jy == kNowhere) continue;
          const int64_t za = point_for(strip.z, z.out, z.boundary), ya = point_for(c, y.out, y.boundary);
          pairs.push_back({scratch.a.row(za, ya) + RowLayout::kLead + columns.first,
                           scratch.s.row(z.stored(jz), jy) + columns.first});
        }
        add_pairs(pairs, (kz * y.taps.count + ky) * axes[2].taps.count, to);
      }
    }
  }

  void add_pairs(const std::vector<Pair>& pairs, int64_t number, T* to) const {
#if defined(__AVX512F__)
    constexpr int kHalf = 2;
#else
    constexpr int kHalf = 1;
#endif
    switch (axes[2].taps.count) {
      case 3:
        return add_blocks<2 * kHalf, 2, 3>(pairs, number, to);
      case 4:
        return add_blocks<3 * kHalf, 1, 4>(pairs, number, to);
      default:
        return add_blocks<2 * kHalf, 6, 1>(pairs, number, to);
    }
  }

  template <int kBlock, int kChannels, int kTaps>
  void add_blocks(const std::vector<Pair>& pairs, int64_t number, T* to) const {
    const int64_t taps = axes[0].taps.count * axes[1].taps.count * axes[2].taps.count;
    for (int64_t i = 0; i < a.channels; i += kBlock) {
      for (int64_t j = 0; j < s.channels; j += kChannels) {
        Sums<T, kBlock, kChannels, kTaps> sums;
        for (const auto& [of_a, of_s] : pairs)
          sums.add(of_a + i * a_layout.pitch(), a_layout.pitch(), of_s + j * columns.layout.pitch(),
                   columns.layout.pitch(), columns.taps[0], columns.count);
        for (int64_t r = 0; r < std::min<int64_t>(kBlock, a.channels - i); ++r)
          for (int64_t c = 0; c < std::min<int64_t>(kChannels, s.channels - j); ++c)
            for (int64_t k = 0; k < kTaps; ++k)
              to[((i + r) * s.channels + j + c) * taps + number + k] +=
                  core::sum_of_lanes<T>(sums.at[r][c * kTaps + k]);
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
    Lines<Compute<Stored>> total(sums.size);
    sums.run(total.data());
    Stored* to = core::mutable_data<Stored>(gradient);
    for (int64_t i = 0; i < sums.size; ++i) core::store(to[i], total.data()[i]);
  });
  return gradient;
}

}  // namespace fastsciml::stencils
