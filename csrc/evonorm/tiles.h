// Passes over all tiles of a tensor, and what they leave behind for each chunk of a sample.
#pragma once

#include <memory>
#include <vector>

#include "core/parallel.h"
#include "evonorm/moments.h"

namespace fastsciml::evonorm {

// `kinds` sums for every channel of every chunk of every sample.
class Partials {
 public:
  Partials(const Layout& layout, int64_t kinds)
      : layout_(layout), kinds_(kinds), sums_(new double[static_cast<size_t>(rows() * row())]) {}

  // [kinds, channels]
  double* of(int64_t sample, int64_t chunk) { return sums_.get() + (sample * layout_.chunks + chunk) * row(); }
  const double* of(int64_t sample, int64_t chunk) const { return const_cast<Partials*>(this)->of(sample, chunk); }

  double sum(int64_t sample, int64_t kind, int64_t channel) const {
    double total = 0;
    for (int64_t chunk = 0; chunk < layout_.chunks; ++chunk)
      total += of(sample, chunk)[kind * layout_.channels + channel];
    return total;
  }

  // [kinds, channels] over all samples
  std::vector<double> totals() const {
    std::vector<double> total(static_cast<size_t>(row()));
    core::parallel_range(row(), rows(), [&](int64_t begin, int64_t end) {
      for (int64_t part = 0; part < rows(); ++part) {
        const double* from = sums_.get() + part * row();
        double* __restrict to = total.data();
#pragma omp simd
        for (int64_t i = begin; i < end; ++i) to[i] += from[i];
      }
    });
    return total;
  }

  // Of a channel of a sample, after measure_tile on all its tiles.
  Moments moments(int64_t sample, int64_t channel) const {
    const auto of_chunk = [&](int64_t chunk) {
      const double* part = of(sample, chunk) + channel;
      return Moments{static_cast<double>(layout_.positions_of(chunk)), part[0], part[layout_.channels]};
    };
    Moments all = of_chunk(0);
    for (int64_t chunk = 1; chunk < layout_.chunks; ++chunk) all.merge(of_chunk(chunk));
    return all;
  }

 private:
  int64_t rows() const { return layout_.samples * layout_.chunks; }
  int64_t row() const { return kinds_ * layout_.channels; }

  Layout layout_;
  int64_t kinds_;
  std::unique_ptr<double[]> sums_;  // not set to 0
};

// Mean and squares of a tile's channels, into Partials of 2 kinds.
template <class Stored>
void measure_tile(const Layout& layout, const Tile& tile, const Stored* x, bool centred, Partials& partials) {
  double* mean = partials.of(tile.sample, tile.chunk) + tile.channel;
  double* squares = mean + layout.channels;
  if (layout.interleaved) {
    moments_of_lanes(layout, tile, x, centred, mean, squares);
  } else {
    const Moments moments = moments_of_run(x + tile.offset, tile.positions, centred);
    *mean = moments.mean;
    *squares = moments.squares;
  }
}

// body(begin, end) for parts of all tiles
template <class Body>
void for_all_tiles(const Layout& layout, Body body) {
  core::parallel_range(layout.tiles(), layout.elements() / layout.tiles(), body);
}

}  // namespace fastsciml::evonorm
