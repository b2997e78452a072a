// Fused passes over a level, as wavefronts: while plane `front` is loaded, plane front - 1 gets the first stage of
// work, plane front - 2 the second, and so on, all in one small ring of planes that stays in the L2 cache. Memory is
// read and written once, however many stages there are.
//
// Threads own tiles (ranges of x and y) and share nothing: a tile recomputes a halo of its neighbours' planes and
// rows, as wide as the stages still to come reach. So results do not depend on the tiles or on the number of threads,
// bit for bit.
#pragma once

#include <algorithm>
#include <cstdint>

#include "multigrid/level.h"

namespace fastsciml::multigrid {

struct Range {
  int64_t begin, end;

  int64_t size() const { return end - begin; }
  bool contains(int64_t i) const { return begin <= i && i < end; }

  // The range with `reach` more cells at both ends, which past a non-periodic end of the axis do not exist.
  Range grown(int64_t reach, const Axis& axis) const {
    if (axis.periodic) return {begin - reach, end + reach};
    return {std::max<int64_t>(0, begin - reach), std::min(axis.extent, end + reach)};
  }
};

struct Tile {
  Range x, y;
};

// A ring of planes of padded rows, addressed by (plane, row) of the level, halo included. What is never written stays
// 0: ghost cells and the rows and planes past a non-periodic end.
class PlaneRing {
 public:
  PlaneRing(float* storage, const Tile& tile, int64_t halo, int64_t depth, const Level& level)
      : storage_(storage),
        depth_(depth),
        first_plane_(tile.x.begin - halo - 1),
        first_row_(tile.y.begin - halo - 1),
        row_stride_(PaddedRow::stride(level)),
        plane_stride_(row_stride_ * (tile.y.size() + 2 * halo + 2)) {
    std::fill_n(storage_, depth_ * plane_stride_, 0.0f);
  }

  static int64_t floats(int64_t rows, int64_t halo, int64_t depth, const Level& level) {
    return depth * PaddedRow::stride(level) * (rows + 2 * halo + 2);
  }

  // Plane i; row j of it is at j * row_stride().
  float* plane(int64_t i) const {
    return storage_ + (i - first_plane_) % depth_ * plane_stride_ - first_row_ * row_stride_;
  }
  int64_t row_stride() const { return row_stride_; }
  void clear_plane(int64_t i) const { std::fill_n(plane(i) + first_row_ * row_stride_, plane_stride_, 0.0f); }

 private:
  float* storage_;
  int64_t depth_, first_plane_, first_row_, row_stride_, plane_stride_;
};

// Runs stage s on plane front - s, for s = 0 .. stages - 1; `reach(s)` is how far past the tile stage s must go for
// the later ones. work(s, i, rows) does plane i, which may lie past a periodic end; beyond(i) is told of planes
// outside the domain.
template <class Reach, class Work, class Beyond>
void wavefront(const Level& level, const Tile& tile, int64_t stages, Reach reach, Work work, Beyond beyond) {
  for (int64_t front = tile.x.begin - reach(0); front < tile.x.end + stages; ++front) {
    if (!level.x.periodic && front == level.x.extent) beyond(front);
    for (int64_t s = 0; s < stages; ++s) {
      if (tile.x.grown(reach(s), level.x).contains(front - s)) work(s, front - s, tile.y.grown(reach(s), level.y));
    }
  }
}

}  // namespace fastsciml::multigrid
