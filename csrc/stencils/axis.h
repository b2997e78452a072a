// Which points of a grid's axis a stencil joins (operators.h), and what stands for a point beyond the grid.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace fastsciml::stencils {

enum class Kind : int64_t { kSame, kRestrict, kProlong, kPoint };
enum class Boundary : int64_t { kDirichlet, kNeumann, kPeriodic };
enum class Activation : int64_t { kNone, kGelu, kRelu };

inline constexpr int64_t kNowhere = -1;

// The point that stands for point i of n, where i is -1 to n; a single one has no mirror.
constexpr int64_t point_for(int64_t i, int64_t n, Boundary boundary) {
  if (i >= 0 && i < n) return i;
  if (boundary == Boundary::kDirichlet || (boundary == Boundary::kNeumann && n == 1)) return kNowhere;
  if (boundary == Boundary::kPeriodic) return i < 0 ? n - 1 : 0;
  return i < 0 ? 1 : n - 2;
}

struct Taps {
  int64_t count, stride, before;
};

constexpr Taps taps_of(Kind kind) {
  switch (kind) {
    case Kind::kSame:
      return {3, 1, 1};
    case Kind::kRestrict:
      return {3, 2, 1};
    case Kind::kProlong:
      return {4, 2, 1};
    default:
      return {1, 1, 0};
  }
}

constexpr int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

// A sum along one axis, out_i = sum of w_k source_j over the (k, j) that belong to i. What stands beyond the grid
// belongs to x: to the source of a stencil, and to the out of its transpose, which folds it back.
struct Axis {
  Taps taps;
  bool to_coarse;  // i is the coarse point of a tap, j the fine one; or the other way round
  bool folds;      // of a transpose
  Boundary boundary;
  int64_t source, out;  // extents

  struct Tap {
    int64_t k, j;
  };

  // Of out point i, which may be one beyond the grid; j anywhere.
  std::vector<Tap> taps_at(int64_t i) const {
    std::vector<Tap> at;
    for (int64_t k = 0; k < taps.count; ++k) {
      if (to_coarse) {
        at.push_back({k, taps.stride * i + k - taps.before});
      } else if (const int64_t j = floor_div(i + taps.before - k, taps.stride);
                 taps.stride * j == i + taps.before - k) {
        at.push_back({k, j});
      }
    }
    return at;
  }

  // The source's point for j, kNowhere for a zero.
  int64_t stored(int64_t j) const {
    if (folds || j < -1 || j > source) return j >= 0 && j < source ? j : kNowhere;
    return point_for(j, source, boundary);
  }

  // Out points beyond the grid whose sums belong to i, and i itself.
  std::vector<int64_t> images(int64_t i) const {
    std::vector<int64_t> all{i};
    for (const int64_t beyond : {int64_t{-1}, out})
      if (reach() && point_for(beyond, out, boundary) == i) all.push_back(beyond);
    return all;
  }

  // How many points beyond each end of out are to be summed.
  int64_t reach() const { return folds && boundary != Boundary::kDirichlet && taps.count > 1 ? 1 : 0; }

  // The taps at i whose source is stored, with those of i's images.
  std::vector<Tap> stored_taps(int64_t i) const {
    std::vector<Tap> at;
    for (const int64_t image : images(i))
      for (const auto& [k, j] : taps_at(image))
        if (const int64_t from = stored(j); from != kNowhere) at.push_back({k, from});
    return at;
  }
};

using Axes = std::array<Axis, 3>;  // z, y, x; those that a grid lacks have one point and one tap

}  // namespace fastsciml::stencils
