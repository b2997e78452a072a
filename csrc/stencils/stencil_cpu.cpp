// Learned stencils and their transposes on the CPU; formulae in operators.h. One loop serves all: an out row is, for
// every class of its columns, a sum of products of matrices, one for each tap,
//
//   sums [C_out, columns] += weight_k [C_out, C_in] source_k [C_in, columns]
//
// where source_k begins in a copied row (rows.h) at the point that the tap sees: kRows x 2 vectors of sums stay in
// registers while taps and channels run (core/product.h). A thread takes a strip of rows, whose source stays in its L2.
//
// Flops: 2 C_in C_out taps per out point. Bytes: source read once and once more per strip for the rows beside it, added
// read, out written. With 24 channels a float32 point takes 192 bytes and 10,368 flops, so that a sum is bound by
// arithmetic, ten times over, and smoothing in one pass over memory would bring nothing. Called by
// ops/multigrid_conv.py.

#include <torch/csrc/stable/ops.h>

#include <type_traits>

#include "core/pages.h"
#include "core/parallel.h"
#include "stencils/activation.h"
#include "stencils/columns.h"
#include "stencils/operators.h"
#include "stencils/row_pairs.h"
#include "stencils/tensors.h"
#include "stencils/weights.h"

namespace fastsciml::stencils {
namespace {

// Sums over the taps of one field.
template <class Stored, class T = Compute<Stored>>
struct Term {
  const Stored* source;
  Field<Stored> field;
  Columns columns;
  Axis x;
  Weights<T> weights;
};

// out = act(added + first term + second term + bias)
template <class Stored, class T = Compute<Stored>>
struct Sum {
  Axes axes;
  Term<Stored> term;
  std::optional<Weights<T>> of_pairs;  // factors of the products that make two rows at once
  std::optional<Term<Stored>> pointwise;
  const Stored *added, *bias;  // null: none
  Activation activation;
  int64_t batch, channels;
  Stored* out;

  // out rows of one element of the batch and one plane
  struct Strip {
    int64_t element, z, begin, end;
  };

  struct Scratch {
    Rows<Stored> rows;
    std::optional<Rows<Stored>> pointwise_rows;
    int64_t pitch, width, source_size;
    Lines<T> sums, line;   // of two rows
    Lines<T> transformed;  // source of the products, of each plane that z's taps see

    explicit Scratch(const Sum& of)
        : rows(of.term.field, of.term.x, of.term.columns.layout),
          pitch(round_up(of.term.columns.count, kLanes<T>)),
          width(pitch * of.term.columns.classes),
          source_size(of.term.field.channels * of.term.columns.layout.pitch()),
          sums(2 * kRows * width),
          line(width + 2 * kLanes<T>),
          transformed(of.of_pairs ? of.axes[0].taps.count * kProducts * source_size : 0) {
      if (of.pointwise) pointwise_rows.emplace(of.pointwise->field, of.pointwise->x, of.pointwise->columns.layout);
    }
  };

  // A tap's matrix, by its number, and the row in which it finds its source
  struct RowTap {
    int64_t number;
    const T* row;
  };

  void run() {
    const Axis &z = axes[0], &y = axes[1];
    const int64_t bytes = term.field.channels * term.columns.layout.pitch() * static_cast<int64_t>(sizeof(T));
    const int64_t height = strip_height(y.out, bytes), strips = (y.out + height - 1) / height;
    const int64_t flops = term.weights.block_size * term.columns.count * height;
    core::parallel_range(batch * z.out * strips, flops / 16, [&](int64_t begin, int64_t end) {
      Scratch scratch(*this);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i % strips * height;
        make({i / strips / z.out, i / strips % z.out, first, std::min(first + height, y.out)}, scratch);
      }
    });
  }

  void make(const Strip& strip, Scratch& s) {
    s.rows.begin(term.source + strip.element * term.field.size());
    if (pointwise) s.pointwise_rows->begin(pointwise->source + strip.element * pointwise->field.size());
    for (int64_t y = strip.begin; y < strip.end;) {
      const bool pair = of_pairs && y + 1 < strip.end && alone(y) && alone(y + 1);
      pair ? make_pair(strip, y, s) : make_row(strip, y, s);
      y += pair ? 2 : 1;
    }
  }

  // Whether no row beyond the grid folds back onto row y, in any plane.
  bool alone(int64_t y) const { return axes[0].reach() == 0 && axes[1].images(y).size() == 1; }

  void make_row(const Strip& strip, int64_t y, Scratch& s) {
    std::vector<RowTap> taps;
    for (const auto& [kz, jz] : axes[0].stored_taps(strip.z))
      for (const auto& [ky, jy] : axes[1].stored_taps(y))
        taps.push_back({(kz * axes[1].taps.count + ky) * axes[2].taps.count, s.rows.row(jz, jy)});
    prefetch_row(strip, y);
    const T* of_point = pointwise ? s.pointwise_rows->row(strip.z, y) : nullptr;
    for (int64_t block = 0; block * kRows < channels; ++block) {
      for (int64_t q = 0; q < term.columns.classes; ++q) add_products(block, q, taps, of_point, s);
      finish(strip, y, block, s.sums.data(), s);
    }
  }

  // Rows y and y + 1 at once, by row_pairs.h.
  void make_pair(const Strip& strip, int64_t y, Scratch& s) {
    std::vector<RowTap> planes;
    for (const auto& [kz, jz] : axes[0].stored_taps(strip.z)) {
      const T* d[4];
      for (int64_t i = 0; i < 4; ++i) {
        const int64_t jy = axes[1].stored(y + i - 1);
        d[i] = jy == kNowhere ? nullptr : s.rows.row(jz, jy);
      }
      T* to = s.transformed.data() + kz * kProducts * s.source_size;
      for (int64_t product = 0; product < kProducts; ++product)
        source_of_product(product, d).write(s.source_size, to + product * s.source_size);
      planes.push_back({kz * kProducts * axes[2].taps.count, to});
    }
    prefetch_row(strip, y);
    prefetch_row(strip, y + 1);
    const T* of_point[2] = {};
    if (pointwise)
      for (int64_t i = 0; i < 2; ++i) of_point[i] = s.pointwise_rows->row(strip.z, y + i);
    for (int64_t block = 0; block * kRows < channels; ++block) {
      add_pair(block, planes, of_point, s);
      for (int64_t i = 0; i < 2; ++i) finish(strip, y + i, block, s.sums.data() + i * kRows * s.width, s);
    }
  }

  // What a row of all channels is written to and added to, while it is summed up
  void prefetch_row(const Strip& strip, int64_t y) const {
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t at = (((strip.element * channels + c) * axes[0].out + strip.z) * axes[1].out + y) * axes[2].out;
      if (added) core::prefetch_into_l2(added + at, axes[2].out);
      core::prefetch_for_writing(out + at, axes[2].out);
    }
  }

  // The sums of a block of channels in the columns of one class
  void add_products(int64_t block, int64_t q, const std::vector<RowTap>& taps, const T* of_point, Scratch& s) {
    T* to = s.sums.data() + q * s.pitch;
    core::for_panels<T>(0, s.pitch, [&](int64_t column, auto panel) {
      core::Sums<T, panel.vectors> sums;
      sums.clear();
      const int64_t m = term.columns.first + column;
      add_taps(sums, term.weights, block, q, taps, 0, 0, m);
      add_point(sums, block, q, of_point, m);
      sums.store(to + column, s.width);
    });
  }

  // The sums of a block of channels in two rows, from the transformed rows of each plane
  void add_pair(int64_t block, const std::vector<RowTap>& planes, const T* const (&of_point)[2], Scratch& s) {
    T *first = s.sums.data(), *second = first + kRows * s.width;
    core::for_panels<T>(0, s.pitch, [&](int64_t column, auto panel) {
      core::Sums<T, panel.vectors> sums;
      const int64_t m = term.columns.first + column;
      const auto add = [&](int64_t product) __attribute__((always_inline)) {
        add_taps(sums, *of_pairs, block, 0, planes, product * axes[2].taps.count, product * s.source_size, m);
      };
      sums.clear();
      add(1);
      sums.store(first + column, s.width);
      sums.clear();
      add(2);
      sums.split(first + column, second + column, s.width);
      add(0);
      add_point(sums, block, 0, of_point[0], m);
      sums.store(first + column, s.width);
      sums.load(second + column, s.width);
      add(3);
      add_point(sums, block, 0, of_point[1], m);
      sums.store(second + column, s.width);
    });
  }

  // The taps along x of every row, whose numbers and places are moved by so much
  template <int V>
  [[gnu::always_inline]] void add_taps(core::Sums<T, V>& sums, Weights<T>& weights, int64_t block, int64_t q,
                                       const std::vector<RowTap>& taps, int64_t number, int64_t place, int64_t m) {
    const Columns& columns = term.columns;
    for (const RowTap& tap : taps)
      for (const auto& [k, offset] : columns.taps[q])
        sums.add_product({weights.at(block, tap.number + number + k), 1, kRows}, tap.row + place + offset + m,
                         columns.layout.pitch(), 0, term.field.channels);
  }

  template <int V>
  [[gnu::always_inline]] void add_point(core::Sums<T, V>& sums, int64_t block, int64_t q, const T* of_point,
                                        int64_t m) {
    if (!of_point) return;
    const Columns& columns = pointwise->columns;
    sums.add_product({pointwise->weights.at(block, 0), 1, kRows}, of_point + columns.taps[q][0].offset + m,
                     columns.layout.pitch(), 0, pointwise->field.channels);
  }

  // A row of a block of channels
  void finish(const Strip& strip, int64_t y, int64_t block, T* sums, Scratch& s) {
    for (int64_t c = block * kRows; c < std::min((block + 1) * kRows, channels); ++c)
      finish_channel(c, ((strip.element * channels + c) * axes[0].out + strip.z) * axes[1].out + y,
                     sums + c % kRows * s.width, s);
  }

  // One row of one channel, from its sums to the tensor
  void finish_channel(int64_t channel, int64_t row, T* sums, Scratch& s) const {
    const Columns& columns = term.columns;
    T* line = sums - columns.first;
    if (columns.classes == 2) {
      line = s.line.data() - 2 * columns.first;
      for (int64_t m = 0; m < columns.count; m += kLanes<T>)
        core::interleave(sums + m, sums + s.pitch + m, s.line.data() + 2 * m);
    }
    const Axis& x = axes[2];
    if (x.reach())
      for (const int64_t beyond : {int64_t{-1}, x.out}) line[point_for(beyond, x.out, x.boundary)] += line[beyond];
    const T shift = bias ? core::load(bias[channel]) : T{0};
    const Stored* other = added ? added + row * x.out : nullptr;
    Stored* to = out + row * x.out;
    switch (activation) {
      case Activation::kGelu:
        return write<Activation::kGelu>(line, other, shift, to);
      case Activation::kRelu:
        return write<Activation::kRelu>(line, other, shift, to);
      default:
        return write<Activation::kNone>(line, other, shift, to);
    }
  }

  template <Activation kActivation>
  void write(const T* line, const Stored* other, T shift, Stored* to) const {
    const int64_t n = axes[2].out;
    if (other) {
      for (int64_t i = 0; i < n; ++i)
        core::store(to[i], activated<kActivation>(line[i] + core::load(other[i]) + shift));
    } else {
      for (int64_t i = 0; i < n; ++i) core::store(to[i], activated<kActivation>(line[i] + shift));
    }
  }
};

// The sum of one stencil, or of its transpose, on the grid `to`.
template <class Stored>
Sum<Stored> sum_of(const Call& call, const Tensor& source, const Tensor& weight, const Extents& to, bool transpose,
                   const std::optional<Tensor>& added, bool subtract, Tensor& out) {
  using T = Compute<Stored>;
  const Extents from = extents_of(source);
  const Axes axes = transpose ? call.axes(to, from, true) : call.axes(from, to, false);
  const Field<Stored> field = field_of<Stored>(source);
  const bool turned = (call.kind == Kind::kProlong) != transpose;  // weight [C_in, C_out, ...]
  Weights<T> weights{out.size(1), field.channels, call.taps()};
  const int64_t inner = call.taps(), outer = inner * weight.size(1);
  std::optional<Weights<T>> of_pairs;
  if constexpr (std::is_same_v<T, float>) {
    if (call.kind == Kind::kSame && call.dims > 1)
      of_pairs = pair_weights<Stored>(call, weight, weights, turned, subtract, transpose);
  }
  // Strips have an even number of rows where the grid has.
  if (!of_pairs || axes[1].out % 2 || axes[0].reach() || axes[1].reach())
    weights.fill(core::data<Stored>(weight), turned ? inner : outer, turned ? outer : inner, subtract ? T{-1} : T{1});
  return {axes,
          {field.data, field, Columns::of<T>(axes[2]), axes[2], std::move(weights)},
          std::move(of_pairs),
          std::nullopt,
          added ? core::data<Stored>(*added) : nullptr,
          nullptr,
          Activation::kNone,
          source.size(0),
          out.size(1),
          core::mutable_data<Stored>(out)};
}

Tensor empty_field(const Tensor& like, int64_t channels, const std::vector<int64_t>& extents) {
  std::vector<int64_t> shape{like.size(0), channels};
  shape.insert(shape.end(), extents.begin(), extents.end());
  Tensor field = torch::stable::new_empty(like, shape);
  core::advise_huge_pages(field);
  return field;
}

void check_added(const std::optional<Tensor>& added, const Tensor& out, const char* op) {
  if (!added) return;
  core::check_contiguous(*added, out.scalar_type(), op, "added");
  core::check_same_shape(*added, out, op, "added");
}

}  // namespace

Tensor multigrid_stencil(Tensor x, Tensor weight, int64_t kind, int64_t boundary, std::vector<int64_t> extents,
                         std::optional<Tensor> added, bool subtract, std::optional<Tensor> pointwise_x,
                         std::optional<Tensor> pointwise, std::optional<Tensor> bias, int64_t activation) {
  const char* op = "multigrid_stencil";
  const auto type = x.scalar_type();
  check_field(x, type, op, "x");
  const Call call(op, kind, boundary, x.dim() - 2);
  core::check(static_cast<int64_t>(extents.size()) == call.dims, op, "extents", "be as many as the axes of x");
  core::check(activation >= 0 && activation <= 2, op, "activation", "be 0 to 2");
  core::check_contiguous(weight, type, op, "weight");
  core::check(weight.dim() == x.dim() && weight.numel() > 0, op, "weight", "have the dimensions of x");
  const Extents to = extents_of(extents);
  const int64_t channels = weight.size(call.kind == Kind::kProlong ? 1 : 0);
  call.check_weight(shape_of(weight), channels, x.size(1), op);
  call.check_grids(extents_of(x), to, op);
  Tensor out = empty_field(x, channels, extents);
  check_added(added, out, op);
  core::check(pointwise.has_value() == pointwise_x.has_value(), op, "pointwise", "come with pointwise_x");
  if (pointwise) {
    check_field(*pointwise_x, type, op, "pointwise_x");
    core::check_contiguous(*pointwise, type, op, "pointwise");
    core::check(pointwise_x->size(0) == x.size(0) && pointwise_x->dim() == x.dim() && extents_of(*pointwise_x) == to &&
                    pointwise->numel() == channels * pointwise_x->size(1),
                op, "pointwise_x", "be on the grid of out, with the channels of pointwise");
  }
  if (bias) {
    core::check_contiguous(*bias, type, op, "bias");
    core::check(bias->numel() == channels, op, "bias", "have an element for each channel");
  }
  core::with_stored(x, [&](auto element) {
    using Stored = decltype(element);
    using T = Compute<Stored>;
    Sum<Stored> sum = sum_of<Stored>(call, x, weight, to, false, added, subtract, out);
    if (pointwise) {
      const Field<Stored> field = field_of<Stored>(*pointwise_x);
      const Axis same{taps_of(Kind::kPoint), true, false, Boundary::kDirichlet, to.x, to.x};
      Weights<T> weights{channels, field.channels, 1};
      weights.fill(core::data<Stored>(*pointwise), field.channels, 1, T{1});
      sum.pointwise.emplace(
          Term<Stored>{field.data, field, sum.term.columns.template of_out<T>(to.x), same, std::move(weights)});
    }
    if (bias) sum.bias = core::data<Stored>(*bias);
    sum.activation = static_cast<Activation>(activation);
    sum.run();
  });
  return out;
}

Tensor multigrid_stencil_adjoint(Tensor dout, Tensor weight, int64_t kind, int64_t boundary,
                                 std::vector<int64_t> extents, std::optional<Tensor> added, bool subtract) {
  const char* op = "multigrid_stencil_adjoint";
  check_field(dout, dout.scalar_type(), op, "dout");
  const Call call(op, kind, boundary, dout.dim() - 2);
  core::check(static_cast<int64_t>(extents.size()) == call.dims, op, "extents", "be as many as the axes of dout");
  core::check_contiguous(weight, dout.scalar_type(), op, "weight");
  core::check(weight.dim() == dout.dim() && weight.numel() > 0, op, "weight", "have the dimensions of dout");
  const Extents to = extents_of(extents);
  const int64_t channels = weight.size(call.kind == Kind::kProlong ? 0 : 1);
  call.check_weight(shape_of(weight), dout.size(1), channels, op);
  call.check_grids(to, extents_of(dout), op);
  Tensor out = empty_field(dout, channels, extents);
  check_added(added, out, op);
  core::with_stored(dout, [&](auto element) {
    using Stored = decltype(element);
    sum_of<Stored>(call, dout, weight, to, true, added, subtract, out).run();
  });
  return out;
}

}  // namespace fastsciml::stencils
