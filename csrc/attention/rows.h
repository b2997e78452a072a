// A chunk's rows on their way from a tensor to the products and back. Rows that are stored as they are computed with,
// with a width of whole vectors, are read where they stand; others are converted into a padded tile.
#pragma once

#include <type_traits>

#include "attention/chunk.h"
#include "core/storage.h"

namespace fastsciml::attention {

using core::Compute;

// One tensor [batch, heads, length, width]. Where it has fewer heads than the others, neighbouring ones share its.
template <class Stored>
struct Heads {
  Stored* data = nullptr;
  int64_t heads = 1, length = 0, width = 0;

  Stored* row(int64_t batch, int64_t head, int64_t all_heads, int64_t token) const {
    return data + ((batch * heads + head * heads / all_heads) * length + token) * width;
  }
};

template <class T>
struct Tile {
  const T* values;
  int64_t pitch;
};

template <class Stored>
bool stands_as_computed(int64_t width) {
  return std::is_same_v<Stored, Compute<Stored>> && width % kLanes<Compute<Stored>> == 0;
}

// The rows in place, or in `buffer` [kChunk, round_up(width, lanes)] with zeros past width and, up to a whole vector,
// past count.
template <class Stored, class T = Compute<Stored>>
Tile<T> load_rows(const Stored* rows, int64_t count, int64_t width, T* buffer) {
  if constexpr (std::is_same_v<Stored, T>) {
    if (count == kChunk && stands_as_computed<Stored>(width)) return {rows, width};
  }
  const int64_t pitch = round_up(width, kLanes<T>), padded = round_up(count, std::max<int64_t>(kLanes<T>, kRows));
  for (int64_t r = 0; r < count; ++r) {
    const Stored* __restrict from = rows + r * width;
    T* __restrict to = buffer + r * pitch;
#pragma omp simd
    for (int64_t j = 0; j < width; ++j) to[j] = core::load(from[j]);
    std::fill(to + width, to + pitch, T{0});
  }
  std::fill(buffer + count * pitch, buffer + padded * pitch, T{0});
  return {buffer, pitch};
}

// to [round_up(depth, lanes), kChunk] = scale * tile^T; the tile as load_rows gives it
template <class T>
void transpose_rows(const Tile<T>& tile, int64_t count, int64_t depth, T scale, T* to) {
  for (int64_t d = 0; d < depth; d += kLanes<T>)
    for (int64_t t = 0; t < count; t += kLanes<T>)
      core::transpose(tile.values + t * tile.pitch + d, tile.pitch, to + d * kChunk + t, kChunk);
  const int64_t columns = round_up(count, kLanes<T>);
  for (int64_t d = 0; d < depth && (scale != T{1} || columns < kChunk); ++d) {
#pragma omp simd
    for (int64_t t = 0; t < columns; ++t) to[d * kChunk + t] *= scale;
    std::fill(to + d * kChunk + columns, to + (d + 1) * kChunk, T{0});
  }
}

// to = from * weights, [depth, kChunk]
template <class T>
void weigh_columns(const T* from, const T* weights, int64_t depth, T* to) {
  for (int64_t d = 0; d < depth; ++d)
#pragma omp simd
    for (int64_t t = 0; t < kChunk; ++t) to[d * kChunk + t] = from[d * kChunk + t] * weights[t];
}

template <class Stored, class T = Compute<Stored>>
void store_rows(const T* tile, int64_t pitch, int64_t count, int64_t width, Stored* rows) {
  for (int64_t r = 0; r < count; ++r) {
    const T* __restrict from = tile + r * pitch;
    Stored* __restrict to = rows + r * width;
#pragma omp simd
    for (int64_t j = 0; j < width; ++j) core::store(to[j], from[j]);
  }
}

// dots[r] = sum over a row of tile * rows
template <class Stored, class T = Compute<Stored>>
void dot_rows(const T* tile, int64_t pitch, const Stored* rows, int64_t count, int64_t width, T* dots) {
  for (int64_t r = 0; r < count; ++r) {
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < width; ++j) sum += tile[r * pitch + j] * core::load(rows[r * width + j]);
    dots[r] = sum;
  }
}

}  // namespace fastsciml::attention
