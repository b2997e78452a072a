// out = A u on the CPU; formula and layouts in poisson/operators.h. A row's interior is a plain loop the compiler
// vectorises, its two ends and rows with closed faces go cell by cell.

#include <torch/csrc/stable/ops.h>

#include "core/parallel.h"
#include "poisson/checks.h"
#include "poisson/operators.h"
#include "poisson/stencil.h"

namespace fastsciml::poisson {
namespace {

// Offset to the neighbouring row along an axis, and the coupling to it, which is 0 where there is none.
template <class T>
struct RowNeighbours {
  int64_t below, above;
  T lower, upper;

  RowNeighbours(const Axis<T>& axis, int64_t i) {
    const int64_t around = axis.stride * (axis.extent - 1);
    const bool first = i == 0, last = i + 1 == axis.extent;
    below = !first ? -axis.stride : (axis.periodic ? around : 0);
    above = !last ? axis.stride : (axis.periodic ? -around : 0);
    lower = first && !axis.periodic ? T{0} : axis.lower[i];
    upper = last && !axis.periodic ? T{0} : axis.upper[i];
  }
};

// u, out: the row of nz cells at (i, j), every face open.
template <class T>
void apply_open_row(const Grid<T>& grid, const T* u, T* __restrict out, int64_t i, int64_t j) {
  const RowNeighbours<T> x(grid.x, i), y(grid.y, j);
  const T across = grid.alpha + grid.x.lower[i] + grid.x.upper[i] + grid.y.lower[j] + grid.y.upper[j];
  const T* lower = grid.z.lower;
  const T* upper = grid.z.upper;
  const int64_t last = grid.z.extent - 1;
  for (int64_t k = 1; k < last; ++k) {
    const T neighbours = x.lower * u[k + x.below] + x.upper * u[k + x.above] + y.lower * u[k + y.below] +
                         y.upper * u[k + y.above] + lower[k] * u[k - 1] + upper[k] * u[k + 1];
    out[k] = (across + lower[k] + upper[k]) * u[k] - neighbours;
  }
  out[0] = apply_at(grid, u, i, j, 0);
  out[last] = apply_at(grid, u + last, i, j, last);
}

template <class T>
void apply(const Grid<T>& grid, const T* u, T* out, int64_t batch) {
  const int64_t nx = grid.x.extent, ny = grid.y.extent, nz = grid.z.extent;
  core::parallel_range(batch * nx, ny * nz, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      for (int64_t j = 0; j < ny; ++j) {
        const int64_t row = (plane * ny + j) * nz;
        if (!grid.faces) {
          apply_open_row(grid, u + row, out + row, plane % nx, j);
        } else {
          for (int64_t k = 0; k < nz; ++k) out[row + k] = apply_at(grid, u + row + k, plane % nx, j, k);
        }
      }
    }
  });
}

template <class T>
void apply_tensors(const Tensor& u, const Tensor& couplings, const std::vector<int64_t>& periodic,
                   const std::optional<Tensor>& faces, double alpha, Tensor& out) {
  const Grid<T> grid = make_grid(u.size(1), u.size(2), u.size(3), core::data<T>(couplings), periodic.data(),
                                 faces ? core::data<uint8_t>(*faces) : nullptr, static_cast<T>(alpha));
  apply(grid, core::data<T>(u), core::mutable_data<T>(out), u.size(0));
}

}  // namespace

Tensor poisson_apply(Tensor u, Tensor couplings, std::vector<int64_t> periodic, std::optional<Tensor> faces,
                     double alpha) {
  check_apply(u, couplings, periodic, faces);
  Tensor out = torch::stable::empty_like(u);
  if (u.scalar_type() == core::ScalarType::Double)
    apply_tensors<double>(u, couplings, periodic, faces, alpha, out);
  else
    apply_tensors<float>(u, couplings, periodic, faces, alpha, out);
  return out;
}

}  // namespace fastsciml::poisson
