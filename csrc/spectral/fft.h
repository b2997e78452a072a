// Complex Fourier transforms Z_k = sum_m z_m exp(-2 pi i m k / n), one sequence per lane.
//
// n = 2^a 3^b 5^c 7^d, other n by a convolution of such a length, at several times the cost. Stockham's algorithm: each
// pass of radix R reads x [R m, s] and writes y [m, R, s] in the order of the next, so no pass shuffles for its own
// sake. What comes before and after (permutations, rotations) is given as the functions that load the first pass's
// input and store the last one's output. A pass moves 2 vectors in and 2 out per complex value, all within L1 or L2: at
// n = 128 two buffers are 32 KiB.  Called by the transforms of real sequences (real_transforms.h).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <optional>
#include <utility>
#include <vector>

#include "spectral/lanes.h"

namespace fastsciml::spectral {

// exp(-2 pi i k / n), k >= 0, by an angle of at most pi / 4: there a double's cosine and sine are right to the last
// digit.
template <class T>
std::pair<T, T> unit_root(int64_t k, int64_t n) {
  const int64_t eighths = k % n * 8;
  const int64_t octant = eighths / n, rest = eighths % n;
  // The octant's own angle, from the axis that is nearer.
  const double angle =
      std::numbers::pi / 4 * static_cast<double>(octant % 2 ? n - rest : rest) / static_cast<double>(n);
  double x = std::cos(angle), y = std::sin(angle);
  if (octant % 4 == 1 || octant % 4 == 2) std::swap(x, y);
  if (octant >= 2 && octant < 6) x = -x;
  if (octant >= 4) y = -y;
  return {static_cast<T>(x), static_cast<T>(-y)};
}

// Whether a transform of so many values splits into the radices below.
constexpr bool is_smooth(int64_t n) {
  for (const int64_t prime : {2, 3, 5, 7}) {
    while (n > 1 && n % prime == 0) n /= prime;
  }
  return n == 1;
}

template <class T>
struct FftPass {
  int64_t radix, m, s;
  std::vector<T> twiddles;  // [m, radix - 1, 2] exp(-2 pi i p k / (radix m))
};

// The passes of a smooth n.
template <class T>
std::vector<FftPass<T>> passes_of(int64_t n) {
  std::vector<FftPass<T>> passes;
  int64_t rest = n;
  const auto add = [&](int64_t radix) {
    const int64_t m = rest / radix;
    FftPass<T> pass{radix, m, n / rest, {}};
    for (int64_t p = 0; p < m; ++p) {
      for (int64_t k = 1; k < radix; ++k) {
        const auto [re, im] = unit_root<T>(p * k, rest);
        pass.twiddles.insert(pass.twiddles.end(), {re, im});
      }
    }
    passes.push_back(std::move(pass));
    rest = m;
  };
  int64_t twos = 0;
  for (int64_t r = n; r % 2 == 0; r /= 2) ++twos;
  // As few passes as possible, by radix 4 rather than 8 and 2.
  while (twos > 0) {
    const int64_t bits = twos == 1 ? 1 : (twos % 3 == 0 || (twos % 2 == 1)) ? 3 : 2;
    add(int64_t{1} << bits);
    twos -= bits;
  }
  for (const int64_t radix : {3, 5, 7}) {
    while (rest % radix == 0) add(radix);
  }
  return passes;
}

// Z_k = c_k sum_m (c_m z_m) conj(c_(k - m)) with c_m = exp(-pi i m^2 / n): a convolution, by transforms of a smooth
// length (Bluestein 1970), for the n that are not smooth themselves.
template <class T>
struct Convolution {
  std::vector<std::pair<T, T>> chirp;     // [n]
  std::vector<std::pair<T, T>> spectrum;  // [length] of conj(c) / length
};

template <class T>
Convolution<T> make_convolution(int64_t n, int64_t length);

template <class T>
struct Fft {
  int64_t n, length;  // length: of the passes
  std::vector<FftPass<T>> passes;
  std::optional<Convolution<T>> convolution;

  explicit Fft(int64_t size) : n(size), length(size) {
    if (!is_smooth(n)) {
      for (length = 2 * n - 1; !is_smooth(length);) ++length;
      convolution = make_convolution<T>(n, length);
    }
    passes = passes_of<T>(length);
  }
};

// Cosines and sines of 2 pi j / R, j = 1 .. (R - 1) / 2.
template <int R>
inline constexpr double kCosines[3] = {};
template <int R>
inline constexpr double kSines[3] = {};
template <>
inline constexpr double kCosines<3>[3] = {-0.5};
template <>
inline constexpr double kSines<3>[3] = {0.86602540378443864676};
template <>
inline constexpr double kCosines<5>[3] = {0.30901699437494742410, -0.80901699437494742410};
template <>
inline constexpr double kSines<5>[3] = {0.95105651629515357212, 0.58778525229247312917};
template <>
inline constexpr double kCosines<7>[3] = {0.62348980185873353053, -0.22252093395631440429, -0.90096886790241912624};
template <>
inline constexpr double kSines<7>[3] = {0.78183148246802980871, 0.97492791218182360702, 0.43388373911755812048};

// a_k <- sum_j a_j exp(-2 pi i j k / R)
template <int R, class T>
inline __attribute__((always_inline)) void butterfly(Complex<T>* a) {
  const auto sum = [](Complex<T> x, Complex<T> y) { return Complex<T>{x.re + y.re, x.im + y.im}; };
  const auto difference = [](Complex<T> x, Complex<T> y) { return Complex<T>{x.re - y.re, x.im - y.im}; };
  if constexpr (R == 2) {
    const Complex<T> x = a[0];
    a[0] = sum(x, a[1]);
    a[1] = difference(x, a[1]);
  } else if constexpr (R == 4) {
    const Complex<T> s = sum(a[0], a[2]), d = difference(a[0], a[2]), t = sum(a[1], a[3]), e = difference(a[1], a[3]);
    a[0] = sum(s, t);
    a[2] = difference(s, t);
    a[1] = {d.re + e.im, d.im - e.re};
    a[3] = {d.re - e.im, d.im + e.re};
  } else if constexpr (R == 8) {
    constexpr T h = static_cast<T>(0.70710678118654752440);
    Complex<T> even[4] = {a[0], a[2], a[4], a[6]}, odd[4] = {a[1], a[3], a[5], a[7]};
    butterfly<4, T>(even);
    butterfly<4, T>(odd);
    odd[1] = {h * (odd[1].re + odd[1].im), h * (odd[1].im - odd[1].re)};
    odd[2] = {odd[2].im, -odd[2].re};
    odd[3] = {h * (odd[3].im - odd[3].re), -h * (odd[3].re + odd[3].im)};
    for (int k = 0; k < 4; ++k) {
      a[k] = sum(even[k], odd[k]);
      a[k + 4] = difference(even[k], odd[k]);
    }
  } else {
    constexpr int H = R / 2;
    Complex<T> s[H], d[H];
    const Complex<T> first = a[0];
    for (int j = 0; j < H; ++j) {
      s[j] = sum(a[j + 1], a[R - 1 - j]);
      d[j] = difference(a[j + 1], a[R - 1 - j]);
      a[0] = sum(a[0], s[j]);
    }
    for (int k = 1; k <= H; ++k) {
      Complex<T> u = first, v = {};
      for (int j = 1; j <= H; ++j) {
        const int jk = j * k % R;
        const T cosine = static_cast<T>(kCosines<R>[(jk <= H ? jk : R - jk) - 1]);
        const T sine = static_cast<T>(jk <= H ? kSines<R>[jk - 1] : -kSines<R>[R - jk - 1]);
        u = {u.re + cosine * s[j - 1].re, u.im + cosine * s[j - 1].im};
        v = {v.re + sine * d[j - 1].re, v.im + sine * d[j - 1].im};
      }
      a[k] = {u.re + v.im, u.im - v.re};
      a[R - k] = {u.re - v.im, u.im + v.re};
    }
  }
}

template <int R, class T, class Load, class Store>
void pass_of_radix(const FftPass<T>& pass, Load load, Store store) {
  const int64_t m = pass.m, s = pass.s;
  Complex<T> a[R];
  if (m == 1) {
    for (int64_t q = 0; q < s; ++q) {
      for (int k = 0; k < R; ++k) a[k] = load(q + s * k);
      butterfly<R, T>(a);
      for (int k = 0; k < R; ++k) store(q + s * k, a[k]);
    }
    return;
  }
  const T* twiddles = pass.twiddles.data();
  for (int64_t p = 0; p < m; ++p, twiddles += 2 * (R - 1)) {
    for (int64_t q = 0; q < s; ++q) {
      for (int k = 0; k < R; ++k) a[k] = load(q + s * (p + k * m));
      butterfly<R, T>(a);
      store(q + s * R * p, a[0]);
      for (int k = 1; k < R; ++k) {
        store(q + s * (R * p + k), times<T>(a[k], twiddles[2 * k - 2], twiddles[2 * k - 1]));
      }
    }
  }
}

template <class T, class Load, class Store>
void run_pass(const FftPass<T>& pass, Load load, Store store) {
  switch (pass.radix) {
    case 2:
      return pass_of_radix<2, T>(pass, load, store);
    case 3:
      return pass_of_radix<3, T>(pass, load, store);
    case 4:
      return pass_of_radix<4, T>(pass, load, store);
    case 5:
      return pass_of_radix<5, T>(pass, load, store);
    case 7:
      return pass_of_radix<7, T>(pass, load, store);
    default:
      return pass_of_radix<8, T>(pass, load, store);
  }
}

template <class T>
struct FromBuffer {
  const Complex<T>* values;
  Complex<T> operator()(int64_t i) const { return values[i]; }
};

template <class T>
struct ToBuffer {
  Complex<T>* values;
  void operator()(int64_t i, Complex<T> z) const { values[i] = z; }
};

// store(k, Z_k) from z_m = load(m), through the passes. `load` may read from `b`, nothing from `a`; `store` may write
// to free_buffer(). Of a single pass nobody needs the speed, and each pair of functions costs seconds of compilation.
template <class T, class Load, class Store>
void run_passes(const std::vector<FftPass<T>>& passes, Complex<T>* a, Complex<T>* b, Load load, Store store) {
  const size_t count = passes.size();
  if (count == 0) return store(0, load(0));
  run_pass(passes[0], load, ToBuffer<T>{a});
  if (count == 1) {
    const int64_t n = passes[0].radix;
    for (int64_t k = 0; k < n; ++k) store(k, a[k]);
    return;
  }
  for (size_t i = 1; i + 1 < count; ++i, std::swap(a, b)) run_pass(passes[i], FromBuffer<T>{a}, ToBuffer<T>{b});
  run_pass(passes[count - 1], FromBuffer<T>{a}, store);
}

// Where the last pass does not read.
template <class T>
Complex<T>* free_buffer(const std::vector<FftPass<T>>& passes, Complex<T>* a, Complex<T>* b) {
  return passes.size() % 2 == 1 || passes.empty() ? a : b;
}

template <class T, class Load, class Store>
void convolve(const Fft<T>& fft, Complex<T>* a, Complex<T>* b, Load load, Store store) {
  const auto& [chirp, spectrum] = *fft.convolution;
  // Products go from buffer to buffer, though the passes' loads and stores could have them: compiled once, not for each
  // pair of functions.
  for (int64_t m = 0; m < fft.n; ++m) b[m] = times<T>(load(m), chirp[m].first, chirp[m].second);
  std::fill(b + fft.n, b + fft.length, Complex<T>{});
  Complex<T>* z = free_buffer(fft.passes, a, b);
  run_passes(fft.passes, a, b, FromBuffer<T>{b}, ToBuffer<T>{z});
  Complex<T>* other = z == a ? b : a;
  // The inverse transform is the forward one with real and imaginary parts exchanged.
  for (int64_t k = 0; k < fft.length; ++k) {
    const Complex<T> y = times<T>(z[k], spectrum[k].first, spectrum[k].second);
    z[k] = {y.im, y.re};
  }
  Complex<T>* y = free_buffer(fft.passes, other, z);
  run_passes(fft.passes, other, z, FromBuffer<T>{z}, ToBuffer<T>{y});
  for (int64_t k = 0; k < fft.n; ++k) store(k, times<T>({y[k].im, y[k].re}, chirp[k].first, chirp[k].second));
}

// store(k, Z_k) from z_m = load(m). `load` may read from `b`, `store` write to neither; both buffers have fft.length.
template <class T, class Load, class Store>
void transform(const Fft<T>& fft, Complex<T>* a, Complex<T>* b, Load load, Store store) {
  if (fft.convolution) return convolve(fft, a, b, load, store);
  run_passes(fft.passes, a, b, load, store);
}

// The same into the buffer that it returns.
template <class T, class Load>
Complex<T>* transform(const Fft<T>& fft, Complex<T>* a, Complex<T>* b, Load load) {
  Complex<T>* z = fft.convolution ? b : free_buffer(fft.passes, a, b);
  transform(fft, a, b, load, ToBuffer<T>{z});
  return z;
}

template <class T>
Convolution<T> make_convolution(int64_t n, int64_t length) {
  const auto root = [&](int64_t m) { return unit_root<double>(m * m % (2 * n), 2 * n); };
  const std::vector<FftPass<double>> passes = passes_of<double>(length);
  std::vector<Complex<double>> a(length), b(length);
  const auto reflected = [&](int64_t m) {
    const auto [re, im] = m < n ? root(m) : m > length - n ? root(length - m) : std::pair{0.0, 0.0};
    return Complex<double>{Lanes<double>{} + re, Lanes<double>{} - im};
  };
  Complex<double>* z = free_buffer(passes, a.data(), b.data());
  run_passes(passes, a.data(), b.data(), reflected, ToBuffer<double>{z});
  Convolution<T> made;
  for (int64_t m = 0; m < n; ++m) made.chirp.emplace_back(root(m).first, root(m).second);
  for (int64_t k = 0; k < length; ++k) {
    made.spectrum.emplace_back(z[k].re[0] / static_cast<double>(length), z[k].im[0] / static_cast<double>(length));
  }
  return made;
}

}  // namespace fastsciml::spectral
