// Vectors of numbers as tensors store them (core/storage.h), and as the kernels compute with them. Plain integer
// arithmetic, the same on every instruction set.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#if defined(__AVX512BW__) && defined(__AVX512VL__)
#include <immintrin.h>
#endif

#include "core/storage.h"
#include "evonorm/vector.h"

namespace fastsciml::evonorm {

using core::BFloat16;
using core::Compute;
using core::Float16;

using Words = Vector<uint32_t>;
using Halves = typename core::LanesOf<uint16_t, kVectorBytes / 2>::type;  // as many as Words

template <class V>
[[gnu::always_inline]] inline V read(const void* from) {
  V vector;
  std::memcpy(&vector, from, sizeof(V));
  return vector;
}

// The first bytes, fewer than a vector has; the others are 0. A copy by way of memory takes some ten times as long.
template <class V>
[[gnu::always_inline]] inline V read_part(const void* from, int64_t bytes) {
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  if constexpr (sizeof(V) == 64) return std::bit_cast<V>(_mm512_maskz_loadu_epi8(~uint64_t{0} >> (64 - bytes), from));
  if constexpr (sizeof(V) == 32) return std::bit_cast<V>(_mm256_maskz_loadu_epi8(~uint32_t{0} >> (32 - bytes), from));
#else
  V vector = {};
  std::memcpy(&vector, from, static_cast<size_t>(bytes));
  return vector;
#endif
}

template <class V>
[[gnu::always_inline]] inline void write_part(void* to, V vector, int64_t bytes) {
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  if constexpr (sizeof(V) == 64)
    _mm512_mask_storeu_epi8(to, ~uint64_t{0} >> (64 - bytes), std::bit_cast<__m512i>(vector));
  if constexpr (sizeof(V) == 32)
    _mm256_mask_storeu_epi8(to, ~uint32_t{0} >> (32 - bytes), std::bit_cast<__m256i>(vector));
#else
  std::memcpy(to, &vector, static_cast<size_t>(bytes));
#endif
}

// What stands in memory, as numbers, and back.
template <class Stored>
struct Coded {
  using Raw = Vector<Stored>;
  [[gnu::always_inline]] static Raw decode(Raw raw) { return raw; }
  [[gnu::always_inline]] static Raw encode(Raw value) { return value; }
};

template <>
struct Coded<BFloat16> {
  using Raw = Halves;
  [[gnu::always_inline]] static Vector<float> decode(Raw raw) {
    return std::bit_cast<Vector<float>>(__builtin_convertvector(raw, Words) << 16);
  }
  // To nearest, ties to even.
  [[gnu::always_inline]] static Raw encode(Vector<float> value) {
    const Words bits = std::bit_cast<Words>(value);
    const Words rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    return __builtin_convertvector((bits & 0x7fffffffu) > 0x7f800000u ? (bits >> 16 | 0x40u) : rounded, Halves);
  }
};

template <>
struct Coded<Float16> {
  using Raw = Halves;
  // The bits of a float16, moved to a float's places, are 2^-112 times its value; infinity and NaN need float's
  // exponent.
  [[gnu::always_inline]] static Vector<float> decode(Raw raw) {
    const Words half = __builtin_convertvector(raw, Words);
    const Words moved = (half & 0x7fffu) << 13;
    const Words finite = std::bit_cast<Words>(std::bit_cast<Vector<float>>(moved) * 0x1p112f);
    const Words magnitude = moved >= (0x7c00u << 13) ? (moved | 0x7f800000u) : finite;
    return std::bit_cast<Vector<float>>(magnitude | (half & 0x8000u) << 16);
  }
  // Adding and subtracting 2^13 times the value's power of two (2^-14 at least, where subnormals begin) leaves the 11
  // bits of a float16, rounded to nearest, ties to even; 2^16 then has the bits of infinity.
  [[gnu::always_inline]] static Raw encode(Vector<float> value) {
    const Words bits = std::bit_cast<Words>(value);
    const Words magnitude = bits & 0x7fffffffu;
    const Words within = magnitude < 0x47800000u ? magnitude : broadcast<Words>(0x47800000u);
    const Words power = within & 0x7f800000u;
    const Words least = broadcast<Words>(113u << 23);
    const auto shift = std::bit_cast<Vector<float>>((power > least ? power : least) + (13u << 23));
    const Vector<float> rounded = (std::bit_cast<Vector<float>>(within) + shift) - shift;
    const Words half = std::bit_cast<Words>(rounded * 0x1p-112f) >> 13;
    const Words magnitude16 = magnitude > 0x7f800000u ? broadcast<Words>(0x7e00u) : half;
    return __builtin_convertvector(magnitude16 | (bits >> 16 & 0x8000u), Halves);
  }
};

// How a vector's worth of elements is read and written, and which of its lanes count: all of them,
struct Whole {
  template <class Stored>
  [[gnu::always_inline]] auto load(const Stored* from) const {
    return Coded<Stored>::decode(read<typename Coded<Stored>::Raw>(from));
  }
  template <class Stored, class V>
  [[gnu::always_inline]] void store(Stored* to, V value) const {
    const auto raw = Coded<Stored>::encode(value);
    std::memcpy(to, &raw, sizeof raw);
  }
  // 0 in the lanes that do not count.
  template <class V>
  [[gnu::always_inline]] V valid(V value) const {
    return value;
  }
};

struct Run : Whole {};  // of vectors, an Overlap at its end

// all but the first `had`, which another vector had before,
struct Overlap : Whole {
  int64_t had;

  explicit Overlap(int64_t lanes) : had(lanes) {}
  template <class V>
  [[gnu::always_inline]] V valid(V value) const {
    const auto lane = lane_numbers<V>();
    return lane >= static_cast<Lane<decltype(lane)>>(had) ? value : V{};
  }
};

// or only the first `count`, with nothing else to be touched.
struct Part {
  explicit Part(int64_t lanes) : count(lanes) {}

  template <class Stored>
  [[gnu::always_inline]] auto load(const Stored* from) const {
    return Coded<Stored>::decode(read_part<typename Coded<Stored>::Raw>(from, bytes<Stored>()));
  }
  template <class Stored, class V>
  [[gnu::always_inline]] void store(Stored* to, V value) const {
    write_part(to, Coded<Stored>::encode(value), bytes<Stored>());
  }
  template <class V>
  [[gnu::always_inline]] V valid(V value) const {
    const auto lane = lane_numbers<V>();
    return lane < static_cast<Lane<decltype(lane)>>(count) ? value : V{};
  }

 private:
  template <class Stored>
  int64_t bytes() const {
    return count * static_cast<int64_t>(sizeof(Stored));
  }

  int64_t count;
};

}  // namespace fastsciml::evonorm
