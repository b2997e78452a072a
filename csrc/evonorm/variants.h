// The element formulae of the variants, one struct each, with the gradient's:
//
//   forward   y                                                         from x
//   sums      the kSums products that a channel of a sample adds up     from x and dy
//   slope     dx, but for the statistics' share, which is a x + b       from x and dy
//
// p(k, j) is parameter k of lane j's channel. Derivations in operators.h.
#pragma once

#include <cstdint>

#include "evonorm/sigmoid.h"

namespace fastsciml::evonorm {

template <class T, int kCount>
struct Products {
  T value[kCount];
};

// S0, S1, S2: y = scale x sigmoid(v x) + shift.
struct Gate {
  enum { kScale, kShift, kGate, kForward };
  enum { kLinear = kForward, kConstant, kBackward };
  enum { kBias, kWeight, kGateSum, kSums };

  template <class T, class P>
  [[gnu::always_inline]] static T forward(T x, const P& p, int64_t j) {
    return p(kScale, j) * x * sigmoid(p(kGate, j) * x) + p(kShift, j);
  }

  template <class T, class P>
  [[gnu::always_inline]] static Products<T, kSums> sums(T x, T dy, const P& p, int64_t j) {
    const T gate = sigmoid(p(kGate, j) * x);
    const T open = dy * x * gate;
    return {dy, open, open * x * (T{1} - gate)};
  }

  template <class T, class P>
  [[gnu::always_inline]] static T slope(T x, T dy, const P& p, int64_t j) {
    const T z = p(kGate, j) * x;
    const T gate = sigmoid(z);
    return p(kScale, j) * dy * gate * (T{1} + z * (T{1} - gate)) + p(kLinear, j) * x + p(kConstant, j);
  }
};

enum class Right { kB0, kB1, kB2 };

// B0, B1, B2: y = scale x / max(batch, right) + shift, where right is v x + own, (x + 1) own or own - x.
template <Right kRight>
struct Quotient {
  enum { kScale, kShift, kBatch, kOwn, kGate, kForward };
  enum { kLinear = kForward, kConstant, kBackward };
  enum { kBias, kWeight, kBatchSum, kOwnSum, kGateSum, kSums };

  template <class T, class P>
  [[gnu::always_inline]] static T right(T x, const P& p, int64_t j) {
    if constexpr (kRight == Right::kB0) return p(kGate, j) * x + p(kOwn, j);
    if constexpr (kRight == Right::kB1) return (x + T{1}) * p(kOwn, j);
    return p(kOwn, j) - x;
  }

  template <class T, class P>
  [[gnu::always_inline]] static T forward(T x, const P& p, int64_t j) {
    const T batch = p(kBatch, j), other = right(x, p, j);
    return p(kScale, j) * x / (batch >= other ? batch : other) + p(kShift, j);
  }

  template <class T, class P>
  [[gnu::always_inline]] static Products<T, kSums> sums(T x, T dy, const P& p, int64_t j) {
    const T batch = p(kBatch, j), other = right(x, p, j);
    const bool left = batch >= other;
    const T per = T{1} / (left ? batch : other);
    const T weight = dy * x * per, squared = weight * per;
    const T own = left ? T{0} : squared;
    return {dy, weight, left ? squared : T{0}, kRight == Right::kB1 ? own * (x + T{1}) : own, own * x};
  }

  // Right of the maximum, x / right has the derivative (right - x right') / right^2, and that is own / right^2 in all
  // three.
  template <class T, class P>
  [[gnu::always_inline]] static T slope(T x, T dy, const P& p, int64_t j) {
    const T batch = p(kBatch, j), other = right(x, p, j);
    const bool left = batch >= other;
    const T per = T{1} / (left ? batch : other);
    const T inner = left ? per : p(kOwn, j) * per * per;
    return p(kScale, j) * dy * inner + p(kLinear, j) * x + p(kConstant, j);
  }
};

}  // namespace fastsciml::evonorm
