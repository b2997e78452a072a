// A vector register's worth of neighbouring values, in the compiler's vector type.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

namespace fastsciml::core {

#if defined(__AVX512F__)
inline constexpr int64_t kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr int64_t kVectorBytes = 32;
#else
inline constexpr int64_t kVectorBytes = 16;
#endif

template <class T, int64_t kBytes = kVectorBytes>
struct LanesOf {
  typedef T type __attribute__((vector_size(kBytes)));
};
template <class T>
using Lanes = typename LanesOf<T>::type;

template <class T>
inline constexpr int64_t kLanes = kVectorBytes / static_cast<int64_t>(sizeof(T));

template <class T>
inline Lanes<T> load(const T* from) {
  Lanes<T> lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

template <class T>
inline void store(T* to, Lanes<T> lanes) {
  std::memcpy(to, &lanes, sizeof lanes);
}

template <class T>
constexpr int64_t round_up_to_lanes(int64_t n) {
  return (n + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

// By halves, not in order.
template <class T, int64_t kBytes = kVectorBytes>
[[gnu::always_inline]] inline T sum_of_lanes(typename LanesOf<T, kBytes>::type vector) {
  constexpr int half = kBytes / 2 / static_cast<int>(sizeof(T));
  if constexpr (half == 1) {
    return vector[0] + vector[1];
  } else {
    return [&]<int... kLane>(std::integer_sequence<int, kLane...>) __attribute__((always_inline)) {
      return sum_of_lanes<T, kBytes / 2>(__builtin_shufflevector(vector, vector, kLane...) +
                                         __builtin_shufflevector(vector, vector, (half + kLane)...));
    }(std::make_integer_sequence<int, half>());
  }
}

// The sums of the lanes of so many vectors as a vector has lanes, vector i's in lane i: each step adds neighbouring
// blocks of lanes in two vectors to one vector, so that all sums take hardly more than one of sum_of_lanes.
template <class T, int kBlock = 1, size_t kCount>
[[gnu::always_inline]] inline Lanes<T> sums_of_lanes(const std::array<Lanes<T>, kCount>& vectors) {
  constexpr int W = static_cast<int>(kLanes<T>);
  if constexpr (kCount == 1) {
    return vectors[0];
  } else {
    std::array<Lanes<T>, kCount / 2> halves;
    [&]<int... k>(std::integer_sequence<int, k...>) __attribute__((always_inline)) {
      // Lane k is of block k / kBlock: even blocks are the first vector's, odd ones the second's.
      for (size_t i = 0; i < kCount / 2; ++i) {
        const Lanes<T> a = vectors[2 * i], b = vectors[2 * i + 1];
        halves[i] =
            __builtin_shufflevector(a, b, (k / kBlock % 2 * W + k / (2 * kBlock) * 2 * kBlock + k % kBlock)...) +
            __builtin_shufflevector(a, b,
                                    (k / kBlock % 2 * W + k / (2 * kBlock) * 2 * kBlock + kBlock + k % kBlock)...);
      }
    }(std::make_integer_sequence<int, W>());
    return sums_of_lanes<T, 2 * kBlock>(halves);
  }
}

// A vector of each of x and y to two: x_0, y_0, x_1, y_1, ...
template <class T>
[[gnu::always_inline]] inline void interleave(const T* x, const T* y, T* to) {
  constexpr int W = static_cast<int>(kLanes<T>);
  const Lanes<T> a = load(x), b = load(y);
  [&]<int... k>(std::integer_sequence<int, k...>) __attribute__((always_inline)) {
    store(to, __builtin_shufflevector(a, b, (k / 2 + k % 2 * W)...));
    store(to + W, __builtin_shufflevector(a, b, (W / 2 + k / 2 + k % 2 * W)...));
  }(std::make_integer_sequence<int, W>());
}

// The square of W rows of W values at from + i from_stride, transposed, to `to` + i to_stride.
template <class T>
inline void transpose(const T* from, int64_t from_stride, T* to, int64_t to_stride) {
  constexpr int64_t W = kLanes<T>;
  Lanes<T> a[W], b[W];
  for (int64_t i = 0; i < W; ++i) a[i] = load(from + i * from_stride);
  // log2(W) perfect shuffles of the W^2 values turn their index' halves around.
  for (int64_t step = 1; step < W; step *= 2) {
    for (int64_t i = 0; i < W / 2; ++i) {
      const Lanes<T> x = a[i], y = a[i + W / 2];
      if constexpr (W == 2) {
        b[2 * i] = __builtin_shufflevector(x, y, 0, 2);
        b[2 * i + 1] = __builtin_shufflevector(x, y, 1, 3);
      } else if constexpr (W == 4) {
        b[2 * i] = __builtin_shufflevector(x, y, 0, 4, 1, 5);
        b[2 * i + 1] = __builtin_shufflevector(x, y, 2, 6, 3, 7);
      } else if constexpr (W == 8) {
        b[2 * i] = __builtin_shufflevector(x, y, 0, 8, 1, 9, 2, 10, 3, 11);
        b[2 * i + 1] = __builtin_shufflevector(x, y, 4, 12, 5, 13, 6, 14, 7, 15);
      } else {
        b[2 * i] = __builtin_shufflevector(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        b[2 * i + 1] = __builtin_shufflevector(x, y, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      }
    }
    for (int64_t i = 0; i < W; ++i) a[i] = b[i];
  }
  for (int64_t i = 0; i < W; ++i) store(to + i * to_stride, a[i]);
}

}  // namespace fastsciml::core
