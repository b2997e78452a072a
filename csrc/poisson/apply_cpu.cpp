// out = A u on the CPU; formula and layouts in poisson/operators.h. Threads take planes, whose rows are loops at unit
// stride (row.h).

#include <torch/csrc/stable/ops.h>

#include <vector>

#include "core/parallel.h"
#include "poisson/operators.h"
#include "poisson/row.h"
#include "poisson/tensors.h"

namespace fastsciml::poisson {
namespace {

template <class T>
void apply(const Grid<T>& grid, const T* u, T* out, int64_t batch) {
  const int64_t nx = grid.x.extent, ny = grid.y.extent, nz = grid.z.extent;
  with_features(grid, [&](auto faces, auto conducts, auto alphas) {
    core::parallel_range(batch * nx, ny * nz, [&](int64_t begin, int64_t end) {
      std::vector<T> storage(static_cast<size_t>(RowScratch<T>::size(nz)));
      const RowScratch<T> scratch(storage.data(), nz);
      for (int64_t plane = begin; plane < end; ++plane) {
        const int64_t sample = plane / nx * grid.cells();
        for (int64_t j = 0; j < ny; ++j) {
          const Row<T> row = row_of(grid, u + sample, plane % nx, j, scratch);
          T* __restrict to = out + (plane * ny + j) * nz;
#pragma omp simd
          for (int64_t k = 0; k < nz; ++k) {
            to[k] = row.template apply<T, faces.value, conducts.value, alphas.value>(k);
          }
        }
      }
    });
  });
}

template <class T>
Tensor apply_tensors(const Tensor& u, const Operator& a) {
  Tensor out = torch::stable::empty_like(u);
  apply(grid_of<T>(a, u.size(1), u.size(2), u.size(3)), core::data<T>(u), core::mutable_data<T>(out), u.size(0));
  return out;
}

}  // namespace

Tensor poisson_apply(Tensor u, Tensor couplings, std::vector<int64_t> periodic, std::optional<Tensor> faces,
                     std::vector<Tensor> coefficient, std::optional<Tensor> alpha) {
  const Operator a{couplings, periodic, faces, coefficient, alpha};
  check_apply(u, a);
  return u.scalar_type() == core::ScalarType::Double ? apply_tensors<double>(u, a) : apply_tensors<float>(u, a);
}

}  // namespace fastsciml::poisson
