// From rows of cells or faces to those of the next coarser level: a coarse cell has the mean of its cells, a coarse
// face what the fine faces on it conduct, mean by area. Across x and y that is a weighted sum of rows, which the
// kernels make; along z it is what stands here.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "medium/packed.h"
#include "multigrid/split_row.h"

namespace fastsciml::medium {

struct AxisTransfer {
  int64_t extent, coarse;
  const int32_t* parent;       // [extent] the coarse cell each one lies in
  const float* share;          // [extent] its share of that cell
  std::vector<int64_t> first;  // [coarse + 1] the first cell of each coarse one; face I is the fine face first[I]
};

struct Transfer {
  AxisTransfer x, y, z;
  Transfer(const Tensor& parents, const Tensor& shares, const Extents& extents, const char* op);
  Extents coarse() const { return {x.coarse, y.coarse, z.coarse}; }
};

class RowTransfer {
 public:
  explicit RowTransfer(const AxisTransfer& z);

  // Rows of cells in halves: fine [2 half] -> out [2 coarse half].
  void means(float* out, const float* fine) {
    if (z_.coarse == z_.extent) {
      std::copy_n(fine, 2 * half_, out);
      return;
    }
    float* cells = row_.data();
    if (pairs_)
      means_of_pairs(cells, fine);
    else
      means_of_any(cells, fine);
    multigrid::split_row(out, cells, 1.0f, z_.coarse, half_of(z_.coarse));
  }

  // Rows of faces across z in halves: fine [2 half of n + 1] -> out [2 half of coarse + 1].
  void faces(float* out, const float* fine) {
    const int64_t half = half_of(z_.extent + 1);
    float* faces = row_.data();
    for (int64_t k = 0; k <= z_.coarse; ++k) {
      const int64_t at = z_.first[static_cast<size_t>(k)];
      faces[k] = fine[at / 2 + at % 2 * half];
    }
    multigrid::split_row(out, faces, 1.0f, z_.coarse + 1, half_of(z_.coarse + 1));
  }

 private:
  void means_of_pairs(float* __restrict cells, const float* __restrict fine) const {
    const float* share = share_.data();
#pragma omp simd
    for (int64_t k = 0; k < z_.coarse; ++k) cells[k] = share[k] * fine[k] + share[half_ + k] * fine[half_ + k];
  }

  void means_of_any(float* cells, const float* fine) const {
    std::fill_n(cells, z_.coarse, 0.0f);
    for (int64_t k = 0; k < z_.extent; ++k) {
      const int64_t at = k / 2 + k % 2 * half_;
      cells[z_.parent[k]] += share_[static_cast<size_t>(at)] * fine[at];
    }
  }

  const AxisTransfer& z_;
  int64_t half_;
  bool pairs_;                // cell k lies in k // 2 throughout
  std::vector<float> share_;  // [2 half]
  std::vector<float> row_;    // scratch: a transfer belongs to one thread
};

// The coarse medium, from rows of the fine one, however it is stored. Source must have
//   add_face_x(sum, weight, i, j), add_face_y, add_face_z, add_reaction:  sum += weight * row
// finish(sum) and finish_z(sum), which return the sum as a row in halves, and start(), which clears it.
template <class Source>
void coarsen_plane(const PackedRows<float>& out, const Transfer& move, RowTransfer& along_z, Source& fine, int64_t I) {
  const auto& [x, y, z] = move;
  const auto of = [](const AxisTransfer& axis, int64_t coarse) { return axis.first[static_cast<size_t>(coarse)]; };
  for (int64_t J = 0; J < y.coarse; ++J) {
    fine.start();
    for (int64_t j = of(y, J); j < of(y, J + 1); ++j) fine.add_face_x(y.share[j], of(x, I), j);
    along_z.means(out.face_x(I, J), fine.finish());
  }
  if (I == x.coarse) return;
  const int64_t begin = of(x, I), end = of(x, I + 1);
  for (int64_t J = 0; J <= y.coarse; ++J) {
    fine.start();
    for (int64_t i = begin; i < end; ++i) fine.add_face_y(x.share[i], i, of(y, J));
    along_z.means(out.face_y(I, J), fine.finish());
  }
  const auto each_child = [&](int64_t J, auto add) {
    fine.start();
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = of(y, J); j < of(y, J + 1); ++j) add(x.share[i] * y.share[j], i, j);
    }
  };
  for (int64_t J = 0; J < y.coarse; ++J) {
    each_child(J, [&](float weight, int64_t i, int64_t j) { fine.add_face_z(weight, i, j); });
    along_z.faces(out.face_z(I, J), fine.finish_z());
    if (out.reaction == nullptr) continue;
    each_child(J, [&](float weight, int64_t i, int64_t j) { fine.add_reaction(weight, i, j); });
    along_z.means(out.reaction_row(I, J), fine.finish());
  }
}

}  // namespace fastsciml::medium
