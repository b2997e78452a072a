// The element formulae of the variants on vectors of elements, one struct each, with the gradient's:
//
//   forward    y                                                          from x
//   backward   the kSums products that a channel of a sample adds up, and
//              dx, but for the statistics' share, which is a x + b        from x and dy
//
// p[k] is parameter k of the elements' channels. Derivations in operators.h.
#pragma once

#include <cstdint>

#include "evonorm/sigmoid.h"

namespace fastsciml::evonorm {

template <class V, int kCount>
struct Slopes {
  V products[kCount];
  V dx;
};

// S0, S1, S2: y = scale x sigmoid(v x) + shift.
struct Gate {
  enum { kScale, kShift, kGate, kParameters };
  enum { kBias, kWeight, kGateSum, kSums };

  template <class V>
  [[gnu::always_inline]] static V forward(V x, const V* p) {
    return p[kScale] * x / sigmoid_inverse(p[kGate] * x) + p[kShift];
  }

  template <class V>
  [[gnu::always_inline]] static Slopes<V, kSums> backward(V x, V dy, const V* p) {
    const V gate = 1.0f / sigmoid_inverse(p[kGate] * x);
    const V through = dy * gate, open = through * x, rest = x * (1.0f - gate), scaled = p[kScale] * through;
    // A sum at last: the product of a last factor would be rounded only where it is kept, and not where more is added.
    return {{dy, open, open * rest}, scaled * (p[kGate] * rest) + scaled};
  }
};

enum class Right { kB0, kB1, kB2 };

// B0, B1, B2: y = scale x / max(batch, right) + shift, where right is v x + own, (x + 1) own or own - x.
template <Right kRight>
struct Quotient {
  enum { kScale, kShift, kBatch, kOwn, kGate, kParameters };
  enum { kBias, kWeight, kBatchSum, kOwnSum, kGateSum, kSums };

  template <class V>
  [[gnu::always_inline]] static V right(V x, const V* p) {
    if constexpr (kRight == Right::kB0) return p[kGate] * x + p[kOwn];
    if constexpr (kRight == Right::kB1) return (x + 1.0f) * p[kOwn];
    return p[kOwn] - x;
  }

  template <class V>
  [[gnu::always_inline]] static V forward(V x, const V* p) {
    const V batch = p[kBatch], other = right(x, p);
    return p[kScale] * x / (batch >= other ? batch : other) + p[kShift];
  }

  // Right of the maximum, x / right has the derivative (right - x right') / right^2, and that is own / right^2 in all
  // three.
  template <class V>
  [[gnu::always_inline]] static Slopes<V, kSums> backward(V x, V dy, const V* p) {
    const V batch = p[kBatch], other = right(x, p), none = {};
    const auto left = batch >= other;
    const V per = 1.0f / (left ? batch : other);
    const V weight = dy * x * per, squared = weight * per;
    const V own = left ? none : squared;
    return {{dy, weight, left ? squared : none, kRight == Right::kB1 ? own * (x + 1.0f) : own, own * x},
            p[kScale] * dy * (left ? per : p[kOwn] * per * per)};
  }
};

}  // namespace fastsciml::evonorm
