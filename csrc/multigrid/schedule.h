// How often a cycle sweeps over a level, and how strongly each sweep over-relaxes.
//
// The factors were found by a random search for the smallest residuals that five cycles leave of one white noise, in a
// mean over Dirichlet boxes of cells and of vertices, mixed and Neumann boundaries, a ball and odd extents, at 32^3. At
// 64^3 they leave
//                      cells    vertices 63^3   mixed, ball   Neumann   2D 256^2
//   these factors      4.6e-11  5.5e-11         6.9e-11       5.7e-11   7.6e-10
//   1 throughout       2.2e-10  3.8e-10         3.8e-10       2.0e-10   2.2e-09
// The first coarse sweeps over-relax by more than 2, which no sweep repeated could bear: the later ones make up for it.
// A third sweep on the coarse levels costs a fourteenth of a cycle.
//
// Where faces conduct differently, prolongation is piecewise constant and milder factors do better: of a box in layers
// of 1 and 1000, these take 31 iterations, the others 68. They were found likewise, for cells between Dirichlet faces
// alone.
#pragma once

#include <cstdint>

#include "core/memory.h"

namespace fastsciml::multigrid {

// On the finest level one less.
inline constexpr int64_t kMostSweeps = 16;

struct Schedule {
  int64_t sweeps;
  float before[kMostSweeps], after[kMostSweeps];  // per sweep, the relaxation as a multiple of the level's
  float correction;                               // what the coarse correction is multiplied by
};

// The sweeps on a level, of which `sweeps` are wanted on the finest.
FASTSCIML_HOST_DEVICE inline int64_t sweeps_on(bool finest, int64_t sweeps) { return finest ? sweeps : sweeps + 1; }

// `conducts`: with a coefficient. A symmetric cycle's sweeps must mirror each other; other numbers of sweeps were not
// tuned.
FASTSCIML_HOST_DEVICE inline Schedule schedule_on(bool finest, int64_t sweeps, bool symmetric, bool conducts) {
  if (sweeps == 2 && !symmetric && conducts) {
    if (finest) return {.sweeps = 2, .before = {1.065f, 0.992f}, .after = {0.966f, 0.833f}, .correction = 1.035f};
    return {.sweeps = 3, .before = {1.137f, 0.89f, 0.89f}, .after = {0.951f, 0.951f, 0.806f}, .correction = 1.0f};
  }
  if (sweeps == 2 && !symmetric) {
    if (finest) return {.sweeps = 2, .before = {1.178f, 0.984f}, .after = {0.945f, 0.891f}, .correction = 1.017f};
    return {.sweeps = 3, .before = {1.61f, 1.305f, 0.83f}, .after = {0.9f, 0.787f, 0.748f}, .correction = 1.0f};
  }
  Schedule plain{.sweeps = sweeps_on(finest, sweeps), .before = {}, .after = {}, .correction = 1.0f};
  for (int64_t s = 0; s < plain.sweeps; ++s) plain.before[s] = plain.after[s] = 1.0f;
  return plain;
}

}  // namespace fastsciml::multigrid
