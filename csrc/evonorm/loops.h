// The loops over a tile. A plain tile is walked as rows of kRowLanes elements, an interleaved one as rows of channels,
// so that one set of loops with an accumulator per lane serves both; the compiler vectorises over the lanes. float32
// adds up kBlockRows rows at most, then float64 takes over.
#pragma once

#include <vector>

#include "core/storage.h"
#include "evonorm/layout.h"

namespace fastsciml::evonorm {

using core::Compute;
using core::load;
using core::store;

inline constexpr int64_t kRowLanes = 64;
inline constexpr int64_t kBlockRows = 32;

// Parameters of a tile of one channel.
template <class T, int kCount>
struct Uniform {
  T value[kCount];

  Uniform(const T* parameters, int64_t channels, int64_t channel) {
    for (int k = 0; k < kCount; ++k) value[k] = parameters[k * channels + channel];
  }
  T operator()(int k, int64_t) const { return value[k]; }
};

// Parameters of a tile of many channels, read lane by lane.
template <class T, int kCount>
struct PerLane {
  const T* first[kCount];

  PerLane(const T* parameters, int64_t channels, int64_t channel) {
    for (int k = 0; k < kCount; ++k) first[k] = parameters + k * channels + channel;
  }
  T operator()(int k, int64_t j) const { return first[k][j]; }
};

// Calls body(parameters, rows, lanes, pitch); `parameters` are those of the tile's sample, [kCount, channels].
template <int kCount, class T, class Body>
void with_rows(const Layout& layout, const Tile& tile, const T* parameters, Body body) {
  if (layout.interleaved) {
    body(PerLane<T, kCount>(parameters, layout.channels, tile.channel), tile.positions, tile.lanes, layout.channels);
  } else {
    body(Uniform<T, kCount>(parameters, layout.channels, tile.channel), int64_t{1}, tile.positions, int64_t{0});
  }
}

// y = forward(x)
template <class Variant, class Stored, class T>
void map_tile(const Layout& layout, const Tile& tile, const T* parameters, const Stored* x, Stored* y) {
  with_rows<Variant::kForward>(layout, tile, parameters,
                               [&](const auto p, int64_t rows, const int64_t lanes, int64_t pitch) {
                                 for (int64_t row = 0; row < rows; ++row) {
                                   const Stored* __restrict from = x + tile.offset + row * pitch;
                                   Stored* __restrict to = y + tile.offset + row * pitch;
#pragma omp simd
                                   for (int64_t j = 0; j < lanes; ++j)
                                     store(to[j], Variant::forward(load(from[j]), p, j));
                                 }
                               });
}

// dx = slope(x, dy)
template <class Variant, class Stored, class T>
void slope_tile(const Layout& layout, const Tile& tile, const T* parameters, const Stored* x, const Stored* dy,
                Stored* dx) {
  with_rows<Variant::kBackward>(layout, tile, parameters,
                                [&](const auto p, int64_t rows, const int64_t lanes, int64_t pitch) {
                                  for (int64_t row = 0; row < rows; ++row) {
                                    const Stored* __restrict from = x + tile.offset + row * pitch;
                                    const Stored* __restrict grad = dy + tile.offset + row * pitch;
                                    Stored* __restrict to = dx + tile.offset + row * pitch;
#pragma omp simd
                                    for (int64_t j = 0; j < lanes; ++j)
                                      store(to[j], Variant::slope(load(from[j]), load(grad[j]), p, j));
                                  }
                                });
}

// sum[k * most + j] += product k of lane j, over a block of rows.
template <class Variant, int64_t kMost, class Stored, class T, class P>
void add_rows(const Stored* x, const Stored* dy, int64_t rows, const int64_t lanes, int64_t pitch, const P& p,
              T* __restrict sum) {
  for (int64_t row = 0; row < rows; ++row) {
    const Stored* __restrict from = x + row * pitch;
    const Stored* __restrict grad = dy + row * pitch;
#pragma omp simd
    for (int64_t j = 0; j < lanes; ++j) {
      const auto product = Variant::sums(load(from[j]), load(grad[j]), p, j);
#pragma GCC unroll 8
      for (int k = 0; k < Variant::kSums; ++k) sum[k * kMost + j] += product.value[k];
    }
  }
}

template <class T>
double sum_of_lanes(const T (&lanes)[kRowLanes]) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < kRowLanes; ++j) sum += static_cast<double>(lanes[j]);
  return sum;
}

// total[k * stride] = sum of product k over a tile of one channel.
template <class Variant, class Stored, class T>
void sum_run(const Stored* x, const Stored* dy, int64_t count, const Uniform<T, Variant::kForward> p, double* total,
             int64_t stride) {
  double sums[Variant::kSums] = {};
  for (int64_t first = 0; first < count; first += kBlockRows * kRowLanes) {
    const int64_t here = std::min(kBlockRows * kRowLanes, count - first), rows = here / kRowLanes;
    T lanes[Variant::kSums][kRowLanes] = {};
    add_rows<Variant, kRowLanes>(x + first, dy + first, rows, kRowLanes, kRowLanes, p, lanes[0]);
    const int64_t done = first + rows * kRowLanes;
    add_rows<Variant, kRowLanes>(x + done, dy + done, 1, here - rows * kRowLanes, 0, p, lanes[0]);
    for (int k = 0; k < Variant::kSums; ++k) sums[k] += sum_of_lanes(lanes[k]);
  }
  for (int k = 0; k < Variant::kSums; ++k) total[k * stride] = sums[k];
}

// The same for every lane of an interleaved tile.
template <class Variant, class Stored, class T>
void sum_lanes(const Stored* x, const Stored* dy, int64_t rows, int64_t lanes, int64_t pitch,
               const PerLane<T, Variant::kForward> p, double* total, int64_t stride) {
  for (int k = 0; k < Variant::kSums; ++k) std::fill_n(total + k * stride, lanes, 0.0);
  for (int64_t first = 0; first < rows; first += kBlockRows) {
    T block[Variant::kSums][kMostLanes] = {};
    const int64_t begin = first * pitch, here = std::min(kBlockRows, rows - first);
    add_rows<Variant, kMostLanes>(x + begin, dy + begin, here, lanes, pitch, p, block[0]);
    for (int k = 0; k < Variant::kSums; ++k)
      for (int64_t j = 0; j < lanes; ++j) total[k * stride + j] += static_cast<double>(block[k][j]);
  }
}

// total [kSums, channels] of a tile's sample and chunk.
template <class Variant, class Stored, class T>
void sum_tile(const Layout& layout, const Tile& tile, const T* parameters, const Stored* x, const Stored* dy,
              double* total) {
  const int64_t channels = layout.channels;
  x += tile.offset;
  dy += tile.offset;
  total += tile.channel;
  if (layout.interleaved) {
    const PerLane<T, Variant::kForward> p(parameters, channels, tile.channel);
    sum_lanes<Variant>(x, dy, tile.positions, tile.lanes, channels, p, total, channels);
  } else {
    const Uniform<T, Variant::kForward> p(parameters, channels, tile.channel);
    sum_run<Variant>(x, dy, tile.positions, p, total, channels);
  }
}

}  // namespace fastsciml::evonorm
