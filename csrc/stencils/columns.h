// The columns of an out row, a vector of them at a time, and where the taps along x find their source in a copied row.
#pragma once

#include <cstdint>
#include <vector>

#include "stencils/rows.h"

namespace fastsciml::stencils {

// Out points i = classes m + q make columns m of class q: where a grid grows finer, even and odd points have other
// taps.
struct Columns {
  struct Tap {
    int64_t k, offset;  // column m reads at offset + m
  };

  int64_t classes, first, count;  // columns first .. first + count - 1, points beyond the grid included where they fold
  RowLayout layout;
  std::vector<Tap> taps[2];

  template <class T>
  static Columns of(const Axis& x) {
    const int64_t classes = x.to_coarse ? 1 : x.taps.stride, planes = x.to_coarse ? x.taps.stride : 1;
    Columns columns(classes, x.out, x.reach());
    columns.layout = RowLayout::of<T>(planes, x.source, columns.count);
    for (int64_t q = 0; q < classes; ++q)
      for (const auto& [k, j] : x.taps_at(q)) columns.taps[q].push_back({k, columns.layout.position(j)});
    return columns;
  }

  // Of a field on the grid of out itself, for the same columns.
  template <class T>
  Columns of_out(int64_t n) const {
    Columns columns(classes, n, 0);
    columns.layout = RowLayout::of<T>(classes, n, count);
    for (int64_t q = 0; q < classes; ++q) columns.taps[q].push_back({0, columns.layout.position(q)});
    return columns;
  }

 private:
  Columns(int64_t classes_, int64_t n, int64_t reach)
      : classes(classes_),
        first(floor_div(-reach, classes)),
        count(floor_div(n - 1 + reach, classes) - first + 1),
        layout{} {}
};

}  // namespace fastsciml::stencils
