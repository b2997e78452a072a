// Where the channels of a sample lie, and how the work is cut.
//
//   plain         [N, C, space]: a channel of a sample is one run of memory
//   interleaved   [N, space, C]: channels_last, the channels of a position stand beside each other
//
// A tile is what one thread takes at a time: a piece of one channel, or positions of up to kMostLanes channels. Tiles
// depend on the shape alone, so that sums come out the same whatever the number of threads.
#pragma once

#include <algorithm>
#include <cstdint>

namespace fastsciml::evonorm {

inline constexpr int64_t kMostLanes = 256;  // channels of an interleaved tile
inline constexpr int64_t kTileElements = 1 << 16;
inline constexpr int64_t kBlockRows = 64;  // vectors that float32 adds up before float64 takes over

struct Tile {
  int64_t sample, chunk, channel;
  int64_t lanes;      // channels in the tile
  int64_t positions;  // elements of each
  int64_t offset;     // its first element
};

struct Layout {
  int64_t samples, channels, space;
  bool interleaved;
  // Per tile, at most; then in how many parts that cuts the channels and the space.
  int64_t lanes, positions, blocks, chunks;

  Layout(int64_t n, int64_t c, int64_t s, bool channels_last)
      : samples(n),
        channels(c),
        space(s),
        interleaved(channels_last),
        lanes(channels_last ? std::min(c, kMostLanes) : 1),
        positions(std::max<int64_t>(1, kTileElements / lanes)),
        blocks((c + lanes - 1) / lanes),
        chunks((s + positions - 1) / positions) {}

  int64_t tiles() const { return samples * blocks * chunks; }
  int64_t elements() const { return samples * channels * space; }
  // How far ahead to fetch: processors do not see a block of positions coming that is walked channel by channel.
  int64_t ahead() const { return interleaved ? kBlockRows * channels : 0; }
  int64_t positions_of(int64_t chunk) const { return std::min(positions, space - chunk * positions); }

  [[gnu::always_inline]] Tile tile(int64_t sample, int64_t block, int64_t chunk) const {
    const int64_t channel = block * lanes, first = chunk * positions;
    const int64_t offset =
        interleaved ? (sample * space + first) * channels + channel : (sample * channels + channel) * space + first;
    return {sample, chunk, channel, std::min(lanes, channels - channel), positions_of(chunk), offset};
  }
};

// body(tile) for tiles begin .. end - 1. They go by sample, then by channels, then along the space. Small tiles would
// feel a division each.
template <class Body>
void for_tiles_from(const Layout& layout, int64_t begin, int64_t end, Body body) {
  const int64_t row = begin / layout.chunks;
  int64_t chunk = begin % layout.chunks, block = row % layout.blocks, sample = row / layout.blocks;
  for (int64_t index = begin; index < end; ++index) {
    body(layout.tile(sample, block, chunk));
    if (++chunk < layout.chunks) continue;
    chunk = 0;
    if (++block < layout.blocks) continue;
    block = 0;
    ++sample;
  }
}

}  // namespace fastsciml::evonorm
