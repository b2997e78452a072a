// Views a hierarchy's tensors as levels; the layout is in tensors.h.

#include "multigrid/tensors.h"

#include <algorithm>
#include <span>

namespace fastsciml::multigrid {
namespace {

// Takes arrays one after another out of a flat tensor.
class Reader {
 public:
  explicit Reader(const Tensor& tensor)
      : values_(static_cast<const float*>(tensor.data_ptr()), static_cast<size_t>(tensor.numel())) {}

  const float* take(int64_t count) {
    STD_TORCH_CHECK(static_cast<size_t>(count) <= values_.size(), "multigrid: an `axes` tensor is too short");
    const float* start = values_.data();
    values_ = values_.subspan(static_cast<size_t>(count));
    return start;
  }

 private:
  std::span<const float> values_;
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
    axes[a]->coarsened = coarse[a] < fine[a];
    axes[a]->periodic = periodic[a] != 0;
  }
  level.half = half_of(fine[2]);
  return level;
}

Level level_of(size_t l, const Ints& extents, const Ints& periodic, const LevelTensors& tensors) {
  Level level = shape_of_level(l, extents, periodic);
  const int64_t nx = level.x.extent, ny = level.y.extent, stride = level.stride();
  Reader values(tensors.axes);
  for (Axis* axis : {&level.x, &level.y}) {
    axis->lower = values.take(axis->extent);
    axis->upper = values.take(axis->extent);
    axis->share = values.take(axis->extent);
    axis->own = values.take(axis->extent);
    axis->next = values.take(axis->extent);
  }
  level.z.share = values.take(stride);
  level.z.own = values.take(stride);
  level.z.next = values.take(stride);
  level.relaxation = *values.take(1);

  level.row_x = static_cast<const int32_t*>(tensors.row_indices.data_ptr());
  level.row_y = level.row_x + nx;
  level.diagonal = static_cast<const float*>(tensors.diagonals.data_ptr());
  level.inverse_diagonal = level.diagonal + tensors.diagonals.numel() / 2;
  level.near_z = static_cast<const float*>(tensors.z_couplings.data_ptr());
  level.far_z = level.near_z + tensors.z_couplings.numel() / 2;
  level.z_stride = tensors.z_couplings.numel() == 2 * stride ? 0 : stride;
  if (tensors.openness != nullptr && tensors.openness->numel() > 0) {
    level.open_x = static_cast<const float*>(tensors.openness->data_ptr());
    level.open_y = level.open_x + nx * ny * stride;
  }
  return level;
}

}  // namespace fastsciml::multigrid
