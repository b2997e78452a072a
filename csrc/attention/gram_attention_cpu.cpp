// Attention by the Gram matrix and its gradients on the CPU; formulae in operators.h. Each thread takes as many tasks
// as a vector has lanes, turns their tokens from [task, element] to [element, lane] in its scratch memory, and works
// there, task by lane (gram_attention.h).
//
// Multiply-adds per task, with N tokens, `context` of them seen, width T and H heads:
//
//   forward   context T^2 / 2 + 2 H T^3 + N T^2
//   backward  context T^2 / 2 + 6 H T^3 + 2 N T^2 + context T^2, without dtokens context T^2 / 2 + 4 H T^3 + N T^2
//
// Bytes: tokens read and output written once; backward tokens and dout read, dtokens written. Scratch memory for one
// head with N = T = 11 in float32 with AVX-512 is 39 KiB forward, about an L1 cache, and 85 KiB backward. Called by
// ops/gram_attention.py.

#include <torch/csrc/stable/ops.h>

#include "attention/gram_attention.h"
#include "attention/operators.h"
#include "core/dtypes.h"
#include "core/lines.h"
#include "core/parallel.h"

namespace fastsciml::attention {
namespace {

using core::Lines;

// The gradients of the weights are summed in so many parts, whatever the number of threads, so that it changes no bit:
// at least 8 vectors of tasks to a part, where that does not leave fewer than 16 parts.
int64_t part_count(int64_t groups) { return std::clamp<int64_t>(groups / 8, std::min<int64_t>(groups, 16), 128); }

void check_call(const char* op, const Tensor& tokens, const Tensor& left, const Tensor& right, int64_t context) {
  const auto type = tokens.scalar_type();
  core::check(tokens.dim() == 3 && tokens.numel() > 0, op, "tokens", "be a non-empty [batch, length, width] tensor");
  core::check_contiguous(tokens, type, op, "tokens");
  core::check_contiguous(left, type, op, "left");
  core::check_contiguous(right, type, op, "right");
  core::check(left.dim() == 3 && left.numel() > 0 && left.size(1) == tokens.size(2) && left.size(2) == tokens.size(2),
              op, "left", "be a non-empty [heads, width, width] tensor of the width of tokens");
  core::check_same_shape(left, right, op, "right");
  core::check(context >= 0 && context <= tokens.size(1), op, "context", "be from 0 to the length of tokens");
}

// A call's extents and weights, the latter as they are computed with.
template <class Stored, class T = Compute<Stored>>
struct Call {
  int64_t tasks, length, width, heads, context;
  int64_t size = length * width, square = width * width;
  int64_t groups = (tasks + kLanes<T> - 1) / kLanes<T>;
  Lines<T> converted{std::is_same_v<Stored, T> ? 0 : 2 * heads * square};
  const T *left, *right;

  Call(const Tensor& tokens, const Tensor& of_left, const Tensor& of_right, int64_t context_)
      : tasks(tokens.size(0)),
        length(tokens.size(1)),
        width(tokens.size(2)),
        heads(of_left.size(0)),
        context(context_),
        left(computed(of_left, 0)),
        right(computed(of_right, heads * square)) {}

  const T* computed(const Tensor& weights, int64_t offset) {
    const Stored* values = core::data<Stored>(weights);
    if constexpr (std::is_same_v<Stored, T>) return values;
    T* to = converted.data() + offset;
    for (int64_t i = 0; i < heads * square; ++i) to[i] = static_cast<T>(core::load(values[i]));
    return to;
  }

  OfAll<T> left_of(int64_t head) const { return OfAll<T>::rows(left + head * square, width); }
  OfAll<T> right_of(int64_t head) const { return OfAll<T>::rows(right + head * square, width); }

  int64_t tasks_of(int64_t group) const { return std::min(kLanes<T>, tasks - group * kLanes<T>); }
  int64_t offset_of(int64_t group) const { return group * kLanes<T> * size; }
  int64_t cells_of_group() const { return kLanes<T> * size; }

  Extents squares() const { return {width, width, width}; }
  Extents of_tokens() const { return {length, width, width}; }
};

// One thread's memory, for a vector of tasks.
template <class Stored, class T = Compute<Stored>>
struct Scratch {
  const Call<Stored>& call;
  Lines<T> tokens{vectors_size<T>(call.size)}, out{vectors_size<T>(call.size)}, buffer{buffer_size<T>(call.size)};
  Lines<T> gram{call.square * kLanes<T>}, seen{call.square * kLanes<T>}, map{call.square * kLanes<T>};

  explicit Scratch(const Call<Stored>& of_call) : call(of_call) {}

  OfTasks<T> rows(Lines<T>& lines) { return OfTasks<T>::rows(lines.data(), call.width); }

  void load(const Stored* all, int64_t group, Lines<T>& to) {
    load_tasks(all + call.offset_of(group), call.tasks_of(group), call.size, buffer.data(), to.data());
  }
  void store(Lines<T>& from, int64_t group, Stored* all) {
    store_tasks(from.data(), call.tasks_of(group), call.size, buffer.data(), all + call.offset_of(group));
  }

  void make_gram_of(const Stored* all, int64_t group) {
    load(all, group, tokens);
    make_gram(rows(tokens), call.context, call.width, rows(gram));
  }

  // seen = G B_h
  void see(int64_t head) { multiply(rows(gram), call.right_of(head), call.squares(), Into::kNew, rows(seen)); }

  // map = M, from seen
  void add_to_map(int64_t head) {
    multiply(call.left_of(head), rows(seen), call.squares(), head ? Into::kSum : Into::kNew, rows(map));
  }
};

template <class Stored>
void forward(const Call<Stored>& call, const Stored* tokens, Stored* out) {
  core::parallel_range(call.groups, call.cells_of_group(), [&](int64_t begin, int64_t end) {
    Scratch<Stored> s(call);
    for (int64_t group = begin; group < end; ++group) {
      s.make_gram_of(tokens, group);
      for (int64_t head = 0; head < call.heads; ++head) {
        s.see(head);
        s.add_to_map(head);
      }
      multiply(s.rows(s.tokens), s.rows(s.map).transposed(), call.of_tokens(), Into::kNew, s.rows(s.out));
      s.store(s.out, group, out);
    }
  });
}

template <class Stored, class T = Compute<Stored>>
struct Backward {
  const Call<Stored>& call;
  const Stored *dout, *tokens;
  Stored* dtokens;  // null: not asked for
  int64_t weights = round_up(2 * call.heads * call.square, kLanes<T>);
  int64_t parts = part_count(call.groups);
  Lines<T> sums{parts * weights};  // [parts, left and right, heads, width, width]

  Backward(const Call<Stored>& of_call, const Stored* dout_, const Stored* tokens_, Stored* dtokens_)
      : call(of_call), dout(dout_), tokens(tokens_), dtokens(dtokens_) {}

  struct Memory : Scratch<Stored> {
    Lines<T> dout, dmap, left_dmap, dgram, dweights;

    explicit Memory(const Backward& of)
        : Scratch<Stored>(of.call),
          dout(vectors_size<T>(of.call.size)),
          dmap(of.call.square * kLanes<T>),
          left_dmap(of.call.square * kLanes<T>),
          dgram(of.call.square * kLanes<T>),
          dweights(of.weights * kLanes<T>) {}
  };

  void add_group(int64_t group, Memory& m) {
    const Extents squares = call.squares();
    m.make_gram_of(tokens, group);
    m.load(dout, group, m.dout);
    const auto of_tokens = m.rows(m.tokens), of_dout = m.rows(m.dout), dmap = m.rows(m.dmap), dgram = m.rows(m.dgram);
    multiply(of_dout.transposed(), of_tokens, {call.width, call.length, call.width}, Into::kNew, dmap);
    for (int64_t head = 0; head < call.heads; ++head) {
      m.see(head);
      const auto dweights_of = [&](int64_t matrix) {
        return OfTasks<T>::rows(m.dweights.data() + matrix * call.square * kLanes<T>, call.width);
      };
      multiply(dmap, m.rows(m.seen).transposed(), squares, Into::kSum, dweights_of(head));
      multiply(call.left_of(head).transposed(), dmap, squares, Into::kNew, m.rows(m.left_dmap));
      multiply(m.rows(m.gram), m.rows(m.left_dmap), squares, Into::kSum, dweights_of(call.heads + head));
      if (!dtokens) continue;
      m.add_to_map(head);
      multiply(m.rows(m.left_dmap), call.right_of(head).transposed(), squares, head ? Into::kSum : Into::kNew, dgram);
    }
    if (!dtokens) return;
    symmetrize(dgram, call.width);
    multiply(of_dout, m.rows(m.map), call.of_tokens(), Into::kNew, m.rows(m.out));
    multiply(of_tokens, dgram, {call.context, call.width, call.width}, Into::kSum, m.rows(m.out));
    m.store(m.out, group, dtokens);
  }

  void run() {
    core::parallel_range(parts, call.groups * call.cells_of_group() / parts, [&](int64_t begin, int64_t end) {
      Memory m(*this);
      for (int64_t part = begin; part < end; ++part) {
        std::fill_n(m.dweights.data(), weights * kLanes<T>, T{0});
        for (int64_t group = call.groups * part / parts; group < call.groups * (part + 1) / parts; ++group)
          add_group(group, m);
        sum_lanes(m.dweights.data(), weights, sums.data() + part * weights);
      }
    });
  }

  // The gradient of left or right, which begins at `offset` of a part.
  void get_sum(int64_t offset, const Tensor& gradient) {
    Stored* to = core::mutable_data<Stored>(gradient);
    for (int64_t i = 0; i < call.heads * call.square; ++i) {
      T sum = 0;
      for (int64_t part = 0; part < parts; ++part) sum += sums.data()[part * weights + offset + i];
      core::store(to[i], sum);
    }
  }
};

}  // namespace

Tensor gram_attention(Tensor tokens, Tensor left, Tensor right, int64_t context) {
  check_call("gram_attention", tokens, left, right, context);
  Tensor out = torch::stable::empty_like(tokens);
  core::with_stored(tokens, [&](auto element) {
    using Stored = decltype(element);
    const Call<Stored> call(tokens, left, right, context);
    forward(call, core::data<Stored>(tokens), core::mutable_data<Stored>(out));
  });
  return out;
}

std::tuple<Tensor, Tensor, Tensor> gram_attention_backward(Tensor dout, Tensor tokens, Tensor left, Tensor right,
                                                           int64_t context, bool of_tokens) {
  const char* op = "gram_attention_backward";
  check_call(op, tokens, left, right, context);
  core::check_contiguous(dout, tokens.scalar_type(), op, "dout");
  core::check_same_shape(tokens, dout, op, "dout");
  Tensor dtokens = of_tokens ? torch::stable::empty_like(tokens) : torch::stable::new_empty(tokens, {0});
  Tensor dleft = torch::stable::empty_like(left), dright = torch::stable::empty_like(right);
  core::with_stored(tokens, [&](auto element) {
    using Stored = decltype(element);
    const Call<Stored> call(tokens, left, right, context);
    Backward<Stored> backward(call, core::data<Stored>(dout), core::data<Stored>(tokens),
                              of_tokens ? core::mutable_data<Stored>(dtokens) : nullptr);
    backward.run();
    backward.get_sum(0, dleft);
    backward.get_sum(call.heads * call.square, dright);
  });
  return {dtokens, dleft, dright};
}

}  // namespace fastsciml::attention
