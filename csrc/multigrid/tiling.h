// How the passes cut a level into tiles, and run over them.
#pragma once

#include <algorithm>

#include "core/parallel.h"
#include "multigrid/wavefront.h"

namespace fastsciml::multigrid {

// Cuts lie between coarse cells, so that a coarse cell belongs to one tile.
class Tiling {
 public:
  // ring_floats(rows) tells the size of the ring, and of what else the stages read of its planes, for tiles of so many
  // rows; tiles get fewer rows until it fits.
  template <class RingFloats>
  Tiling(const Level& level, int64_t threads, int64_t halo, RingFloats ring_floats) : level_(level) {
    const int64_t useful = most_chunks(level, threads);
    const int64_t nx = level.x.coarse_extent, ny = level.y.coarse_extent;
    y_tiles_ = 1;
    while (y_tiles_ < ny && ring_floats(rows_per_tile()) > kRingFloats && rows_per_tile() > 3 * halo) ++y_tiles_;
    x_tiles_ = std::clamp<int64_t>(nx / 2, 1, useful);
    while (x_tiles_ * y_tiles_ < useful && y_tiles_ < ny / 2) ++y_tiles_;
    chunks_ = std::min(useful, x_tiles_ * y_tiles_);
  }

  static int64_t most_chunks(const Level& level, int64_t threads) {
    return std::clamp<int64_t>(level.cells() / core::kCellsPerThread, 1, threads);
  }
  int64_t rows_per_tile() const { return unit(level_.y) * ((level_.y.coarse_extent + y_tiles_ - 1) / y_tiles_); }

  // body(chunk, tile) for every tile; a chunk, run by one thread, takes tiles that follow each other.
  template <class Body>
  void for_each_tile(Body body) const {
    const int64_t tiles = x_tiles_ * y_tiles_;
    core::parallel_for(chunks_, [&](int64_t chunk) {
      for (int64_t t = tiles * chunk / chunks_; t < tiles * (chunk + 1) / chunks_; ++t) body(chunk, tile(t));
    });
  }

 private:
  // 512 KiB: half the L2 cache of current processors.
  static constexpr int64_t kRingFloats = 1 << 17;

  // The most cells a coarse one is made of.
  static int64_t unit(const Axis& axis) { return axis.coarsened() ? 2 : 1; }
  static Range cut(const Axis& axis, int64_t part, int64_t parts) {
    const int64_t n = axis.coarse_extent;
    return {axis.first[n * part / parts], axis.first[n * (part + 1) / parts]};
  }
  Tile tile(int64_t t) const { return {cut(level_.x, t / y_tiles_, x_tiles_), cut(level_.y, t % y_tiles_, y_tiles_)}; }

  const Level& level_;
  int64_t x_tiles_, y_tiles_, chunks_;
};

}  // namespace fastsciml::multigrid
