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
  core::Memory<const T> take(int64_t count) {
    STD_TORCH_CHECK(static_cast<size_t>(count) <= values_.size(), "multigrid: a tensor of the hierarchy is too short");
    const T* start = values_.data();
    values_ = values_.subspan(static_cast<size_t>(count));
    return core::memory(start, count);
  }

 private:
  std::span<const T> values_;
};

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
  level.relaxation = values.take(1);

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
  Reader<float> diagonals(tensors.diagonals), z_couplings(tensors.z_couplings);
  level.diagonal = diagonals.take(tensors.diagonals.numel() / 2);
  level.inverse_diagonal = diagonals.take(tensors.diagonals.numel() / 2);
  level.near_z = z_couplings.take(tensors.z_couplings.numel() / 2);
  level.far_z = z_couplings.take(tensors.z_couplings.numel() / 2);
  level.z_stride = tensors.z_couplings.numel() == 2 * stride ? 0 : stride;
  if (tensors.faces != nullptr && tensors.faces->numel() > 0) {
    Reader<float> faces(*tensors.faces);
    level.face_x = faces.take((nx + 1) * ny * stride);
    level.face_y = faces.take(nx * (ny + 1) * stride);
  }
  return level;
}

}  // namespace fastsciml::multigrid
