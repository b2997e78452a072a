// The loops over a tile. It is walked by columns: up to kBlockRows vectors, one below the other. A column of a plain
// tile is a run of memory, with one parameter for all lanes; one of an interleaved tile holds the same channels at
// successive positions. Within a column float32 adds up, then float64 takes over.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>

#include "evonorm/layout.h"
#include "evonorm/storage.h"

namespace fastsciml::evonorm {

struct Column {
  int64_t first, pitch, rows;  // vector i begins at element first + i pitch
  int64_t lane, lanes;         // its lanes in an interleaved tile
  int64_t fresh;               // how many of them an earlier column has had
  int64_t last, had;           // one more vector begins at element `last`; `had` of its lanes were in one before

  // body(at, access) for every vector
  template <class Access, class Body>
  [[gnu::always_inline]] void for_rows(Access access, Body body) const {
    for (int64_t row = 0; row < rows; ++row) body(first + row * pitch, access);
    if constexpr (std::is_same_v<Access, Run>)
      if (had) body(last, Overlap(had));
  }
};

// body(column, its access). Each place that calls it is one more copy of the loop.
template <class T, class Body>
[[gnu::always_inline]] inline void for_columns(const Layout& layout, const Tile& tile, Body body) {
  constexpr int64_t width = kLanes<T>;
  const bool plain = !layout.interleaved;
  const int64_t pitch = plain ? width : layout.channels, lanes = plain ? tile.positions : tile.lanes;
  const int64_t rows = plain ? std::max<int64_t>(1, tile.positions / width) : tile.positions;
  const int64_t last = tile.offset + tile.positions - width, had = (width - tile.positions % width) % width;
  for (int64_t row = 0; row < rows; row += kBlockRows) {
    const int64_t here = std::min(kBlockRows, rows - row), first = tile.offset + row * pitch;
    if (lanes < width) {
      body(Column{first, pitch, here, 0, lanes, 0, 0, 0}, Part(lanes));
    } else if (plain) {
      body(Column{first, pitch, here, 0, width, 0, last, row + here == rows ? had : 0}, Run{});
    } else {
      // The last column is a whole one, too, and shares lanes with the one before.
      for (int64_t next = 0; next < lanes; next += width) {
        const int64_t lane = std::min(next, lanes - width);
        body(Column{first + lane, pitch, here, lane, width, next - lane, 0, 0}, Whole{});
      }
    }
  }
}

// Parameter k of a tile's channels: row[k], an entry for each, one for a plain tile.
template <class T, int kCount>
struct Parameters {
  const T* row[kCount];

  // [kCount, stride]
  Parameters(const T* first, int64_t stride) {
    for (int k = 0; k < kCount; ++k) row[k] = first + k * stride;
  }
  explicit Parameters(const std::array<const T*, kCount>& rows) { std::copy(rows.begin(), rows.end(), row); }

  template <class Access>
  [[gnu::always_inline]] void load(const Layout& layout, const Column& column, Access access, Vector<T>* to) const {
    for (int k = 0; k < kCount; ++k)
      to[k] = layout.interleaved ? access.load(row[k] + column.lane) : broadcast<Vector<T>>(*row[k]);
  }
};

// Brings what stands there into the second-level cache.
[[gnu::always_inline]] inline void prefetch(const void* memory) { __builtin_prefetch(memory, 0, 2); }
[[gnu::always_inline]] inline void prefetch_to_write(void* memory) { __builtin_prefetch(memory, 1, 2); }

// y = forward(x). Meanwhile what stands `ahead` elements further on in x is fetched.
template <class Variant, class Stored, class T = Compute<Stored>>
[[gnu::always_inline]] inline void map_tile(const Layout& layout, const Tile& tile,
                                            const Parameters<std::type_identity_t<T>, Variant::kParameters>& parameters,
                                            const Stored* x, Stored* y, int64_t ahead) {
  const int64_t ahead_in_y = layout.ahead();
  for_columns<T>(layout, tile, [&](const Column& column, auto access) __attribute__((always_inline)) {
    Vector<T> p[Variant::kParameters];
    parameters.load(layout, column, access, p);
    column.for_rows(access, [&](int64_t at, auto row) __attribute__((always_inline)) {
      prefetch(x + at + ahead);
      prefetch_to_write(y + at + ahead_in_y);
      row.store(y + at, Variant::forward(row.load(x + at), p));
    });
  });
}

template <class T>
[[gnu::always_inline]] inline void add_column(const Layout& layout, const Column& column, Vector<T> sum,
                                              double* total) {
  if (!layout.interleaved) {
    *total += static_cast<double>(sum_of_lanes<T>(sum));
  } else {
    for (int64_t lane = column.fresh; lane < column.lanes; ++lane)
      total[column.lane + lane] += static_cast<double>(sum[lane]);
  }
}

inline constexpr auto nothing_kept = [](auto...) {};

// total[k * stride + lane] = sum of product k. keep(at, dx, access) gets the elements' own part of dx.
template <class Variant, class Stored, class Keep, class T = Compute<Stored>>
[[gnu::always_inline]] inline void sum_tile(const Layout& layout, const Tile& tile,
                                            const Parameters<std::type_identity_t<T>, Variant::kParameters>& parameters,
                                            const Stored* x, const Stored* dy, double* total, int64_t stride, Keep keep,
                                            int64_t ahead) {
  for (int k = 0; k < Variant::kSums; ++k) {
    total[k * stride] = 0;
    if (layout.interleaved) std::fill_n(total + k * stride, tile.lanes, 0.0);
  }
  for_columns<T>(layout, tile, [&](const Column& column, auto access) __attribute__((always_inline)) {
    Vector<T> p[Variant::kParameters], sums[Variant::kSums] = {};
    parameters.load(layout, column, access, p);
    column.for_rows(access, [&](int64_t at, auto row) __attribute__((always_inline)) {
      prefetch(x + at + ahead);
      prefetch(dy + at + ahead);
      const auto slopes = Variant::backward(row.load(x + at), row.load(dy + at), p);
      for (int k = 0; k < Variant::kSums; ++k) sums[k] += row.valid(slopes.products[k]);
      keep(at, slopes.dx, row);
    });
#pragma GCC unroll 8
    for (int k = 0; k < Variant::kSums; ++k) add_column<T>(layout, column, sums[k], total + k * stride);
  });
}

// The statistics' share in dx: linear (x - centre) + constant.
enum { kLinear, kCentre, kConstant, kShares };

template <class V>
[[gnu::always_inline]] inline V share_of(V x, const V* p) {
  return p[kLinear] * (x - p[kCentre]) + p[kConstant];
}

// dx, all of it
template <class Variant, class Stored, class T = Compute<Stored>>
[[gnu::always_inline]] inline void slope_tile(
    const Layout& layout, const Tile& tile, const Parameters<std::type_identity_t<T>, Variant::kParameters>& parameters,
    const Parameters<T, kShares>& shares, const Stored* x, const Stored* dy, Stored* dx) {
  const int64_t ahead = layout.ahead();
  for_columns<T>(layout, tile, [&](const Column& column, auto access) __attribute__((always_inline)) {
    Vector<T> p[Variant::kParameters], share[kShares];
    parameters.load(layout, column, access, p);
    shares.load(layout, column, access, share);
    column.for_rows(access, [&](int64_t at, auto row) __attribute__((always_inline)) {
      prefetch(x + at + ahead);
      prefetch(dy + at + ahead);
      prefetch_to_write(dx + at + ahead);
      const Vector<T> from = row.load(x + at);
      row.store(dx + at, Variant::backward(from, row.load(dy + at), p).dx + share_of(from, share));
    });
  });
}

// dx from what sum_tile kept of it, the element at `base` first
template <class Stored, class T = Compute<Stored>>
[[gnu::always_inline]] inline void share_tile(const Layout& layout, const Tile& tile,
                                              const Parameters<T, kShares>& shares, const Stored* x, const T* kept,
                                              int64_t base, Stored* dx) {
  const int64_t ahead = layout.ahead();
  for_columns<T>(layout, tile, [&](const Column& column, auto access) __attribute__((always_inline)) {
    Vector<T> share[kShares];
    shares.load(layout, column, access, share);
    column.for_rows(access, [&](int64_t at, auto row) __attribute__((always_inline)) {
      prefetch(x + at + ahead);
      prefetch(kept + (at - base) + ahead);
      prefetch_to_write(dx + at + ahead);
      row.store(dx + at, row.load(kept + (at - base)) + share_of(row.load(x + at), share));
    });
  });
}

}  // namespace fastsciml::evonorm
