// Views a hierarchy's tensors as levels; the layout is in tensors.h.

#include "multigrid/tensors.h"

#include <algorithm>
#include <span>

namespace fastsciml::multigrid {
namespace {

// Takes arrays one after another out of a flat tensor.
template <class T>
class Reader {
 public:
  explicit Reader(const Tensor& tensor)
      : values_(static_cast<const T*>(tensor.data_ptr()), static_cast<size_t>(tensor.numel())) {}

  bool empty() const { return values_.empty(); }
  const T* take(int64_t count) {
    STD_TORCH_CHECK(static_cast<size_t>(count) <= values_.size(), "multigrid: a tensor of the hierarchy is too short");
    const T* start = values_.data();
    values_ = values_.subspan(static_cast<size_t>(count));
    return start;
  }

 private:
  std::span<const T> values_;
};

// Level's uniform_z.
float uniform_coupling(const Level& level) {
  const int64_t n = level.z.extent;
  if (level.z_stride != 0 || n < 2) return 0.0f;
  const float coupling = level.near_z[0];
  for (int64_t k = 0; k < n; ++k) {
    const int64_t at = k / 2 + k % 2 * level.half;
    const float lower = k % 2 ? level.near_z[at] : level.far_z[at], upper = k % 2 ? level.far_z[at] : level.near_z[at];
    const bool first = k == 0 && !level.z.periodic, last = k + 1 == n && !level.z.periodic;
    if ((!first && lower != coupling) || (!last && upper != coupling)) return 0.0f;
  }
  return coupling;
}

}  // namespace

// The shape of level l; one past the last level repeats it, so that the last level is not coarsened.
Level shape_of_level(size_t l, const Ints& extents, const Ints& periodic) {
  const size_t last = extents.size() / 3 - 1;
  const int64_t* fine = extents.data() + 3 * l;
  const int64_t* coarse = extents.data() + 3 * std::min(l + 1, last);
  Level level{};
  Axis* axes[] = {&level.x, &level.y, &level.z};
  for (size_t a = 0; a < 3; ++a) {
    axes[a]->extent = fine[a];
    axes[a]->coarse_extent = coarse[a];
    // A single cell is no neighbour of its own. Were it one, planes that follow each other would have the same colours.
    axes[a]->periodic = periodic[a] != 0 && fine[a] > 1;
  }
  level.half = half_of(fine[2]);
  return level;
}

Level level_of(size_t l, const Ints& extents, const Ints& periodic, const LevelTensors& tensors) {
  Level level = shape_of_level(l, extents, periodic);
  const int64_t nx = level.x.extent, ny = level.y.extent, stride = level.stride();
  Reader<float> values(tensors.axes);
  for (Axis* axis : {&level.x, &level.y}) {
    axis->lower = values.take(axis->extent);
    axis->upper = values.take(axis->extent);
    axis->share = values.take(axis->extent);
    axis->own = values.take(axis->extent);
    axis->next = values.take(axis->extent);
    axis->weight = values.take(axis->extent);
  }
  level.z.share = values.take(stride);
  level.z.own = values.take(stride);
  level.z.next = values.take(stride);
  level.z.weight = values.take(stride);
  level.relaxation = *values.take(1);

  Reader<int32_t> maps(tensors.maps);
  level.stored = maps.take(nx * ny);
  for (Axis* axis : {&level.x, &level.y}) {
    axis->parent = maps.take(axis->extent);
    axis->beyond = maps.take(axis->extent);
    axis->first = maps.take(axis->coarse_extent + 1);
  }
  if (!maps.empty()) {
    level.z_parent = maps.take(stride);
    level.z_beyond = maps.take(stride);
    level.z_first = maps.take(2 * half_of(level.z.coarse_extent));
    level.z_second = maps.take(2 * half_of(level.z.coarse_extent));
  }

  level.rows = tensors.diagonals.numel() / (2 * stride);
  level.diagonal = static_cast<const float*>(tensors.diagonals.data_ptr());
  level.inverse_diagonal = level.diagonal + tensors.diagonals.numel() / 2;
  level.near_z = static_cast<const float*>(tensors.z_couplings.data_ptr());
  level.far_z = level.near_z + tensors.z_couplings.numel() / 2;
  level.z_stride = tensors.z_couplings.numel() == 2 * stride ? 0 : stride;
  level.uniform_z = uniform_coupling(level);
  if (tensors.faces != nullptr && tensors.faces->numel() > 0) {
    level.face_x = static_cast<const float*>(tensors.faces->data_ptr());
    level.face_y = level.face_x + (nx + 1) * ny * stride;
  }
  return level;
}

}  // namespace fastsciml::multigrid
