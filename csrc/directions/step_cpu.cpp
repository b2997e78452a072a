// The update of a conjugate-direction step and the residual it leaves, on the CPU; formulae in operators.h.
//
// u changes in place and each thread owns a slab of planes. The residual of a slab's first and last plane needs
// planes of other slabs, so these two wait until every slab is done; the others follow the update by one plane, while
// it is in the cache.

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <vector>

#include "core/cache.h"
#include "core/parallel.h"
#include "directions/operators.h"
#include "multigrid/split_row.h"

namespace fastsciml::directions {
namespace {

using core::kRowsAhead;
using multigrid::kRowUnit;

template <class T>
struct Couplings {
  const T* lower;
  const T* upper;
};

template <class T>
struct Step {
  int64_t nx, ny, nz, half;
  bool periodic_x, periodic_y, periodic_z;
  Couplings<T> x, y, z;
  const uint8_t* faces;  // [nx, ny, nz], or null: everything is open
  T* u;                  // [nx, ny, nz]
  const T* f;            // [nx, ny, nz]
  float* direction;      // z, then z + beta p [nx, ny, 2 half]
  const float* p;        // [nx, ny, 2 half], not read where beta is 0
  float* r;              // [nx, ny, 2 half]
  T alpha;
  T length;
  float beta;
  T scale;

  void update_row(int64_t i, int64_t j) const {
    T* __restrict uj = u + (i * ny + j) * nz;
    float* __restrict even = direction + (i * ny + j) * 2 * half;
    float* __restrict odd = even + half;
    core::prefetch_for_writing(uj + kRowsAhead * nz, nz);
    core::prefetch(even + kRowsAhead * 2 * half, 2 * half);
    if (beta != 0.0f) {
      const float* __restrict pj = p + (i * ny + j) * 2 * half;
      for (int64_t m = 0; m < 2 * half; ++m) even[m] += beta * pj[m];
    }
#pragma omp simd
    for (int64_t m = 0; m < nz / 2; ++m) {
      uj[2 * m] += length * static_cast<T>(even[m]);
      uj[2 * m + 1] += length * static_cast<T>(odd[m]);
    }
    if (nz % 2) uj[nz - 1] += length * static_cast<T>(even[nz / 2]);
  }

  // Square of the row's residual norm; `centre` is a scratch row with a cell more on both sides, then one for the
  // residual.
  double residual_row(int64_t i, int64_t j, T* centre) const {
    const int64_t row = (i * ny + j) * nz;
    core::prefetch(f + row + kRowsAhead * nz, nz);
    core::prefetch_for_writing(r + (i * ny + j + kRowsAhead) * 2 * half, 2 * half);
    std::copy_n(u + row, nz, centre);
    centre[-1] = periodic_z ? centre[nz - 1] : T{0};
    centre[nz] = periodic_z ? centre[0] : T{0};
    T* residuals = centre + nz + kRowUnit;
    const double sum =
        faces ? residual_loop<true>(i, j, centre, residuals) : residual_loop<false>(i, j, centre, residuals);
    multigrid::split_row(r + (i * ny + j) * 2 * half, residuals, scale, nz, half);
    return sum;
  }

 private:
  // Neighbouring rows; past a non-periodic end there is none, and the row itself stands in with the coupling 0.
  const T* neighbour(int64_t i, int64_t j) const { return u + ((i + nx) % nx * ny + (j + ny) % ny) * nz; }

  template <bool kFaces>
  double residual_loop(int64_t i, int64_t j, const T* __restrict c, T* __restrict residuals) const {
    const T lx = x.lower[i], ux = x.upper[i], ly = y.lower[j], uy = y.upper[j];
    const T off_lx = i > 0 || periodic_x ? lx : T{0}, off_ux = i + 1 < nx || periodic_x ? ux : T{0};
    const T off_ly = j > 0 || periodic_y ? ly : T{0}, off_uy = j + 1 < ny || periodic_y ? uy : T{0};
    const T* __restrict below_x = neighbour(i - 1, j);
    const T* __restrict above_x = neighbour(i + 1, j);
    const T* __restrict below_y = neighbour(i, j - 1);
    const T* __restrict above_y = neighbour(i, j + 1);
    const T* __restrict lz = z.lower;
    const T* __restrict uz = z.upper;
    const T* __restrict fj = f + (i * ny + j) * nz;
    const uint8_t* __restrict open = kFaces ? faces + (i * ny + j) * nz : nullptr;
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t k = 0; k < nz; ++k) {
      T diagonal, fluid = 1;
      if constexpr (kFaces) {
        const int bits = open[k];
        diagonal = alpha + lx * static_cast<T>(bits & 1) + ux * static_cast<T>(bits >> 1 & 1) +
                   ly * static_cast<T>(bits >> 2 & 1) + uy * static_cast<T>(bits >> 3 & 1) +
                   lz[k] * static_cast<T>(bits >> 4 & 1) + uz[k] * static_cast<T>(bits >> 5 & 1);
        fluid = static_cast<T>(bits >> 6 & 1);
      } else {
        diagonal = alpha + lx + ux + ly + uy + lz[k] + uz[k];
      }
      const T off_diagonal = off_lx * below_x[k] + off_ux * above_x[k] + off_ly * below_y[k] + off_uy * above_y[k] +
                             lz[k] * c[k - 1] + uz[k] * c[k + 1];
      const T residual = fluid * (fj[k] + off_diagonal - diagonal * c[k]);
      residuals[k] = residual;
      sum += static_cast<double>(residual) * static_cast<double>(residual);
    }
    return sum;
  }
};

// Rows of a tile: its planes' share of u, f, z and r stays in half the L2 cache of current processors.
template <class T>
int64_t rows_per_tile(const Step<T>& step) {
  constexpr int64_t kCacheBytes = 1 << 19, kBytesPerCell = 4 * sizeof(T) + 2 * sizeof(float);
  return std::clamp<int64_t>(kCacheBytes / (kBytesPerCell * step.nz), 1, step.ny);
}

template <class T>
double run(const Step<T>& step) {
  // Each plane's sum takes its rows in the order 1, 2, ..., 0, however they are cut: row 0 may be a neighbour of the
  // last.
  std::vector<double> planes(static_cast<size_t>(step.nx));
  const auto residual_rows = [&](int64_t i, int64_t begin, int64_t end, T* centre) {
    for (int64_t j = begin; j < end; ++j) planes[static_cast<size_t>(i)] += step.residual_row(i, j % step.ny, centre);
  };
  const auto with_row = [&](auto body) {
    std::vector<T> padded(static_cast<size_t>(2 * step.nz + 3 * kRowUnit));
    body(padded.data() + kRowUnit);
  };

  const int64_t slabs = core::useful_chunks(step.nx / 2, 2 * step.ny * step.nz);
  const int64_t tile = rows_per_tile(step);
  const auto cut = [&](int64_t slab) { return step.nx * slab / slabs; };
  core::parallel_for(slabs, [&](int64_t slab) {
    with_row([&](T* centre) {
      for (int64_t begin = 0; begin < step.ny; begin += tile) {
        const int64_t end = std::min(begin + tile, step.ny);
        // The last row of a tile needs the next tile's first.
        const int64_t ready = end < step.ny ? end - 1 : step.ny + 1;
        for (int64_t i = cut(slab); i < cut(slab + 1); ++i) {
          for (int64_t j = begin; j < end; ++j) step.update_row(i, j);
          if (i - 1 > cut(slab)) residual_rows(i - 1, std::max<int64_t>(begin - 1, 1), ready, centre);
        }
      }
    });
  });
  core::parallel_for(slabs, [&](int64_t slab) {
    with_row([&](T* centre) {
      residual_rows(cut(slab), 1, step.ny + 1, centre);
      if (cut(slab + 1) - 1 > cut(slab)) residual_rows(cut(slab + 1) - 1, 1, step.ny + 1, centre);
    });
  });

  double sum = 0;
  for (const double plane : planes) sum += plane;
  return sum;
}

template <class T>
double step_of(Tensor& u, Tensor& z, const std::optional<Tensor>& p, Tensor& r, const Tensor& f,
               const Tensor& couplings, const Ints& periodic, const std::optional<Tensor>& faces, double alpha,
               double length, double beta, double scale) {
  const int64_t nx = u.size(0), ny = u.size(1), nz = u.size(2);
  const T* c = static_cast<const T*>(couplings.data_ptr());
  return run(Step<T>{.nx = nx,
                     .ny = ny,
                     .nz = nz,
                     .half = multigrid::half_of(nz),
                     .periodic_x = periodic[0] != 0,
                     .periodic_y = periodic[1] != 0,
                     .periodic_z = periodic[2] != 0,
                     .x = {c, c + nx},
                     .y = {c + 2 * nx, c + 2 * nx + ny},
                     .z = {c + 2 * (nx + ny), c + 2 * (nx + ny) + nz},
                     .faces = faces ? static_cast<const uint8_t*>(faces->data_ptr()) : nullptr,
                     .u = static_cast<T*>(u.data_ptr()),
                     .f = static_cast<const T*>(f.data_ptr()),
                     .direction = static_cast<float*>(z.data_ptr()),
                     .p = p ? static_cast<const float*>(p->data_ptr()) : nullptr,
                     .r = static_cast<float*>(r.data_ptr()),
                     .alpha = static_cast<T>(alpha),
                     .length = static_cast<T>(length),
                     .beta = static_cast<float>(beta),
                     .scale = static_cast<T>(scale)});
}

}  // namespace

Tensor conjugate_direction_step(Tensor u, Tensor z, std::optional<Tensor> p, Tensor r, Tensor f, Tensor couplings,
                                Ints periodic, std::optional<Tensor> faces, double alpha, double length, double beta,
                                double scale) {
  STD_TORCH_CHECK(p || beta == 0.0, "conjugate_direction_step: p is missing, and beta is not 0");
  const bool is_double = u.scalar_type() == torch::headeronly::ScalarType::Double;
  const double squared = is_double
                             ? step_of<double>(u, z, p, r, f, couplings, periodic, faces, alpha, length, beta, scale)
                             : step_of<float>(u, z, p, r, f, couplings, periodic, faces, alpha, length, beta, scale);
  Tensor norm = torch::stable::new_empty(u, {1}, torch::headeronly::ScalarType::Double);
  *static_cast<double*>(norm.data_ptr()) = squared;
  return norm;
}

}  // namespace fastsciml::directions
