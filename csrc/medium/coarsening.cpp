// Reads and checks the transfers of coarsening.h.

#include "medium/coarsening.h"

namespace fastsciml::medium {
namespace {

AxisTransfer axis_transfer(const int32_t* parent, const float* share, int64_t extent, const char* op) {
  AxisTransfer axis{extent, parent[extent - 1] + int64_t{1}, parent, share, {}};
  core::check(parent[0] == 0, op, "parents", "begin with 0 along each axis");
  axis.first.push_back(0);
  for (int64_t i = 1; i < extent; ++i) {
    const int32_t step = parent[i] - parent[i - 1];
    core::check(step == 0 || step == 1, op, "parents", "grow by 0 or 1 along each axis");
    if (step == 1) axis.first.push_back(i);
  }
  axis.first.push_back(extent);
  return axis;
}

}  // namespace

Transfer::Transfer(const Tensor& parents, const Tensor& shares, const Extents& n, const char* op) {
  core::check_contiguous(parents, core::ScalarType::Int, op, "parents");
  core::check_contiguous(shares, core::ScalarType::Float, op, "shares");
  const int64_t all = n[0] + n[1] + n[2];
  core::check(parents.numel() == all, op, "parents", "have one entry per cell along each axis");
  core::check(shares.numel() == all, op, "shares", "have one entry per cell along each axis");
  const int32_t* parent = core::data<int32_t>(parents);
  const float* share = core::data<float>(shares);
  x = axis_transfer(parent, share, n[0], op);
  y = axis_transfer(parent + n[0], share + n[0], n[1], op);
  z = axis_transfer(parent + n[0] + n[1], share + n[0] + n[1], n[2], op);
}

RowTransfer::RowTransfer(const AxisTransfer& z)
    : z_(z),
      half_(half_of(z.extent)),
      pairs_(true),
      share_(static_cast<size_t>(2 * half_)),
      row_(static_cast<size_t>(z.extent + 1)) {
  for (int64_t k = 0; k < z.extent; ++k) pairs_ = pairs_ && z.parent[k] == k / 2;
  multigrid::split_row(share_.data(), z.share, 1.0f, z.extent, half_);
}

}  // namespace fastsciml::medium
