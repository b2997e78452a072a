// The runs of true cells in each row of a mask, found by words of 64 cells, and their regions: runs whose cells share a
// face are one, by union-find. A region's root is its first run, so that the result does not depend on who joined what
// when.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

namespace fastsciml::medium {

struct Run {
  int32_t begin, end;  // cells of a row
};

// Eight bytes of 0 or 1 as eight bits, the first one lowest: the product moves each byte's bit to the top byte.
inline uint64_t eight_bits(const uint8_t* bytes) {
  static_assert(std::endian::native == std::endian::little);
  uint64_t cells;
  std::memcpy(&cells, bytes, 8);
  return (cells * 0x0102040810204080u) >> 56;
}

// Calls word(bits) for every 64 cells of a row, padded with 0.
template <class Word>
inline void each_word(const uint8_t* row, int64_t n, Word word) {
  int64_t k = 0;
  for (; k + 64 <= n; k += 64) {
    uint64_t bits = 0;
    for (int64_t byte = 0; byte < 8; ++byte) bits |= eight_bits(row + k + 8 * byte) << (8 * byte);
    word(bits);
  }
  uint64_t bits = 0;
  for (int64_t rest = k; rest < n; ++rest) bits |= static_cast<uint64_t>(row[rest]) << (rest - k);
  word(bits);
}

inline int64_t count_runs(const uint8_t* row, int64_t n) {
  int64_t count = 0;
  uint64_t before = 0;  // the last cell of the word before
  each_word(row, n, [&](uint64_t bits) {
    count += std::popcount(bits & ~(bits << 1 | before));
    before = bits >> 63;
  });
  return count;
}

// Writes a row's runs from `run` on.
inline void find_runs(const uint8_t* row, int64_t n, Run* run) {
  Run* opened = run;
  Run* closed = run;
  uint64_t before = 0;
  int32_t k = 0;
  each_word(row, n, [&](uint64_t bits) {
    const uint64_t shifted = bits << 1 | before;
    for (uint64_t first = bits & ~shifted; first != 0; first &= first - 1)
      (opened++)->begin = k + static_cast<int32_t>(std::countr_zero(first));
    for (uint64_t past = ~bits & shifted; past != 0; past &= past - 1)
      (closed++)->end = k + static_cast<int32_t>(std::countr_zero(past));
    before = bits >> 63;
    k += 64;
  });
  // each_word ends with a word of padding, which closes every run.
}

// Union-find over runs; an element's parent never comes after it.
class Forest {
 public:
  explicit Forest(size_t size) : parent_(size) {}

  void add(int32_t run) { parent_[at(run)] = run; }

  int32_t root(int32_t run) {
    while (parent_[at(run)] != run) {
      parent_[at(run)] = parent_[at(parent_[at(run)])];
      run = parent_[at(run)];
    }
    return run;
  }

  void join(int32_t a, int32_t b) {
    if (parent_[at(a)] == parent_[at(b)]) return;
    const int32_t first = root(a), second = root(b);
    if (first != second) parent_[at(std::max(first, second))] = std::min(first, second);
  }

  // Afterwards every parent is a root.
  void flatten() {
    for (int32_t& parent : parent_) parent = parent_[at(parent)];
  }
  int32_t parent(int32_t run) const { return parent_[at(run)]; }
  int32_t size() const { return static_cast<int32_t>(parent_.size()); }

 private:
  static size_t at(int32_t run) { return static_cast<size_t>(run); }
  std::vector<int32_t> parent_;
};

}  // namespace fastsciml::medium
