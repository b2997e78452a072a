// The transforms of real sequences of which all others are made: type II with its inverse III, and type IV.
//
//   type II    X_k = sum_j x_j cos(pi (2j + 1) k / (2n))            the cosine's
//              X_k = sum_j x_j sin(pi (2j + 1) (k + 1) / (2n))      the sine's
//              X_k, X_(n-k) = Re and -Im of sum_j x_j exp(-2 pi i j k / n)       Fourier's
//   type III   the inverse of type II, times scale()
//   type IV    X_k = sum_j x_j cos (or sin) (pi (2j + 1) (2k + 1) / (4n)), its own inverse, times scale()
//
// An even n goes through a complex transform of n / 2 values, an odd one through n with no imaginary part. Type II is
// the Fourier transform of x_0 x_2 x_4 .. x_5 x_3 x_1, rotated (Makhoul 1980); the permutation is in the first pass's
// loads. A sine transform is the cosine's of (-1)^j x_j in the reverse order. `from` and `to` may be the same rows.
// Called by AxisTransform (axis_transform.h).
#pragma once

#include <cstdint>
#include <vector>

#include "spectral/fft.h"

namespace fastsciml::spectral {

enum class Family { kFourier, kCosine, kSine };

// Where a transform keeps what it has in hand: two buffers for `values` complex values.
template <class T>
struct Buffers {
  Complex<T>*a, *b;
};

template <class T>
class SecondKind {
 public:
  SecondKind(int64_t n, Family family)
      : n_(n), half_(n / 2), even_(n % 2 == 0), family_(family), fft_(even_ ? half_ : n) {
    const bool fourier = family == Family::kFourier;
    for (int64_t i = 0; i < n; ++i) {
      const bool falling = !fourier && i >= (n + 1) / 2;
      row_.push_back(fourier ? i : (falling ? 2 * (n - 1 - i) + 1 : 2 * i));
      sign_.push_back(falling && family == Family::kSine ? T{-1} : T{1});
    }
    // The rotation from the Fourier transform, and where n is even half of it.
    const auto rotation = [&](int64_t k) {
      const auto [re, im] = unit_root<double>(fourier ? 0 : k, 4 * n);
      const double factor = even_ ? 0.5 : 1;
      return std::pair{static_cast<T>(factor * re), static_cast<T>(factor * im)};
    };
    for (int64_t k = 0; k <= (even_ ? half_ / 2 : half_); ++k) {
      const auto [re, im] = rotation(k);
      const auto [other_re, other_im] = rotation(half_ - k);
      const auto [untangle_re, untangle_im] = unit_root<T>(k, n);
      twiddles_.push_back({re, im, other_re, other_im, untangle_re, untangle_im});
    }
    middle_ = static_cast<T>(fourier ? 1 : std::numbers::sqrt2 / 2);
  }

  int64_t buffer_size() const { return fft_.length; }
  double scale() const { return even_ ? half_ : n_; }

  // Type II
  void forward(Rows<const T> from, Rows<T> to, Buffers<T> buffers) const {
    if (family_ == Family::kSine) to = to.reversed(n_);
    if (!even_) {
      const auto real = [&](int64_t i) { return Complex<T>{sign_[i] * from[row_[i]], Lanes<T>{}}; };
      const Complex<T>* z = spectral::transform(fft_, buffers.a, buffers.b, real);
      to.set(0, z[0].re);
      for (int64_t k = 1; k <= half_; ++k) rotate(to, k, z[k], twiddles_[k].re, twiddles_[k].im);
      return;
    }
    const auto pair = [&](int64_t i) {
      return Complex<T>{sign_[2 * i] * from[row_[2 * i]], sign_[2 * i + 1] * from[row_[2 * i + 1]]};
    };
    const Complex<T>* z = spectral::transform(fft_, buffers.a, buffers.b, pair);
    const Complex<T> first = z[0];
    for (int64_t k = 1; k <= half_ / 2; ++k) {
      const Twiddles& t = twiddles_[k];
      const Complex<T> x = z[k], y = z[half_ - k];
      const Complex<T> s = {x.re + y.re, x.im - y.im};
      // i w^k (z_k - conj z_(n/2-k))
      const Complex<T> d = times<T>({-x.im - y.im, x.re - y.re}, t.untangle_re, t.untangle_im);
      rotate(to, k, {s.re - d.re, s.im - d.im}, t.re, t.im);
      rotate(to, half_ - k, {s.re + d.re, -s.im - d.im}, t.other_re, t.other_im);
    }
    to.set(0, first.re + first.im);
    to.set(half_, middle_ * (first.re - first.im));
  }

  // Type III
  void inverse(Rows<const T> from, Rows<T> to, Buffers<T> buffers) const {
    if (family_ == Family::kSine) from = from.reversed(n_);
    // The inverse Fourier transform is the forward one with real and imaginary parts exchanged.
    Complex<T>* z = buffers.b;
    if (!even_) {
      z[0] = {Lanes<T>{}, from[0]};
      for (int64_t k = 1; k <= half_; ++k) {
        const Complex<T> v = unrotate(from, k, twiddles_[k].re, twiddles_[k].im);
        z[k] = {v.im, v.re};
        z[n_ - k] = {-v.im, v.re};
      }
      spectral::transform(fft_, buffers.a, buffers.b, FromBuffer<T>{z},
                          [&](int64_t i, Complex<T> v) { to.set(row_[i], sign_[i] * v.im); });
      return;
    }
    const Lanes<T> v0 = T{0.5} * from[0], v1 = (T{0.5} / middle_) * from[half_];
    z[0] = {v0 - v1, v0 + v1};
    for (int64_t k = 1; k <= half_ / 2; ++k) {
      const Twiddles& t = twiddles_[k];
      const Complex<T> v = unrotate(from, k, t.re, t.im), w = unrotate(from, half_ - k, t.other_re, t.other_im);
      const Complex<T> s = {v.re + w.re, v.im - w.im};
      const Complex<T> d = times<T>({-v.im - w.im, v.re - w.re}, t.untangle_re, -t.untangle_im);
      z[half_ - k] = {-s.im + d.im, s.re - d.re};
      z[k] = {s.im + d.im, s.re + d.re};
    }
    spectral::transform(fft_, buffers.a, buffers.b, FromBuffer<T>{z}, [&](int64_t i, Complex<T> v) {
      to.set(row_[2 * i], sign_[2 * i] * v.im);
      to.set(row_[2 * i + 1], sign_[2 * i + 1] * v.re);
    });
  }

 private:
  struct Twiddles {
    T re, im, other_re, other_im, untangle_re, untangle_im;
  };

  void rotate(Rows<T> to, int64_t k, Complex<T> v, T re, T im) const {
    const Complex<T> x = times<T>(v, re, im);
    to.set(k, x.re);
    to.set(n_ - k, -x.im);
  }
  Complex<T> unrotate(Rows<const T> from, int64_t k, T re, T im) const {
    return times<T>({from[k], -from[n_ - k]}, re, -im);
  }

  int64_t n_, half_;
  bool even_;
  Family family_;
  Fft<T> fft_;
  std::vector<int32_t> row_;  // [n] where each value of the permuted sequence stands
  std::vector<T> sign_;       // [n]
  std::vector<Twiddles> twiddles_;
  T middle_;
};

template <class T>
class FourthKind {
 public:
  FourthKind(int64_t n, Family family)
      : n_(n), even_(n % 2 == 0), sign_(family == Family::kSine ? -1 : 1), fft_(even_ ? n / 2 : n) {
    if (even_) {
      for (int64_t k = 0; k < n / 2; ++k) {
        before_.push_back(unit_root<T>(4 * k + 1, 8 * n));
        after_.push_back(unit_root<T>(4 * k, 8 * n));
      }
      return;
    }
    // For odd n the cosines' symmetries give each of the odd numbers 2j + 1 another name that is 1 modulo 8, and there
    // the Chinese remainder theorem makes type IV a real Fourier transform with other signs and another order.
    const int64_t eighth = inverse_of_eight();
    const auto [cosine, sine] = unit_root<double>(n, 8);
    permuted_.resize(n);
    for (int64_t j = 0; j < n; ++j) {
      const int64_t odd = 2 * j + 1, modulus = 8 * n;
      for (const auto& [name, sign] : {std::pair{odd, 1}, {modulus - odd, 1}, {4 * n - odd, -1}, {4 * n + odd, -1}}) {
        if (name % 8 != 1) continue;
        Permuted& in = permuted_[name % n];
        Permuted& out = permuted_[name % n * eighth % n];
        const int alternating = family == Family::kSine && j % 2 == 1 ? -1 : 1;
        in.from = static_cast<int32_t>(j);
        in.sign = static_cast<T>(sign * alternating);
        out.to = static_cast<int32_t>(family == Family::kSine ? n - 1 - j : j);
        out.cosine = static_cast<T>(sign * cosine);
        out.sine = static_cast<T>(-sign * sine);
      }
    }
  }

  int64_t buffer_size() const { return fft_.length; }
  double scale() const { return static_cast<double>(n_) / 2; }

  void operator()(Rows<const T> from, Rows<T> to, Buffers<T> buffers) const {
    if (!even_) {
      const auto load = [&](int64_t i) { return Complex<T>{permuted_[i].sign * from[permuted_[i].from], Lanes<T>{}}; };
      spectral::transform(fft_, buffers.a, buffers.b, load, [&](int64_t k, Complex<T> z) {
        to.set(permuted_[k].to, permuted_[k].cosine * z.re + permuted_[k].sine * z.im);
      });
      return;
    }
    if (sign_ < 0) to = to.reversed(n_);
    const auto load = [&](int64_t i) {
      return times<T>({from[2 * i], sign_ * from[n_ - 1 - 2 * i]}, before_[i].first, before_[i].second);
    };
    spectral::transform(fft_, buffers.a, buffers.b, load, [&](int64_t k, Complex<T> z) {
      const Complex<T> y = times<T>(z, after_[k].first, after_[k].second);
      to.set(2 * k, y.re);
      to.set(n_ - 1 - 2 * k, -y.im);
    });
  }

 private:
  struct Permuted {
    int32_t from, to;
    T sign, cosine, sine;
  };

  int64_t inverse_of_eight() const {
    int64_t v = 1;
    while (8 * v % n_ != 1 % n_) ++v;
    return v;
  }

  int64_t n_;
  bool even_;
  T sign_;
  Fft<T> fft_;
  std::vector<std::pair<T, T>> before_, after_;
  std::vector<Permuted> permuted_;
};

}  // namespace fastsciml::spectral
