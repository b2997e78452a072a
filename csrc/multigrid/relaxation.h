// How strongly a half-sweep over-relaxes.
#pragma once

#include <cstdint>
#include <cstring>

#include "multigrid/level.h"

namespace fastsciml::multigrid {

// Over-relaxation of a half-sweep as a multiple of the level's, and the share of v that it keeps.
struct Relaxation {
  float factor, keep;
};

// On the bits of positive numbers: a thread of a device does this for every sweep, and frexpf with its like took most
// of the sweep's instructions.
FASTSCIML_HOST_DEVICE inline uint32_t bits_of(float number) {
  uint32_t bits = 0;
  memcpy(&bits, &number, sizeof(bits));
  return bits;
}
FASTSCIML_HOST_DEVICE inline float number_of(uint32_t bits) {
  float number = 0.0f;
  memcpy(&number, &bits, sizeof(bits));
  return number;
}
// Rounded to the nearest, away from zero between two.
FASTSCIML_HOST_DEVICE inline float cut_to_12_bits(float number) {
  return number_of((bits_of(number) + 0x800u) & ~uint32_t{0xfff});
}
// The next number below (-1) or above (1).
FASTSCIML_HOST_DEVICE inline float neighbouring(float number, int step) {
  return number_of(bits_of(number) + static_cast<uint32_t>(step));
}

// The relaxation of a sweep. A sweep that starts from the solution should leave it, which takes keep + w = 1 for
// w = factor relaxation, but relaxation / d is rounded, and what all cells miss by the same epsilon adds up to a smooth
// error. So where d is that of the cell in the middle, as in most cells of a box, w is chosen to be exact: w / d is
// cut to 12 bits, which changes w by less than a thousandth. Measured at 256^3: of a residual that three cycles have
// left, three more leave 3.5e-5 instead of 1.4e-4.
FASTSCIML_HOST_DEVICE inline Relaxation relaxation_by(const Level& level, float factor) {
  const int64_t at = level.diagonal_row(level.x.extent / 2, level.y.extent / 2) + level.z.extent / 4;
  const float inverse = level.inverse_diagonal[at];
  const Relaxation plain{.factor = factor, .keep = 1.0f - factor * level.relaxation[0]};
  if (!(inverse > 0.0f)) return plain;
  const float step = cut_to_12_bits(factor * inverse);
  // The kernels multiply `inverse` by the factor, and that product is to be `step`.
  float exact = step / inverse;
  const float below = neighbouring(exact, -1), above = neighbouring(exact, 1);
  if (exact * inverse != step && below * inverse == step) exact = below;
  if (exact * inverse != step && above * inverse == step) exact = above;
  return {.factor = exact, .keep = 1.0f - step * level.diagonal[at]};
}

}  // namespace fastsciml::multigrid
