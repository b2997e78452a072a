// Passes over all tiles of a tensor, and what they leave behind for each chunk of a sample.
#pragma once

#include <vector>

#include "core/parallel.h"
#include "evonorm/moments.h"

namespace fastsciml::evonorm {

// `kinds` sums for every channel of every chunk of every sample.
class Partials {
 public:
  Partials(const Layout& layout, int64_t kinds)
      : layout_(layout),
        kinds_(kinds),
        sums_(static_cast<size_t>(layout.samples * layout.chunks() * kinds * layout.channels)) {}

  // [kinds, channels]
  double* of(int64_t sample, int64_t chunk) {
    return sums_.data() + (sample * layout_.chunks() + chunk) * kinds_ * layout_.channels;
  }
  const double* of(int64_t sample, int64_t chunk) const { return const_cast<Partials*>(this)->of(sample, chunk); }

  double sum(int64_t sample, int64_t kind, int64_t channel) const {
    double total = 0;
    for (int64_t chunk = 0; chunk < layout_.chunks(); ++chunk)
      total += of(sample, chunk)[kind * layout_.channels + channel];
    return total;
  }

  // Of a channel of a sample, after measure_tile on all its tiles.
  Moments moments(int64_t sample, int64_t channel) const {
    Moments all;
    for (int64_t chunk = 0; chunk < layout_.chunks(); ++chunk) {
      const double* part = of(sample, chunk) + channel;
      all.merge({static_cast<double>(layout_.positions_of(chunk)), part[0], part[layout_.channels]});
    }
    return all;
  }

 private:
  Layout layout_;
  int64_t kinds_;
  std::vector<double> sums_;
};

// Mean and squares of a tile's channels, into Partials of 2 kinds.
template <class Stored>
void measure_tile(const Layout& layout, const Tile& tile, const Stored* x, bool centred, Partials& partials) {
  double* mean = partials.of(tile.sample, tile.chunk) + tile.channel;
  double* squares = mean + layout.channels;
  if (layout.interleaved) {
    moments_of_lanes(x + tile.offset, tile.positions, tile.lanes, layout.channels, centred, mean, squares);
  } else {
    const Moments moments = moments_of_run(x + tile.offset, tile.positions, centred);
    *mean = moments.mean;
    *squares = moments.squares;
  }
}

template <class Body>
void for_tiles(const Layout& layout, Body body) {
  core::parallel_range(layout.tiles(), layout.elements() / layout.tiles(), [&](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) body(layout.tile(index));
  });
}

// first(tile) for a unit's tiles, between(unit), second(tile) for its tiles again: by one thread, which finds them in
// its cache, where units are many; all at once in three steps where they are few. `units` cut the tiles evenly.
template <class First, class Between, class Second>
void for_units(const Layout& layout, int64_t units, First first, Between between, Second second) {
  constexpr int64_t kManyPerThread = 4;
  if (units < kManyPerThread * core::thread_count()) {
    for_tiles(layout, first);
    for (int64_t unit = 0; unit < units; ++unit) between(unit);
    for_tiles(layout, second);
    return;
  }
  const int64_t tiles = layout.tiles() / units;
  core::parallel_range(units, layout.elements() / units, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      for (int64_t index = unit * tiles; index < (unit + 1) * tiles; ++index) first(layout.tile(index));
      between(unit);
      for (int64_t index = unit * tiles; index < (unit + 1) * tiles; ++index) second(layout.tile(index));
    }
  });
}

}  // namespace fastsciml::evonorm
