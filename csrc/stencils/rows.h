// Rows of a field [channels, z, y, x] in scratch memory, as the products read them: converted to the numbers they are
// computed with, the channels of a row side by side, points beyond the grid in place. Where a tap moves by two points
// from one column to the next, even and odd points stand apart, so that every tap reads neighbours.
//
// Copying a row costs one load and store per point and channel, its products kRows times as many multiply-adds per tap
// and channel; in place, the channels' rows of a 256 x 256 grid would fall on the same few lines of the caches.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/cache.h"
#include "core/lines.h"
#include "core/product.h"
#include "core/storage.h"
#include "stencils/axis.h"

namespace fastsciml::stencils {

using core::Compute;
using core::kLanes;
using core::kRows;
using core::Lines;
using core::round_up;

// Where point j of a row stands: in plane j mod planes, at lead + floor(j / planes).
struct RowLayout {
  static constexpr int64_t kLead = 16;   // at least the two points that a tap can lie before the first column
  static constexpr int64_t kBeyond = 4;  // and those behind the last one

  int64_t planes, plane_pitch;

  // For rows of n points that are read from so many columns.
  template <class T>
  static RowLayout of(int64_t planes, int64_t n, int64_t columns) {
    const int64_t points = std::max((n + planes - 1) / planes, columns);
    return {planes, kLead + round_up(points + kBeyond, std::max<int64_t>(kLanes<T>, 16)) + kLanes<T>};
  }

  int64_t position(int64_t j) const {
    const int64_t q = floor_div(j, planes);
    return (j - q * planes) * plane_pitch + kLead + q;
  }
  int64_t pitch() const { return planes * plane_pitch; }  // from channel to channel
};

// A tensor's element of the batch.
template <class Stored>
struct Field {
  const Stored* data;
  int64_t channels, depth, height, width;

  int64_t size() const { return channels * depth * height * width; }
  const Stored* row(int64_t channel, int64_t z, int64_t y) const {
    return data + ((channel * depth + z) * height + y) * width;
  }
};

// Copies one row of one channel, and its neighbours beyond the grid by `axis`, whose source it is.
class RowCopy {
 public:
  RowCopy(const Axis& axis, const RowLayout& layout) : n_(axis.source), layout_(layout) {
    for (int64_t beyond = 1; beyond <= RowLayout::kBeyond; ++beyond)
      for (const int64_t j : {-beyond, n_ - 1 + beyond}) beyond_.push_back({layout.position(j), axis.stored(j)});
  }

  template <class Stored, class T = Compute<Stored>>
  void operator()(const Stored* from, T* to) const {
    T* points = to + RowLayout::kLead;
    if (layout_.planes == 1) {
#pragma omp simd
      for (int64_t i = 0; i < n_; ++i) points[i] = core::load(from[i]);
    } else {
      T* odd = points + layout_.plane_pitch;
#pragma omp simd
      for (int64_t i = 0; i < n_ / 2; ++i) {
        points[i] = core::load(from[2 * i]);
        odd[i] = core::load(from[2 * i + 1]);
      }
      if (n_ % 2) points[n_ / 2] = core::load(from[n_ - 1]);
    }
    for (const auto& [position, stored] : beyond_) to[position] = stored == kNowhere ? T{0} : core::load(from[stored]);
  }

 private:
  struct Beyond {
    int64_t position, stored;
  };

  int64_t n_;
  RowLayout layout_;
  std::vector<Beyond> beyond_;
};

// The gradient reads blocks of 1 to 6 channels, whose last ones may be missing: they are zeros.
inline constexpr int64_t kChannelUnit = 12;

// The rows that are needed of one field, each copied when it is asked for first.
template <class Stored, class T = Compute<Stored>>
class Rows {
 public:
  Rows(const Field<Stored>& field, const Axis& axis, const RowLayout& layout)
      : field_(field),
        layout_(layout),
        copy_(axis, layout),
        place_(static_cast<size_t>(field.depth * field.height), kNowhere) {}

  // Forgets all rows; the next ones are of another element of the batch.
  void begin(const Stored* data) {
    field_.data = data;
    for (const int64_t row : held_) place_[static_cast<size_t>(row)] = kNowhere;
    held_.clear();
  }

  // [channels, layout.pitch()]
  const T* row(int64_t z, int64_t y) {
    int64_t& place = place_[static_cast<size_t>(z * field_.height + y)];
    if (place == kNowhere) {
      place = static_cast<int64_t>(held_.size());
      held_.push_back(z * field_.height + y);
      if (held_.size() > memory_.size())
        memory_.emplace_back(round_up(field_.channels, kChannelUnit) * layout_.pitch());
      for (int64_t c = 0; c < field_.channels; ++c) {
        copy_(field_.row(c, z, y), at(place) + c * layout_.pitch());
        // Rows of neighbouring channels are far apart: the hardware sees no stream in them.
        if (y + 1 < field_.height) core::prefetch_into_l2(field_.row(c, z, y + 1), field_.width);
      }
    }
    return at(place);
  }

  const RowLayout& layout() const { return layout_; }
  int64_t channels() const { return field_.channels; }

 private:
  T* at(int64_t place) { return memory_[static_cast<size_t>(place)].data(); }

  Field<Stored> field_;
  RowLayout layout_;
  RowCopy copy_;
  std::vector<int64_t> place_, held_;
  std::vector<Lines<T>> memory_;
};

// Rows of one grid that a thread takes at a time, an even number where it can be: their copies shall stay in its L2
// cache.
inline int64_t strip_height(int64_t rows, int64_t bytes_of_row) {
  constexpr int64_t kBytes = 384 << 10, kLeast = 4, kMost = 64;
  return std::min(rows, std::clamp(kBytes / bytes_of_row / 2 * 2, kLeast, kMost));
}

}  // namespace fastsciml::stencils
