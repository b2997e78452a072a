// Type I with N intervals, whose sines leave the ends out and whose cosines take them by half:
//
//   X_k = sum over 0 < j < N of x_j sin(pi j k / N)
//   X_k = x_0 / 2 + (-1)^k x_N / 2 + sum over 0 < j < N of x_j cos(pi j k / N)
//
// its own inverse, times scale(). Odd j make a transform of type II of N / 2 values, even j one of type I with N / 2
// intervals, and so on until N is odd: as accurate as the other types, where the usual way by one Fourier transform
// divides by small sines. The last one is a Fourier transform of N pairs.   Called by AxisTransform (axis_transform.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "spectral/real_transforms.h"

namespace fastsciml::spectral {

template <class T>
class FirstKind {
 public:
  FirstKind(int64_t intervals, Family family)
      : intervals_(intervals), sine_(family == Family::kSine), last_(intervals) {
    for (; last_ % 2 == 0; last_ /= 2) halves_.emplace_back(last_ / 2, family);
    if (last_ == 1) return;
    fft_.emplace(last_);
    for (int64_t i = 0; i < last_; ++i) pairs_.push_back({extended(2 * i), extended(2 * i + last_)});
  }

  int64_t buffer_size() const {
    return std::max(halves_.empty() ? 0 : halves_[0].buffer_size(), fft_ ? fft_->length : 0);
  }
  int64_t work_size() const { return 3 * half_size(); }
  double scale() const { return static_cast<double>(intervals_) / 2; }

  // work [work_size()]
  void operator()(Rows<const T> from, Rows<T> to, Buffers<T> buffers, Lanes<T>* work) const {
    // From here on index j is the formula's: a sine's first value has index 1.
    from = from.from(sine_ ? -1 : 0, 1);
    to = to.from(sine_ ? -1 : 0, 1);
    Rows<T> even = rows(work), result = rows(work + half_size());
    const Rows<T> odd = rows(work + 2 * half_size());
    if (halves_.empty()) return odd_intervals(from, to, buffers);
    int64_t step = intervals_ / last_;
    odd_intervals(from.from(0, step), even, buffers);
    for (size_t level = halves_.size(); level-- > 0; std::swap(even, result)) {
      step /= 2;
      halves_[level].forward(from.from(step, 2 * step), odd, buffers);
      join(intervals_ / step / 2, as_const(even), as_const(odd), level == 0 ? to : result);
    }
  }

 private:
  struct Image {
    int32_t row;
    T factor;
  };

  static Rows<T> rows(Lanes<T>* values) { return {reinterpret_cast<T*>(values), kLanes<T>}; }
  static Rows<const T> as_const(Rows<T> rows) { return {rows.base, rows.stride}; }

  int64_t half_size() const { return intervals_ / 2 + 1; }

  // Half of x_l, 0 <= l < 3N, in the extension to 2N values that is odd (sines) or even (cosines).
  Image extended(int64_t l) const {
    l %= 2 * last_;
    if (sine_ && l % last_ == 0) return {1, T{0}};
    const T half = static_cast<T>(0.5);
    return l > last_ ? Image{static_cast<int32_t>(2 * last_ - l), sine_ ? -half : half}
                     : Image{static_cast<int32_t>(l), half};
  }

  // Type I with last_ intervals. The extension's even samples, and its odd ones counted from the middle, are odd or
  // even themselves, so that their Fourier transforms are imaginary or real: one complex transform has room for both.
  void odd_intervals(Rows<const T> from, Rows<T> to, Buffers<T> buffers) const {
    if (last_ == 1) {
      if (sine_) return;
      const Lanes<T> x = T{0.5} * from[0], y = T{0.5} * from[1];
      to.set(0, x + y);
      to.set(1, x - y);
      return;
    }
    const Complex<T>* z = transform(*fft_, buffers.a, buffers.b, [&](int64_t i) {
      const auto& [re, im] = pairs_[i];
      return Complex<T>{re.factor * from[re.row], im.factor * from[im.row]};
    });
    for (int64_t k = sine_ ? 1 : 0; k < last_ + (sine_ ? 0 : 1); ++k) {
      const Complex<T> v = z[k % last_];
      const T sign = k % 2 == 0 ? T{1} : T{-1};
      to.set(k, sine_ ? sign * v.re - v.im : v.re + sign * v.im);
    }
  }

  // Type I with 2M intervals from that of the even values, with M, and type II of the odd ones.
  void join(int64_t M, Rows<const T> even, Rows<const T> odd, Rows<T> to) const {
    if (sine_) {
      for (int64_t k = 1; k < M; ++k) {
        const Lanes<T> e = even[k], o = odd[k - 1];
        to.set(k, o + e);
        to.set(2 * M - k, o - e);
      }
      to.set(M, odd[M - 1]);
    } else {
      for (int64_t k = 0; k < M; ++k) {
        const Lanes<T> e = even[k], o = odd[k];
        to.set(k, e + o);
        to.set(2 * M - k, e - o);
      }
      to.set(M, even[M]);
    }
  }

  int64_t intervals_;
  bool sine_;
  int64_t last_;                       // the odd factor of intervals_
  std::vector<SecondKind<T>> halves_;  // of intervals_ / 2, intervals_ / 4, .. values
  std::optional<Fft<T>> fft_;
  std::vector<std::pair<Image, Image>> pairs_;  // [last_]
};

}  // namespace fastsciml::spectral
