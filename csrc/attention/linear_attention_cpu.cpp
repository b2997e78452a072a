// Linear attention and its gradients on the CPU: tensors to the loop of scan.h and back. Formulae in operators.h.

#include <torch/csrc/stable/ops.h>

#include "attention/operators.h"
#include "attention/scan.h"
#include "core/dtypes.h"
#include "core/pages.h"

namespace fastsciml::attention {
namespace {

using core::real_type;
using core::ScalarType;

// The tensors of a call, checked.
struct Call {
  const char* op;
  Tensor q, k, v;
  std::optional<Tensor> log_decay, state;
  Sequences sequences;
  bool causal;

  Call(const char* name, Tensor q_, Tensor k_, Tensor v_, std::optional<Tensor> log_decay_,
       std::optional<Tensor> state_, const std::optional<Tensor>& cu_seqlens, bool is_causal)
      : op(name), q(q_), k(k_), v(v_), log_decay(log_decay_), state(state_), sequences(q.size(1)), causal(is_causal) {
    check_rows(q, "q");
    check_rows(k, "k");
    check_rows(v, "v");
    core::check(k.size(0) == q.size(0) && k.size(2) == q.size(2) && k.size(3) == q.size(3), op, "k",
                "have the batch, length and width of q");
    core::check(q.size(1) % k.size(1) == 0, op, "k", "have a number of heads that divides q's");
    core::check(v.size(0) == k.size(0) && v.size(1) == k.size(1) && v.size(2) == k.size(2), op, "v",
                "have the batch, heads and length of k");
    core::check(causal || !log_decay, op, "log_decay", "be left out where attention is not causal");
    if (log_decay) {
      core::check_contiguous(*log_decay, real_type(q), op, "log_decay");
      core::check(log_decay->numel() == q.size(0) * q.size(1) * q.size(2), op, "log_decay", "be [B, H, N]");
    }
    find_sequences(cu_seqlens);
    if (state) check_state(*state, "state");
  }

  void check_rows(const Tensor& rows, const char* name) const {
    core::check(rows.dim() == 4 && rows.numel() > 0, op, name, "be a non-empty [batch, heads, length, width] tensor");
    core::check_contiguous(rows, q.scalar_type(), op, name);
  }

  void check_state(const Tensor& tensor, const char* name) const {
    core::check_contiguous(tensor, real_type(q), op, name);
    core::check(tensor.dim() == 4 && tensor.size(0) == sequences.count() && tensor.size(1) == q.size(1) &&
                    tensor.size(2) == q.size(3) && tensor.size(3) == v.size(3),
                op, name, "be [sequences, heads of q, width of k, width of v]");
  }

  void find_sequences(const std::optional<Tensor>& cu_seqlens) {
    if (!cu_seqlens) {
      for (int64_t batch = 0; batch < q.size(0); ++batch) sequences.add(batch, 0, q.size(2));
      return;
    }
    core::check_contiguous(*cu_seqlens, ScalarType::Long, op, "cu_seqlens");
    core::check(q.size(0) == 1 && cu_seqlens->numel() >= 2, op, "cu_seqlens", "have two elements, q a batch of one");
    const int64_t* ends = core::data<int64_t>(*cu_seqlens);
    const int64_t count = cu_seqlens->numel() - 1;
    core::check(ends[0] == 0 && ends[count] == q.size(2), op, "cu_seqlens", "run from 0 to the length of q");
    for (int64_t i = 0; i < count; ++i) {
      core::check(ends[i] <= ends[i + 1], op, "cu_seqlens", "not decrease");
      sequences.add(0, ends[i], ends[i + 1] - ends[i]);
    }
  }

  Order forward() const { return causal ? Order::kForward : Order::kWhole; }
  Order backward() const { return causal ? Order::kBackward : Order::kWhole; }
};

template <class Stored>
Heads<const Stored> heads_of(const Tensor& rows) {
  return {core::data<Stored>(rows), rows.size(1), rows.size(2), rows.size(3)};
}

template <class Stored>
Heads<Stored> mutable_heads_of(const Tensor& rows) {
  return {core::mutable_data<Stored>(rows), rows.size(1), rows.size(2), rows.size(3)};
}

template <class T>
const T* optional_data(const std::optional<Tensor>& tensor) {
  return tensor ? core::data<T>(*tensor) : nullptr;
}

// body(sequence and head in the tensor of states, sequence, head)
template <class Body>
void for_states(const Sequences& sequences, Body body) {
  for (int64_t s = 0; s < sequences.count(); ++s)
    for (int64_t head = 0; head < sequences.heads; ++head) body(s * sequences.heads + head, sequences[s], head);
}

// The scan's first states from a tensor [sequences, heads, depth, width], or with those two exchanged.
template <class Stored, class T>
void set_first(Scan<Stored, T>& scan, const std::optional<Tensor>& states, bool transposed) {
  if (!states) return;
  const T* from = core::data<T>(*states);
  const int64_t row_step = transposed ? 1 : scan.width, step = transposed ? scan.depth : 1;
  for_states(scan.sequences, [&](int64_t i, const Sequence& sequence, int64_t head) {
    T* to = scan.state(scan.first(sequence, head));
    for (int64_t d = 0; d < scan.depth; ++d)
      for (int64_t e = 0; e < scan.width; ++e)
        to[d * scan.padded_width + e] = from[i * scan.depth * scan.width + d * row_step + e * step];
  });
}

template <class Stored, class T>
void get_last(Scan<Stored, T>& scan, const Tensor& states) {
  T* to = core::mutable_data<T>(states);
  for_states(scan.sequences, [&](int64_t i, const Sequence& sequence, int64_t head) {
    const T* from = scan.state(scan.last(sequence, head));
    for (int64_t d = 0; d < scan.depth; ++d)
      std::copy_n(from + d * scan.padded_width, scan.width, to + (i * scan.depth + d) * scan.width);
  });
}

template <class T>
double inner_product(const T* a, const T* b, int64_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

// dlog_decay from the dots of q and dq and of k and dk. Sums begin anew at every segment's end, from <R, S> there, so
// that rounding does not grow with the length.
template <class Stored, class T>
void decay_gradient(Scan<Stored, T>& forward, Scan<Stored, T>& backward, const T* q_dots, const T* k_dots, T* out) {
  const Sequences& sequences = forward.sequences;
  const int64_t length = forward.x.length;
  core::parallel_range(sequences.count() * sequences.heads, length, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t head = unit % sequences.heads;
      const Sequence& sequence = sequences[unit / sequences.heads];
      const int64_t first = (sequence.batch * sequences.heads + head) * length + sequence.start;
      for (int64_t segment = 0; segment < sequence.segments(); ++segment) {
        const int64_t boundary = sequences.boundary(sequence, head, segment + 1);
        double sum = inner_product(forward.state(boundary), backward.state(boundary), forward.state_size);
        for (int64_t t = std::min((segment + 1) * kSegment, sequence.length) - 1; t >= segment * kSegment; --t) {
          sum += static_cast<double>(q_dots[first + t]) - static_cast<double>(k_dots[first + t]);
          out[first + t] = static_cast<T>(sum);
        }
      }
    }
  });
}

}  // namespace

std::tuple<Tensor, Tensor> linear_attention(Tensor q, Tensor k, Tensor v, std::optional<Tensor> log_decay,
                                            std::optional<Tensor> state, std::optional<Tensor> cu_seqlens, bool causal,
                                            double scale) {
  const Call call("linear_attention", q, k, v, log_decay, state, cu_seqlens, causal);
  Tensor out = torch::stable::new_empty(q, {q.size(0), q.size(1), q.size(2), v.size(3)});
  // The first touch of small pages costs as much as the arithmetic. Not so for gradients: they come while much memory
  // is held, when the system takes longer to free huge pages than they save (measured in bench/attention.py).
  core::advise_huge_pages(out);
  Tensor last = torch::stable::new_empty(q, {call.sequences.count(), q.size(1), q.size(3), v.size(3)}, real_type(q));
  core::with_stored(q, [&](auto element) {
    using Stored = decltype(element);
    using T = Compute<Stored>;
    Scan<Stored> scan{call.sequences,
                      call.forward(),
                      static_cast<T>(scale),
                      T{1},
                      heads_of<Stored>(q),
                      heads_of<Stored>(k),
                      heads_of<Stored>(v),
                      optional_data<T>(log_decay),
                      mutable_heads_of<Stored>(out),
                      {},
                      nullptr};
    set_first(scan, state, false);
    scan.run();
    get_last(scan, last);
  });
  return {out, last};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> linear_attention_backward(
    Tensor dout, std::optional<Tensor> dlast, Tensor q, Tensor k, Tensor v, std::optional<Tensor> log_decay,
    std::optional<Tensor> state, std::optional<Tensor> cu_seqlens, bool causal, double scale) {
  const Call call("linear_attention_backward", q, k, v, log_decay, state, cu_seqlens, causal);
  call.check_rows(dout, "dout");
  core::check(
      dout.size(0) == q.size(0) && dout.size(1) == q.size(1) && dout.size(2) == q.size(2) && dout.size(3) == v.size(3),
      call.op, "dout", "have the shape of the output");
  if (dlast) call.check_state(*dlast, "dlast");
  Tensor dq = torch::stable::empty_like(q), dk = torch::stable::empty_like(k), dv = torch::stable::empty_like(v);
  const int64_t decays = log_decay ? log_decay->numel() : 0;
  const auto real_empty = [&](int64_t n) { return torch::stable::new_empty(q, {n}, real_type(q)); };
  Tensor dlog_decay = log_decay ? torch::stable::empty_like(*log_decay) : real_empty(0);
  Tensor q_dots = real_empty(decays), k_dots = real_empty(decays);
  Tensor dstate = torch::stable::new_empty(q, {call.sequences.count(), q.size(1), q.size(3), v.size(3)}, real_type(q));
  core::with_stored(q, [&](auto element) {
    using Stored = decltype(element);
    using T = Compute<Stored>;
    const auto of_q = heads_of<Stored>(q), of_k = heads_of<Stored>(k), of_v = heads_of<Stored>(v),
               of_dout = heads_of<Stored>(dout);
    const T* decay = optional_data<T>(log_decay);
    const T one = 1, factor = static_cast<T>(scale);
    const Heads<const Stored> none;
    {
      Scan<Stored> values{
          call.sequences, call.backward(), one, factor, of_k, of_q, of_dout, decay, mutable_heads_of<Stored>(dv),
          none,           nullptr};
      set_first(values, dlast, false);
      values.run();
      get_last(values, dstate);
    }
    Scan<Stored> queries{call.sequences,
                         call.forward(),
                         factor,
                         one,
                         of_dout,
                         of_v,
                         of_k,
                         decay,
                         mutable_heads_of<Stored>(dq),
                         decay ? of_q : none,
                         core::mutable_data<T>(q_dots)};
    set_first(queries, state, true);
    queries.run();
    Scan<Stored> keys{call.sequences,
                      call.backward(),
                      one,
                      factor,
                      of_v,
                      of_dout,
                      of_q,
                      decay,
                      mutable_heads_of<Stored>(dk),
                      decay ? of_k : none,
                      core::mutable_data<T>(k_dots)};
    set_first(keys, dlast, true);
    keys.run();
    if (decay) {
      decay_gradient(queries, keys, core::data<T>(q_dots), core::data<T>(k_dots), core::mutable_data<T>(dlog_decay));
    }
  });
  return {dq, dk, dv, dlog_decay, dstate};
}

}  // namespace fastsciml::attention
