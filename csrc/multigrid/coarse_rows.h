// Residuals on their way to the coarse level.
#pragma once

#include "multigrid/rows.h"
#include "multigrid/wavefront.h"

namespace fastsciml::multigrid {

// Sums of residual rows that make up the coarse planes of a tile, two at a time: while one gets its last residuals, the
// next one gets its first.
class CoarseRows {
 public:
  static int64_t scratch_floats(const Level& level, int64_t rows) { return (2 * rows + 2) * level.stride(); }

  CoarseRows(float* scratch, const Level& level, const Level& coarse, const Tile& tile)
      : natural_(scratch),
        storage_(scratch + 2 * level.stride()),
        level_(level),
        coarse_(coarse),
        tile_(tile),
        first_(level.y.parent[tile.y.begin]),
        last_(level.y.parent[tile.y.end - 1]) {}

  bool has(const Planes& planes, int64_t j) const { return tile_.x.contains(planes.i) && tile_.y.contains(j); }
  // Row j's share of a plane's sums, two halves without padding.
  float* row(const Planes& planes, int64_t j) const {
    return plane(planes.i) + (level_.y.parent[j] - first_) * level_.stride();
  }
  void open(int64_t i) const {
    if (tile_.x.contains(i) && level_.x.opens(i)) std::fill_n(plane(i), plane_floats(), 0.0f);
  }
  void close(int64_t i, float* f_coarse) const {
    if (!tile_.x.contains(i) || !level_.x.closes(i)) return;
    for (int64_t j = first_; j <= last_; ++j) {
      restrict_row(level_, f_coarse + coarse_.row(level_.x.parent[i], j), plane(i) + (j - first_) * level_.stride(),
                   natural_);
    }
  }

 private:
  int64_t plane_floats() const { return (last_ - first_ + 1) * level_.stride(); }
  float* plane(int64_t i) const { return storage_ + (level_.x.parent[i] & 1) * plane_floats(); }

  float* natural_;
  float* storage_;
  const Level& level_;
  const Level& coarse_;
  const Tile& tile_;
  int64_t first_, last_;
};

}  // namespace fastsciml::multigrid
