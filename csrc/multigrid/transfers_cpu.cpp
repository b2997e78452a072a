// The steps that are not fused, on the CPU, plane by plane; formulae in transfers.h.

#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "multigrid/guess.h"
#include "multigrid/rows.h"
#include "multigrid/transfers.h"

namespace fastsciml::multigrid {
namespace {

// One thread's rows: a padded one, or a sum of rows and a row in the order of k (with its ghost cells), or those of a
// guess.
int64_t share_floats(const Level& level) {
  return std::max(PaddedRow::stride(level) + 4 * level.stride() + 4 * kRowUnit, GuessRows::scratch_floats(level));
}

// body(plane, scratch) for planes 0 .. planes - 1.
template <class Body>
void for_each_plane(const Level& level, int64_t planes, std::span<float> scratch, Body body) {
  const int64_t chunks = core::useful_chunks(planes, level.cells() / planes);
  core::parallel_for(chunks, [&](int64_t chunk) {
    float* rows = scratch.data() + chunk * share_floats(level);
    for (int64_t i = planes * chunk / chunks; i < planes * (chunk + 1) / chunks; ++i) body(i, rows);
  });
}

void add_row(float* __restrict sum, float weight, const float* __restrict row, int64_t n) {
#pragma omp simd
  for (int64_t m = 0; m < n; ++m) sum[m] += weight * row[m];
}

// The neighbouring row in x or y; past a non-periodic end, where the coupling is 0, any row will do.
int64_t neighbour(const Axis& axis, int64_t i, int64_t step) {
  const int64_t j = i + step;
  return j >= 0 && j < axis.extent ? j : (axis.periodic ? axis.wrap(j) : i);
}

template <bool kWeighted>
void residual_row(const Level& level, const float* f, const float* v, float* r, int64_t i, int64_t j, float* padded) {
  const int64_t row = level.row(i, j);
  std::copy_n(v + row, level.half, padded);
  std::copy_n(v + row + level.half, level.half, padded + PaddedRow::odd(level));
  PaddedRow::wrap_ends(level, padded);
  std::fill_n(r + row, level.stride(), 0.0f);
  for (int64_t which : {0, 1}) {
    const int64_t h = which * level.half, d = level.diagonal_row(i, j) + h;
    HalfStencil s = couplings_of<kWeighted>(level, i, j, which);
    s.below_x = v + level.row(neighbour(level.x, i, -1), j) + h;
    s.above_x = v + level.row(neighbour(level.x, i, 1), j) + h;
    s.below_y = v + level.row(i, neighbour(level.y, j, -1)) + h;
    s.above_y = v + level.row(i, neighbour(level.y, j, 1)) + h;
    s.near = padded + PaddedRow::half(level, 1 - which);
    s.far = s.near + (which ? 1 : -1);
    residual_half<kWeighted>(r + row + h, 1.0f, v + row + h, f + row + h, level.diagonal + d,
                             level.inverse_diagonal + d, s, level.half);
  }
}

// The fine cells that a coarse one is interpolated to, along x or y, and how much their residuals count for it.
class AdjointAxis {
 public:
  struct Part {
    int64_t cell;
    float weight;
  };

  AdjointAxis(const Axis& fine, const Axis& coarse) : parts_(static_cast<size_t>(coarse.extent)) {
    for (int64_t i = 0; i < fine.extent; ++i) {
      const int64_t parent = fine.parent[i], beyond = fine.beyond[i];
      parts_[static_cast<size_t>(parent)].push_back({i, fine.share[i] * fine.own[i]});
      // The share is one of the parent's width.
      const float moved = fine.share[i] * coarse.weight[parent] / coarse.weight[beyond];
      if (fine.next[i] != 0.0f) parts_[static_cast<size_t>(beyond)].push_back({i, moved * fine.next[i]});
    }
  }

  const std::vector<Part>& of(int64_t coarse_cell) const { return parts_[static_cast<size_t>(coarse_cell)]; }

 private:
  std::vector<std::vector<Part>> parts_;
};

// The same along z for a whole row: coarse = P* fine, rows in halves; `natural` is scratch of twice a coarse half.
void adjoint_row(const Level& level, const Level& coarse, float* out, const float* fine, float* natural) {
  const int64_t n = level.z.extent, wide = coarse.z.extent;
  if (!level.z.coarsened()) {
    std::copy_n(fine, level.stride(), out);
    return;
  }
  const auto place = [](const Level& of, int64_t k) { return (k >> 1) + (k & 1) * of.half; };
  std::fill_n(natural, coarse.stride(), 0.0f);
  for (int64_t k = 0; k < n; ++k) {
    const int64_t at = place(level, k);
    const int64_t parent = level.z_parent ? level.z_parent[at] : k / 2;
    const int64_t beyond = level.z_beyond ? level.z_beyond[at] : (parent + (k % 2 ? 1 : -1) + wide) % wide;
    const float value = level.z.share[at] * fine[at];
    const float wider = coarse.z.weight[place(coarse, parent)] / coarse.z.weight[place(coarse, beyond)];
    natural[parent] += level.z.own[at] * value;
    natural[beyond] += level.z.next[at] * wider * value;
  }
  std::fill_n(out, coarse.stride(), 0.0f);
  for (int64_t k = 0; k < wide; ++k) out[place(coarse, k)] = natural[k];
}

}  // namespace

int64_t transfer_floats(const Level& level, int64_t threads) { return threads * share_floats(level); }

void average(const Level& level, const Level& coarse, const float* f, float* f_coarse, std::span<float> scratch) {
  for_each_plane(level, coarse.x.extent, scratch, [&](int64_t i_coarse, float* sum) {
    for (int64_t j_coarse = 0; j_coarse < coarse.y.extent; ++j_coarse) {
      std::fill_n(sum, level.stride(), 0.0f);
      for (int64_t i = level.x.first[i_coarse]; i < level.x.first[i_coarse + 1]; ++i) {
        for (int64_t j = level.y.first[j_coarse]; j < level.y.first[j_coarse + 1]; ++j) {
          add_row(sum, level.x.share[i] * level.y.share[j], f + level.row(i, j), level.stride());
        }
      }
      restrict_row(level, f_coarse + coarse.row(i_coarse, j_coarse), sum, sum + level.stride());
    }
  });
}

void residual(const Level& level, const float* f, const float* v, float* r, std::span<float> scratch) {
  for_each_plane(level, level.x.extent, scratch, [&](int64_t i, float* padded) {
    std::fill_n(padded, PaddedRow::stride(level) + kRowUnit, 0.0f);
    for (int64_t j = 0; j < level.y.extent; ++j) {
      with_weights(level.weighted(i, j),
                   [&](auto weighted) { residual_row<weighted.value>(level, f, v, r, i, j, padded + kRowUnit); });
    }
  });
}

void weigh_around_solid(const Level& level, const Level& coarse, float* r, std::span<float> scratch) {
  for_each_plane(level, level.x.extent, scratch, [&](int64_t i, float* rows) {
    const GuessRows around(level, coarse, {.e = r, .around_solid = true}, rows);
    for (int64_t j = 0; j < level.y.extent; ++j) around.weigh(i, j, r + level.row(i, j));
  });
}

void restrict_by_adjoint(const Level& level, const Level& coarse, float weight, const float* r, float* f_coarse,
                         std::span<float> scratch) {
  const AdjointAxis x(level.x, coarse.x), y(level.y, coarse.y);
  for_each_plane(level, coarse.x.extent, scratch, [&](int64_t i_coarse, float* sum) {
    for (int64_t j_coarse = 0; j_coarse < coarse.y.extent; ++j_coarse) {
      std::fill_n(sum, level.stride(), 0.0f);
      for (const auto& [i, weight_x] : x.of(i_coarse)) {
        for (const auto& [j, weight_y] : y.of(j_coarse)) {
          add_row(sum, weight * weight_x * weight_y, r + level.row(i, j), level.stride());
        }
      }
      adjoint_row(level, coarse, f_coarse + coarse.row(i_coarse, j_coarse), sum, sum + level.stride());
    }
  });
}

}  // namespace fastsciml::multigrid
