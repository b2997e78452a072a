// How strongly a half-sweep over-relaxes.
#pragma once

#include <cmath>

#include "multigrid/level.h"

namespace fastsciml::multigrid {

// Over-relaxation of a half-sweep as a multiple of the level's, and the share of v that it keeps.
struct Relaxation {
  float factor, keep;
};

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
  constexpr float kCut = 4096.0f;
  int exponent = 0;
  const float fraction = frexpf(factor * inverse, &exponent);
  const float step = ldexpf(roundf(kCut * fraction) / kCut, exponent);
  // The kernels multiply `inverse` by the factor, and that product is to be `step`.
  float exact = step / inverse;
  const float below = nextafterf(exact, 0.0f), above = nextafterf(exact, 4.0f);
  if (exact * inverse != step && below * inverse == step) exact = below;
  if (exact * inverse != step && above * inverse == step) exact = above;
  return {.factor = exact, .keep = 1.0f - step * level.diagonal[at]};
}

}  // namespace fastsciml::multigrid
