// Means and squared deviations, by blocks: a block's mean first, then the deviations from it while the block is still
// in the cache, and blocks merged exactly. No cancellation, however far the mean is from 0. Without `centred`, the mean
// counts as 0 and the squares are plain.
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
  double variance() const { return squares / count; }
};

// sum[j] += the elements of lane j
template <class Stored, class T>
void add_elements(const Stored* x, int64_t rows, const int64_t lanes, int64_t pitch, T* __restrict sum) {
  for (int64_t row = 0; row < rows; ++row) {
    const Stored* __restrict from = x + row * pitch;
#pragma omp simd
    for (int64_t j = 0; j < lanes; ++j) sum[j] += load(from[j]);
  }
}

// sum[j] += their squared deviations from mean(j)
template <class Stored, class T, class Mean>
void add_squares(const Stored* x, int64_t rows, const int64_t lanes, int64_t pitch, const Mean mean,
                 T* __restrict sum) {
  for (int64_t row = 0; row < rows; ++row) {
    const Stored* __restrict from = x + row * pitch;
#pragma omp simd
    for (int64_t j = 0; j < lanes; ++j) {
      const T deviation = load(from[j]) - mean(j);
      sum[j] += deviation * deviation;
    }
  }
}

// The sum of what body(from, rows, lanes, sums) adds to each lane, for a run's full rows and then for what is left.
template <class T, class Body>
double over_lanes_of_run(int64_t count, Body body) {
  const int64_t rows = count / kRowLanes, done = rows * kRowLanes;
  T lanes[kRowLanes] = {};
  body(int64_t{0}, rows, kRowLanes, lanes);
  body(done, int64_t{1}, count - done, lanes);
  return sum_of_lanes(lanes);
}

template <class Stored>
Moments moments_of_run(const Stored* x, int64_t count, bool centred) {
  using T = Compute<Stored>;
  Moments all;
  for (int64_t first = 0; first < count; first += kBlockRows * kRowLanes) {
    const Stored* block = x + first;
    const int64_t here = std::min(kBlockRows * kRowLanes, count - first);
    T mean = 0;
    if (centred) {
      const double sum = over_lanes_of_run<T>(here, [&](int64_t from, int64_t rows, const int64_t lanes, T* sums) {
        add_elements(block + from, rows, lanes, kRowLanes, sums);
      });
      mean = static_cast<T>(sum / static_cast<double>(here));
    }
    const double squares = over_lanes_of_run<T>(here, [&](int64_t from, int64_t rows, const int64_t lanes, T* sums) {
      add_squares(block + from, rows, lanes, kRowLanes, [mean](int64_t) { return mean; }, sums);
    });
    all.merge({static_cast<double>(here), static_cast<double>(mean), squares});
  }
  return all;
}

// mean, squares [lanes] of an interleaved tile
template <class Stored>
void moments_of_lanes(const Stored* x, int64_t rows, int64_t lanes, int64_t pitch, bool centred, double* mean,
                      double* squares) {
  using T = Compute<Stored>;
  Moments all[kMostLanes];
  for (int64_t first = 0; first < rows; first += kBlockRows) {
    const Stored* block = x + first * pitch;
    const int64_t here = std::min(kBlockRows, rows - first);
    T means[kMostLanes] = {}, sums[kMostLanes] = {};
    if (centred) {
      add_elements(block, here, lanes, pitch, means);
      for (int64_t j = 0; j < lanes; ++j) means[j] /= static_cast<T>(here);
    }
    add_squares(block, here, lanes, pitch, [&means](int64_t j) { return means[j]; }, sums);
    for (int64_t j = 0; j < lanes; ++j)
      all[j].merge({static_cast<double>(here), static_cast<double>(means[j]), static_cast<double>(sums[j])});
  }
  for (int64_t j = 0; j < lanes; ++j) {
    mean[j] = all[j].mean;
    squares[j] = all[j].squares;
  }
}

}  // namespace fastsciml::evonorm
