// The update of a conjugate-direction step and the residual it leaves, on the CPU; formulae in operators.h.
//
// u changes in place and each thread owns a slab of planes. The residual of a slab's first and last plane needs
// planes of other slabs, so these two wait until every slab is done; the others follow the update by one plane, while
// it is in the cache.

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <array>
#include <vector>

#include "core/cache.h"
#include "core/parallel.h"
#include "directions/tensors.h"
#include "multigrid/split_row.h"
#include "poisson/row.h"

namespace fastsciml::directions {
namespace {

using core::kRowsAhead;

template <class T>
struct Step {
  poisson::Grid<T> grid;
  int64_t half;
  T* u;                                         // [nx, ny, nz]
  const T* f;                                   // [nx, ny, nz]
  float* direction;                             // z, then z + sum beta p [nx, ny, 2 half]
  size_t count;                                 // of the directions whose beta is not 0
  std::array<const float*, kMostDirections> p;  // [nx, ny, 2 half] each
  std::array<float, kMostDirections> betas;
  float* r;  // [nx, ny, 2 half]
  T length;
  T scale;
  bool from_zero;  // u counts as 0, whatever is in it

  void update_row(int64_t i, int64_t j) const {
    const int64_t ny = grid.y.extent, nz = grid.z.extent;
    T* __restrict uj = u + grid.cell(i, j, 0);
    float* __restrict even = direction + (i * ny + j) * 2 * half;
    float* __restrict odd = even + half;
    core::prefetch_for_writing(uj + kRowsAhead * nz, nz);
    core::prefetch(even + kRowsAhead * 2 * half, 2 * half);
    // The row stays in the L1 cache.
    for (size_t d = 0; d < count; ++d) {
      const float* __restrict pj = p[d] + (i * ny + j) * 2 * half;
      const float beta = betas[d];
      for (int64_t m = 0; m < 2 * half; ++m) even[m] += beta * pj[m];
    }
    if (from_zero) std::fill_n(uj, nz, T{0});
#pragma omp simd
    for (int64_t m = 0; m < nz / 2; ++m) {
      uj[2 * m] += length * static_cast<T>(even[m]);
      uj[2 * m + 1] += length * static_cast<T>(odd[m]);
    }
    if (nz % 2) uj[nz - 1] += length * static_cast<T>(even[nz / 2]);
  }

  // Square of the row's residual norm; `residuals` is a scratch row.
  template <class Faces, class Conducts, class Alphas>
  double residual_row(int64_t i, int64_t j, const poisson::RowScratch<T>& scratch, T* residuals, Faces, Conducts,
                      Alphas) const {
    const int64_t ny = grid.y.extent, nz = grid.z.extent;
    const T* fj = f + grid.cell(i, j, 0);
    float* rj = r + (i * ny + j) * 2 * half;
    core::prefetch(fj + kRowsAhead * nz, nz);
    core::prefetch_for_writing(rj + kRowsAhead * 2 * half, 2 * half);
    const poisson::Row<T> row = poisson::row_of(grid, u, i, j, scratch);
    // Most rows of most masks are far from any obstacle.
    const bool closed = Faces::value && !poisson::all_open(row.open, nz);
    const double sum = closed ? residuals_of<Faces::value, Conducts::value, Alphas::value>(residuals, row, fj, nz)
                              : residuals_of<false, Conducts::value, Alphas::value>(residuals, row, fj, nz);
    multigrid::split_row(rj, residuals, scale, nz, half);
    return sum;
  }

  template <bool kFaces, bool kConducts, bool kAlphas>
  static double residuals_of(T* __restrict residuals, const poisson::Row<T>& row, const T* __restrict f, int64_t nz) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t k = 0; k < nz; ++k) {
      const double unknown = kFaces ? static_cast<double>(row.open[k] >> poisson::kUnknownBit & 1) : 1.0;
      // In float, rounding can make a residual 0 that is not.
      const double residual = unknown * f[k] - row.template apply<double, kFaces, kConducts, kAlphas>(k);
      residuals[k] = static_cast<T>(residual);
      sum += residual * residual;
    }
    return sum;
  }
};

// Rows of a tile: its planes' share of u, f, z and r stays in half the L2 cache of current processors.
template <class T>
int64_t rows_per_tile(const Step<T>& step) {
  constexpr int64_t kCacheBytes = 1 << 19, kBytesPerCell = 4 * sizeof(T) + 2 * sizeof(float);
  return std::clamp<int64_t>(kCacheBytes / (kBytesPerCell * step.grid.z.extent), 1, step.grid.y.extent);
}

template <class T, class... Features>
double run(const Step<T>& step, Features... features) {
  const int64_t nx = step.grid.x.extent, ny = step.grid.y.extent, nz = step.grid.z.extent;
  // Each plane's sum takes its rows in the order 1, 2, ..., 0, however they are cut: row 0 may be a neighbour of the
  // last.
  std::vector<double> planes(static_cast<size_t>(nx));
  const auto with_rows = [&](auto body) {
    std::vector<T> storage(static_cast<size_t>(poisson::RowScratch<T>::size(nz) + nz));
    const poisson::RowScratch<T> scratch(storage.data(), nz);
    T* residuals = storage.data() + poisson::RowScratch<T>::size(nz);
    body([&](int64_t i, int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j) {
        planes[static_cast<size_t>(i)] += step.residual_row(i, j % ny, scratch, residuals, features...);
      }
    });
  };

  const int64_t slabs = core::useful_chunks(nx / 2, 2 * ny * nz);
  const int64_t tile = rows_per_tile(step);
  const auto cut = [&](int64_t slab) { return nx * slab / slabs; };
  core::parallel_for(slabs, [&](int64_t slab) {
    with_rows([&](auto residual_rows) {
      for (int64_t begin = 0; begin < ny; begin += tile) {
        const int64_t end = std::min(begin + tile, ny);
        // The last row of a tile needs the next tile's first.
        const int64_t ready = end < ny ? end - 1 : ny + 1;
        for (int64_t i = cut(slab); i < cut(slab + 1); ++i) {
          for (int64_t j = begin; j < end; ++j) step.update_row(i, j);
          if (i - 1 > cut(slab)) residual_rows(i - 1, std::max<int64_t>(begin - 1, 1), ready);
        }
      }
    });
  });
  core::parallel_for(slabs, [&](int64_t slab) {
    with_rows([&](auto residual_rows) {
      residual_rows(cut(slab), 1, ny + 1);
      if (cut(slab + 1) - 1 > cut(slab)) residual_rows(cut(slab + 1) - 1, 1, ny + 1);
    });
  });

  double sum = 0;
  for (const double plane : planes) sum += plane;
  return sum;
}

template <class T>
double step_of(Tensor& u, Tensor& z, const std::vector<Tensor>& directions, Tensor& r, const Tensor& f,
               const poisson::Operator& a, const double* lengths, double scale, bool from_zero) {
  Step<T> step{.grid = poisson::grid_of<T>(a, u.size(0), u.size(1), u.size(2)),
               .half = multigrid::half_of(u.size(2)),
               .u = core::mutable_data<T>(u),
               .f = core::data<T>(f),
               .direction = core::mutable_data<float>(z),
               .count = 0,
               .p = {},
               .betas = {},
               .r = core::mutable_data<float>(r),
               .length = static_cast<T>(lengths[0]),
               .scale = static_cast<T>(scale),
               .from_zero = from_zero};
  for (size_t d = 0; d < directions.size(); ++d) {
    const auto beta = static_cast<float>(lengths[1 + d]);
    if (beta == 0.0f) continue;
    step.p[step.count] = core::data<float>(directions[d]);
    step.betas[step.count++] = beta;
  }
  return poisson::with_features(step.grid, [&](auto... features) { return run(step, features...); });
}

}  // namespace

Tensor conjugate_direction_step(Tensor u, Tensor z, std::vector<Tensor> directions, Tensor r, Tensor f,
                                Tensor couplings, Ints periodic, std::optional<Tensor> faces,
                                std::vector<Tensor> coefficient, std::optional<Tensor> alpha, Tensor lengths,
                                double scale, bool from_zero) {
  const poisson::Operator a{couplings, periodic, faces, coefficient, alpha};
  check_step(u, z, directions, r, f, a, lengths);
  const auto* steps = core::data<double>(lengths);
  const bool is_double = u.scalar_type() == core::ScalarType::Double;
  const double squared = is_double ? step_of<double>(u, z, directions, r, f, a, steps, scale, from_zero)
                                   : step_of<float>(u, z, directions, r, f, a, steps, scale, from_zero);
  Tensor norm = torch::stable::new_empty(u, {1}, core::ScalarType::Double);
  *core::mutable_data<double>(norm) = squared;
  return norm;
}

}  // namespace fastsciml::directions
