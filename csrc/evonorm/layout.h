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

struct Tile {
  int64_t sample, chunk, channel;
  int64_t lanes;      // channels in the tile
  int64_t positions;  // elements of each
  int64_t offset;     // its first element
};

struct Layout {
  int64_t samples, channels, space;
  bool interleaved;

  int64_t lanes() const { return interleaved ? std::min(channels, kMostLanes) : 1; }
  int64_t blocks() const { return (channels + lanes() - 1) / lanes(); }
  int64_t positions() const { return std::max<int64_t>(1, kTileElements / lanes()); }
  int64_t chunks() const { return (space + positions() - 1) / positions(); }
  int64_t tiles() const { return samples * blocks() * chunks(); }
  int64_t elements() const { return samples * channels * space; }

  int64_t positions_of(int64_t chunk) const { return std::min(positions(), space - chunk * positions()); }

  // Tiles go by sample, then by channels, then along the space.
  Tile tile(int64_t index) const {
    const int64_t chunk = index % chunks(), block = index / chunks() % blocks(), sample = index / chunks() / blocks();
    const int64_t channel = block * lanes(), first = chunk * positions();
    const int64_t offset =
        interleaved ? (sample * space + first) * channels + channel : (sample * channels + channel) * space + first;
    return {sample, chunk, channel, std::min(lanes(), channels - channel), positions_of(chunk), offset};
  }
};

}  // namespace fastsciml::evonorm
