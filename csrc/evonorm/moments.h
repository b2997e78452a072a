// Means and squared deviations, by blocks: deviations from a pivot near the block's mean, blocks merged exactly. No
// cancellation, however far the mean is from 0. In a run the pivot is the mean of the block before; the squared
// distances between successive means, each times its block, add up to at most four times the squared deviations from
// the mean of all. Without `centred`, the mean counts as 0 and the squares are plain.
#pragma once

#include "evonorm/loops.h"

namespace fastsciml::evonorm {

struct Moments {
  double count = 0, mean = 0, squares = 0;  // squares: the sum of squared deviations from the mean

  void merge(const Moments& other) {
    const double all = count + other.count, apart = other.mean - mean, share = other.count / all;
    squares += other.squares + apart * apart * count * share;
    mean += apart * share;
    count = all;
  }
  // Rounding alone may leave the squares of equal numbers below 0; NaN stays.
  [[gnu::always_inline]] double variance() const { return squares < 0 ? 0.0 : squares / count; }
};

// The sums over a run of the kSums vectors that body(vector, result) makes of each of its vectors.
template <int kSums, class Stored, class Body>
[[gnu::always_inline]] inline void sum_over_run(const Stored* x, int64_t count, double* total, Body body) {
  using T = Compute<Stored>;
  constexpr int kAtOnce = 2, kWidth = kLanes<T>;
  Vector<T> sums[kAtOnce][kSums] = {};
  const auto add = [&](int to, Vector<T> value, auto access) {
    Vector<T> result[kSums];
    body(value, result);
    for (int k = 0; k < kSums; ++k) sums[to][k] += access.valid(result[k]);
  };
  int64_t at = 0;
  for (; at + kAtOnce * kWidth <= count; at += kAtOnce * kWidth)
    for (int i = 0; i < kAtOnce; ++i) add(i, Whole{}.load(x + at + i * kWidth), Whole{});
  for (; at + kWidth <= count; at += kWidth) add(0, Whole{}.load(x + at), Whole{});
  if (at < count && at > 0) add(1, Whole{}.load(x + count - kWidth), Overlap(at + kWidth - count));
  if (at < count && at == 0) add(1, Part(count).load(x), Part(count));
  for (int k = 0; k < kSums; ++k) total[k] = static_cast<double>(sum_of_lanes<T>(sums[0][k] + sums[1][k]));
}

template <class Stored>
Moments moments_of_run(const Stored* x, int64_t count, bool centred) {
  using T = Compute<Stored>;
  constexpr int64_t kBlock = 2048;
  Moments all;
  T pivot = 0;
  for (int64_t first = 0; first < count; first += kBlock) {
    const int64_t here = std::min(kBlock, count - first);
    const double n = static_cast<double>(here);
    double sums[2];
    if (centred && first == 0) {
      sum_over_run<1>(x, here, sums, [](Vector<T> value, Vector<T>* result) { *result = value; });
      pivot = static_cast<T>(sums[0] / n);
    }
    sum_over_run<2>(x + first, here, sums, [pivot](Vector<T> value, Vector<T>* result) {
      result[0] = value - pivot;
      result[1] = result[0] * result[0];
    });
    const double sum = centred ? sums[0] : 0.0, apart = sum / n, mean = static_cast<double>(pivot) + apart;
    const Moments block{n, mean, sums[1] - sum * apart};
    first == 0 ? void(all = block) : all.merge(block);
    pivot = static_cast<T>(mean);
  }
  return all;
}

// mean, squares [lanes] of an interleaved tile
template <class Stored>
void moments_of_lanes(const Layout& layout, const Tile& tile, const Stored* x, bool centred, double* mean,
                      double* squares) {
  using T = Compute<Stored>;
  const int64_t ahead = layout.ahead();
  Moments all[kMostLanes];
  for_columns<T>(layout, tile, [&](const Column& column, auto access) {
    Vector<T> pivot = {}, sums = {}, squares = {};
    if (centred) {
      column.for_rows(access, [&](int64_t at, auto row) __attribute__((always_inline)) {
        prefetch(x + at + ahead);
        pivot += row.load(x + at);
      });
      pivot /= static_cast<T>(column.rows);
    }
    column.for_rows(access, [&](int64_t at, auto row) __attribute__((always_inline)) {
      const Vector<T> apart = row.load(x + at) - pivot;
      sums += apart;
      squares += apart * apart;
    });
    const double n = static_cast<double>(column.rows);
    for (int64_t lane = column.fresh; lane < column.lanes; ++lane) {
      const double sum = centred ? static_cast<double>(sums[lane]) : 0.0, apart = sum / n;
      all[column.lane + lane].merge(
          {n, static_cast<double>(pivot[lane]) + apart, static_cast<double>(squares[lane]) - sum * apart});
    }
  });
  for (int64_t lane = 0; lane < tile.lanes; ++lane) {
    mean[lane] = all[lane].mean;
    squares[lane] = all[lane].squares;
  }
}

}  // namespace fastsciml::evonorm
