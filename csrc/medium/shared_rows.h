// Which rows of a level are stored. Where no obstacle is near, rows are plain: nothing about them depends on the
// medium, so that all those are equal that lie alike between the ends of x and y, and one is stored for all. It stays
// in the caches, and the V-cycle takes such rows as those of a box.
#pragma once

#include <span>
#include <vector>

#include "medium/packed.h"

namespace fastsciml::medium {

// For each cell of an axis a number, the same for neighbours whose couplings are the same.
inline std::vector<int64_t> kinds_along(const float* lower, const float* upper, int64_t n) {
  std::vector<int64_t> kinds(static_cast<size_t>(n));
  for (int64_t i = 1; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    kinds[at] = kinds[at - 1] + (lower[i] != lower[i - 1] || upper[i] != upper[i - 1]);
  }
  return kinds;
}

// stored[row] = where row (i, j), i * ny + j, stands among the stored ones, its complement if the row is weighted,
// which rows that are not plain are with `faces`. Returns the rows to store, in order.
inline std::vector<int64_t> share_rows(std::span<const uint8_t> plain, const Couplings& couplings, const Extents& n,
                                       bool faces, int32_t* stored) {
  const auto kinds_x = kinds_along(couplings.lower[0], couplings.upper[0], n[0]);
  const auto kinds_y = kinds_along(couplings.lower[1], couplings.upper[1], n[1]);
  const int64_t wide = kinds_y.back() + 1;
  std::vector<int32_t> first(static_cast<size_t>((kinds_x.back() + 1) * wide), -1);  // of each kind's plain rows
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < n[0] * n[1]; ++row) {
    const auto next = static_cast<int32_t>(rows.size());
    if (!plain[static_cast<size_t>(row)]) {
      rows.push_back(row);
      stored[row] = faces ? ~next : next;
      continue;
    }
    const int64_t kind = kinds_x[static_cast<size_t>(row / n[1])] * wide + kinds_y[static_cast<size_t>(row % n[1])];
    int32_t& same = first[static_cast<size_t>(kind)];
    if (same < 0) {
      same = next;
      rows.push_back(row);
    }
    stored[row] = same;
  }
  return rows;
}

}  // namespace fastsciml::medium
