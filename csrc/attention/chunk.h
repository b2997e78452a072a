// One chunk of a sequence and of a head: what it gives out and what it adds to the state. With the chunk's rows x, y,
// z, the state S before it and the weights of operators.h:
//
//   scores = (x y^T) * pair weights where a row sees a key
//   out    = c (x_weight * (x S) + scores z)
//   L      = total L + (y_weight * y)^T z
//
// A chunk is small enough for the caches of one core: with widths of 64, 16 KiB each for x, y^T, z, scores, S, L, out.
// Blocks of scores that no row sees are not computed. Called by scan.h.
#pragma once

#include "core/exp.h"
#include "core/product.h"

namespace fastsciml::attention {

using core::for_panels;
using core::kLanes;
using core::kRows;
using core::Lanes;
using core::Left;
using core::Panel;
using core::round_up;
using core::Sums;

// Tokens of a chunk. More would cost flops in the scores, fewer would move the state more often.
inline constexpr int64_t kChunk = 64;

// Which keys a row sees: those before it and itself, those after it and itself, or the whole sequence, by the state.
enum class Order { kForward, kBackward, kWhole };

// How much of a token is left when the state reaches another one, from decays a_t = exp(log_decay_t) of one chunk.
template <class T>
struct Weights {
  bool given = false;
  T cumulative[kChunk];  // sums of log_decay from the chunk's first token on
  T x[kChunk], y[kChunk];
  T total = 1;

  // log_decay: null for decays of 1
  void set(const T* log_decay, int64_t count, Order order) {
    given = log_decay != nullptr;
    if (!given) return;
    double sum = 0;
    for (int64_t t = 0; t < count; ++t) cumulative[t] = static_cast<T>(sum += static_cast<double>(log_decay[t]));
    const T last = cumulative[count - 1];
    T* from_start = order == Order::kForward ? x : y;
    T* to_end = order == Order::kForward ? y : x;
#pragma omp simd
    for (int64_t t = 0; t < count; ++t) {
      from_start[t] = core::exp_of(core::limited(cumulative[t]));
      to_end[t] = core::exp_of(core::limited(last - cumulative[t]));
    }
    for (int64_t t = count; t < kChunk; ++t) x[t] = y[t] = 0;
    total = core::exp_of(core::limited(last));
  }
};

// A chunk's rows as the products read them.
template <class T>
struct ChunkRows {
  int64_t count;         // tokens
  int64_t depth, width;  // of x and y, of z; the latter a multiple of a vector
  const T* x;            // [round_up(count, kRows), depth], rows x_pitch apart; zero past count
  int64_t x_pitch;
  const T* y_transposed;  // [round_up(depth, kRows), kChunk]; zero past depth and count
  const T* z;             // [count, width], rows z_pitch apart
  int64_t z_pitch;
};

// The keys that any of the rows row .. row + kRows - 1 sees.
struct Keys {
  int64_t begin, end;

  Keys(Order order, int64_t row, int64_t count)
      : begin(order == Order::kForward ? 0 : row),
        end(order == Order::kForward ? std::min(row + kRows, count) : count) {}
};

// scores[row][key] where a row of the block sees the key, 0 elsewhere between keys.begin and keys.end.
template <class T>
void mask_scores(Order order, int64_t first, const Keys& keys, const Weights<T>& weights, T* scores) {
  for (int64_t row = first; row < first + kRows; ++row) {
    T* of_row = scores + row * kChunk;
    const bool forward = order == Order::kForward;
    const int64_t begin = forward ? 0 : std::min(row, keys.end), end = forward ? std::min(row + 1, keys.end) : keys.end;
    std::fill(of_row + keys.begin, of_row + begin, T{0});
    std::fill(of_row + end, of_row + keys.end, T{0});
    if (!weights.given || begin == end || row >= kChunk) continue;
    const T here = weights.cumulative[row < keys.end ? row : keys.end - 1];
    const T sign = forward ? T{1} : T{-1};
#pragma omp simd
    for (int64_t key = begin; key < end; ++key)
      of_row[key] *= core::exp_of(core::limited(sign * (here - weights.cumulative[key])));
  }
}

// scores [kChunk, kChunk]
template <class T>
void make_scores(const ChunkRows<T>& rows, Order order, const Weights<T>& weights, T* scores) {
  for (int64_t row = 0; row < rows.count; row += kRows) {
    const Keys keys(order, row, rows.count);
    const int64_t begin = keys.begin / kLanes<T> * kLanes<T>, end = round_up(keys.end, kLanes<T>);
    const Left<T> x{rows.x + row * rows.x_pitch, rows.x_pitch, 1};
    for_panels<T>(begin, end, [&](int64_t column, auto panel) {
      Sums<T, panel.vectors> sums;
      sums.clear();
      sums.add_product(x, rows.y_transposed + column, kChunk, 0, rows.depth);
      sums.store(scores + row * kChunk + column, kChunk);
    });
    mask_scores(order, row, keys, weights, scores);
  }
}

// out [round_up(count, kRows), width], rows `pitch` apart; state [depth, width], null for 0; scores unused for kWhole
template <class T>
void make_outputs(const ChunkRows<T>& rows, Order order, const Weights<T>& weights, const T* scores, const T* state,
                  T scale, T* out, int64_t pitch) {
  for_panels<T>(0, rows.width, [&](int64_t column, auto panel) {
    for (int64_t row = 0; row < rows.count; row += kRows) {
      Sums<T, panel.vectors> sums;
      sums.clear();
      if (state) {
        sums.add_product({rows.x + row * rows.x_pitch, rows.x_pitch, 1}, state + column, rows.width, 0, rows.depth);
        if (weights.given) sums.scale_rows(weights.x + row, 1);
      }
      if (order != Order::kWhole) {
        const Keys keys(order, row, rows.count);
        sums.add_product({scores + row * kChunk, kChunk, 1}, rows.z + column, rows.z_pitch, keys.begin, keys.end);
      }
      sums.scale_rows(&scale, 0);
      sums.store(out + row * pitch + column, pitch);
    }
  });
}

// state [round_up(depth, kRows), width] = total state + y^T z; y_transposed with y_weight in it
template <class T>
void add_to_state(const ChunkRows<T>& rows, const T* y_transposed, T total, T* state) {
  for_panels<T>(0, rows.width, [&](int64_t column, auto panel) {
    for (int64_t d = 0; d < rows.depth; d += kRows) {
      T* block = state + d * rows.width + column;
      Sums<T, panel.vectors> sums;
      sums.load(block, rows.width);
      if (total != T{1}) sums.scale_rows(&total, 0);
      sums.add_product({y_transposed + d * kChunk, kChunk, 1}, rows.z + column, rows.z_pitch, 0, rows.count);
      sums.store(block, rows.width);
    }
  });
}

}  // namespace fastsciml::attention
