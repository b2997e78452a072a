// The packed medium of the next coarser level: faces and reaction are means over what lies on a coarse face, in a
// coarse cell.
//   faces, face_z, reaction -> the same, coarse;   reads 12 bytes per fine cell, 16 with a reaction, and writes 20 per
// coarse one. Caller: ops/packed_medium.py.

#include "core/parallel.h"
#include "medium/coarsening.h"

namespace fastsciml::medium {
namespace {

// Sums of rows that are in halves already.
class PackedSource {
 public:
  explicit PackedSource(const PackedRows<const float>& rows)
      : rows_(rows), sum_(static_cast<size_t>(2 * rows.half_z())) {}

  void start() { std::fill(sum_.begin(), sum_.end(), 0.0f); }
  void add_face_x(float weight, int64_t i, int64_t j) { add(weight, rows_.face_x(i, j), 2 * rows_.half()); }
  void add_face_y(float weight, int64_t i, int64_t j) { add(weight, rows_.face_y(i, j), 2 * rows_.half()); }
  void add_face_z(float weight, int64_t i, int64_t j) { add(weight, rows_.face_z(i, j), 2 * rows_.half_z()); }
  void add_reaction(float weight, int64_t i, int64_t j) { add(weight, rows_.reaction_row(i, j), 2 * rows_.half()); }
  const float* finish() const { return sum_.data(); }
  const float* finish_z() const { return sum_.data(); }

 private:
  void add(float weight, const float* __restrict row, int64_t floats) {
    float* __restrict sum = sum_.data();
#pragma omp simd
    for (int64_t m = 0; m < floats; ++m) sum[m] += weight * row[m];
  }

  PackedRows<const float> rows_;
  std::vector<float> sum_;  // [2 half_z], the longer of both kinds
};

}  // namespace

PackedMedium coarsen_medium(Tensor faces, Tensor face_z, Tensor reaction, Flags extents, Tensor parents,
                            Tensor shares) {
  constexpr const char* op = "coarsen_medium";
  core::check(extents.size() == 3, op, "extents", "have three entries");
  const Extents n{extents[0], extents[1], extents[2]};
  const PackedRows<const float> fine = rows_to_read(faces, face_z, reaction, n, op);
  const Transfer move(parents, shares, n, op);
  PackedMedium coarse = empty_medium(faces, move.coarse(), fine.reaction != nullptr);
  const PackedRows<float> out = rows_to_write(coarse, move.coarse());
  core::parallel_range(move.x.coarse + 1, n[0] * n[1] * n[2] / move.x.coarse, [&](int64_t begin, int64_t end) {
    PackedSource source(fine);
    RowTransfer along_z(move.z);
    for (int64_t i = begin; i < end; ++i) coarsen_plane(out, move, along_z, source, i);
  });
  return coarse;
}

}  // namespace fastsciml::medium
