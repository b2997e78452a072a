// ||f - A u||^2 on the CPU, in double: what tells whether a solution is one. Formula and layouts in operators.h.

#include <torch/csrc/stable/ops.h>

#include <vector>

#include "core/parallel.h"
#include "poisson/operators.h"
#include "poisson/residual_norm.h"
#include "poisson/row.h"

namespace fastsciml::poisson {
namespace {

template <class T>
double squared_norm(const Grid<T>& grid, const T* u, const T* f) {
  const int64_t nx = grid.x.extent, ny = grid.y.extent, nz = grid.z.extent;
  // One sum per plane, added in order: the result does not depend on the number of threads.
  std::vector<double> planes(static_cast<size_t>(nx));
  with_features(grid, [&](auto faces, auto conducts, auto alphas) {
    core::parallel_range(nx, ny * nz, [&](int64_t begin, int64_t end) {
      std::vector<T> storage(static_cast<size_t>(RowScratch<T>::size(nz)));
      const RowScratch<T> scratch(storage.data(), nz);
      for (int64_t i = begin; i < end; ++i) {
        double sum = 0;
        for (int64_t j = 0; j < ny; ++j) {
          const Row<T> row = row_of(grid, u, i, j, scratch);
          const T* __restrict fj = f + grid.cell(i, j, 0);
#pragma omp simd reduction(+ : sum)
          for (int64_t k = 0; k < nz; ++k) {
            const double unknown = faces.value ? static_cast<double>(row.open[k] >> kUnknownBit & 1) : 1.0;
            const double residual =
                unknown * fj[k] - row.template apply<double, faces.value, conducts.value, alphas.value>(k);
            sum += residual * residual;
          }
        }
        planes[static_cast<size_t>(i)] = sum;
      }
    });
  });
  double sum = 0;
  for (const double plane : planes) sum += plane;
  return sum;
}

}  // namespace

Tensor poisson_residual_norm(Tensor u, Tensor f, Tensor couplings, std::vector<int64_t> periodic,
                             std::optional<Tensor> faces, std::vector<Tensor> coefficient,
                             std::optional<Tensor> alpha) {
  const Operator a{couplings, periodic, faces, coefficient, alpha};
  check_residual_norm(u, f, a);
  const int64_t nx = u.size(0), ny = u.size(1), nz = u.size(2);
  Tensor squared = torch::stable::new_empty(u, {1}, core::ScalarType::Double);
  *core::mutable_data<double>(squared) =
      u.scalar_type() == core::ScalarType::Double
          ? squared_norm(grid_of<double>(a, nx, ny, nz), core::data<double>(u), core::data<double>(f))
          : squared_norm(grid_of<float>(a, nx, ny, nz), core::data<float>(u), core::data<float>(f));
  return squared;
}

}  // namespace fastsciml::poisson
