// Numbers as tensors store them and as the kernels compute with them: float16 and bfloat16 are float in registers.
// Plain integer arithmetic, so that a loop around it is vectorised on every instruction set.
#pragma once

#include <bit>
#include <cstdint>

namespace fastsciml::core {

struct Float16 {
  uint16_t bits;
};

struct BFloat16 {
  uint16_t bits;
};

template <class Stored>
struct ComputedAs {
  using type = float;
};
template <>
struct ComputedAs<double> {
  using type = double;
};
template <class Stored>
using Compute = typename ComputedAs<Stored>::type;

inline float load(float value) { return value; }
inline double load(double value) { return value; }
inline float load(BFloat16 value) { return std::bit_cast<float>(uint32_t{value.bits} << 16); }

// The bits of a float16, moved to a float's places, are 2^-112 times its value; infinity and NaN need float's exponent.
inline float load(Float16 value) {
  const uint32_t moved = (value.bits & 0x7fffu) << 13;
  const uint32_t finite = std::bit_cast<uint32_t>(std::bit_cast<float>(moved) * 0x1p112f);
  const uint32_t magnitude = moved >= (0x7c00u << 13) ? (moved | 0x7f800000u) : finite;
  return std::bit_cast<float>(magnitude | (value.bits & 0x8000u) << 16);
}

inline void store(float& to, float value) { to = value; }
inline void store(double& to, double value) { to = value; }

// To nearest, ties to even.
inline void store(BFloat16& to, float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  to.bits = static_cast<uint16_t>(nan ? (bits >> 16 | 0x40u) : rounded);
}

// Adding and subtracting 2^13 times the value's power of two (2^-14 at least, where subnormals begin) leaves the 11
// bits of a float16, rounded to nearest, ties to even; 2^16 then has the bits of infinity.
inline void store(Float16& to, float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t within = magnitude < 0x47800000u ? magnitude : 0x47800000u;
  const uint32_t power = within & 0x7f800000u;
  const float shift = std::bit_cast<float>((power > (113u << 23) ? power : 113u << 23) + (13u << 23));
  const float rounded = (std::bit_cast<float>(within) + shift) - shift;
  const uint32_t half = std::bit_cast<uint32_t>(rounded * 0x1p-112f) >> 13;
  const uint32_t unsigned_half = magnitude > 0x7f800000u ? 0x7e00u : half;
  to.bits = static_cast<uint16_t>(unsigned_half | (bits >> 16 & 0x8000u));
}

}  // namespace fastsciml::core
