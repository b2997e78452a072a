// The two fused passes of a V-cycle on the CPU; formulae in passes.h, the order of work in wavefront.h.

#include "multigrid/passes.h"
#include "multigrid/smoother.h"
#include "multigrid/tiling.h"

namespace fastsciml::multigrid {
namespace {

// Cells a halo of `stages` must have more where it lies across seams of odd periodic axes (see smoother.h): one for
// every seam, since there a half-sweep sees the same half-sweep's result.
int64_t seams(const Level& level, int64_t stages) {
  int64_t most = 0;
  for (const Axis& axis : {level.x, level.y}) {
    if (closes_oddly(axis)) most = std::max(most, (stages - 1) / (axis.extent - 1) + 1);
  }
  return most;
}

// Both passes do one thing at the first stage that reaches no further, then 2 * sweeps half-sweeps or (restricting) one
// fewer and a residual, each reaching one cell.
int64_t halo_of(const Level& level, int64_t sweeps) { return 2 * sweeps + seams(level, 2 * sweeps); }
int64_t ring_depth(int64_t sweeps) { return 2 * sweeps + 2; }

// Scratch rows beside the ring: sums of residuals for one coarse plane, or an interpolated row with its ghost cells.
int64_t row_floats(const Level& level) { return 2 * level.stride() + 4 * kRowUnit; }

Tiling tiling_of(const Level& level, int64_t sweeps, int64_t threads) {
  const int64_t halo = halo_of(level, sweeps);
  return Tiling(level, threads, halo,
                [&](int64_t rows) { return PlaneRing::floats(rows, halo, ring_depth(sweeps), level); });
}

// One thread's share of the scratch memory.
struct Scratch {
  float* ring;
  float* rows;

  static int64_t floats(const Level& level, const Tiling& tiling, int64_t sweeps) {
    const int64_t rows = tiling.rows_per_tile();
    return PlaneRing::floats(rows, halo_of(level, sweeps), ring_depth(sweeps), level) + (rows + 1) * row_floats(level);
  }
  static Scratch of(std::span<float> all, int64_t chunk, const Level& level, const Tiling& tiling, int64_t sweeps) {
    const int64_t rows = (tiling.rows_per_tile() + 1) * row_floats(level);
    const int64_t share = floats(level, tiling, sweeps);
    float* start = all.subspan(static_cast<size_t>(chunk * share), static_cast<size_t>(share)).data();
    return {.ring = start + rows, .rows = start};
  }
};

// Sums of residual rows that make up one coarse plane of a tile.
class CoarseRows {
 public:
  CoarseRows(float* storage, const Level& level, const Level& coarse, Range rows)
      : natural_(storage),
        storage_(storage + row_floats(level)),
        level_(level),
        coarse_(coarse),
        first_(level.y.parent(rows.begin)),
        last_(level.y.parent(rows.end - 1)) {}

  float* row(int64_t j) const { return storage_ + (level_.y.parent(j) - first_) * level_.stride(); }
  void clear() const { std::fill_n(storage_, (last_ - first_ + 1) * level_.stride(), 0.0f); }
  void write(float* f_coarse, int64_t i) const {
    for (int64_t j = first_; j <= last_; ++j) {
      restrict_row(f_coarse + coarse_.row(level_.x.parent(i), j), coarse_.half,
                   storage_ + (j - first_) * level_.stride(), level_.half, level_.z.share, level_.z.coarsened,
                   natural_);
    }
  }

 private:
  float* natural_;
  float* storage_;
  const Level& level_;
  const Level& coarse_;
  int64_t first_, last_;
};

// Writes a finished padded row to memory, without the ghost cell that may stand in its padding.
void store_row(const Level& level, float* row, float* out) {
  const int64_t n = level.half;
  float* odd = row + PaddedRow::odd(level);
  if (level.z.periodic) row[PaddedRow::cell(level, level.z.extent)] = 0.0f;
  if (core::exceeds_cache(level.floats())) {
    core::copy_past_cache(out, row, n);
    core::copy_past_cache(out + n, odd, n);
    return;
  }
  core::prefetch_for_writing(out + core::kRowsAhead * level.stride(), level.stride());
  std::copy_n(row, n, out);
  std::copy_n(odd, n, out + n);
}

// Padded rows of v + P e.
class Correction {
 public:
  Correction(const Level& level, const Level& coarse, const float* f, const float* v, const float* e, float* scratch)
      : level_(level), coarse_(coarse), f_(f), v_(v), e_(e), natural_(scratch + kRowUnit) {
    std::fill_n(scratch, row_floats(level), 0.0f);
  }

  void row(int64_t x, int64_t y, const float* inverse, float* out) const {
    const CoarseNeighbours e = neighbours(x, y);
    const float* v = v_ + level_.row(x, y);
    const int64_t n = level_.half;
    core::prefetch(v + core::kRowsAhead * level_.stride(), level_.stride());
    core::prefetch(f_ + level_.row(x, y) + core::kRowsAhead * level_.stride(), level_.stride());
    float* odd = out + PaddedRow::odd(level_);
    if (level_.z.coarsened) {
      interpolate(e);
      const Axis& z = level_.z;
      correct_half(out, v, natural_, natural_ - 1, z.own, z.next, inverse, n);
      correct_half(odd, v + n, natural_, natural_ + 1, z.own + n, z.next + n, inverse + n, n);
    } else {
      correct_half(out, v, e, 0, inverse, n);
      correct_half(odd, v + n, e, n, inverse + n, n);
    }
    PaddedRow::wrap_ends(level_, out);
  }

 private:
  CoarseNeighbours neighbours(int64_t x, int64_t y) const {
    const Axis& ax = level_.x;
    const Axis& ay = level_.y;
    const float* i = e_ + coarse_.row(ax.parent(x), 0);
    const float* i_next = e_ + coarse_.row(ax.neighbour(x), 0);
    const int64_t j = coarse_.row(0, ay.parent(y)), j_next = coarse_.row(0, ay.neighbour(y));
    return {{i + j, i + j_next, i_next + j, i_next + j_next},
            {ax.own[x] * ay.own[y], ax.own[x] * ay.next[y], ax.next[x] * ay.own[y], ax.next[x] * ay.next[y]}};
  }

  void interpolate(const CoarseNeighbours& e) const {
    interpolate_natural(natural_, e, coarse_.half);
    if (!level_.z.periodic) return;
    natural_[-1] = natural_[coarse_.z.extent - 1];
    natural_[coarse_.z.extent] = natural_[0];
  }

  const Level& level_;
  const Level& coarse_;
  const float* f_;
  const float* v_;
  const float* e_;
  float* natural_;
};

template <bool kWeighted>
void smooth_and_restrict_tile(const Level& level, const Level& coarse, int64_t sweeps, const float* f, float* v,
                              float* f_coarse, const Tile& tile, const Scratch& scratch) {
  const int64_t last = 2 * sweeps, halo = halo_of(level, sweeps);
  const PlaneRing ring(scratch.ring, tile, halo, ring_depth(sweeps), level);
  const Smoother<kWeighted> smoother(level, ring, f);
  const CoarseRows sums(scratch.rows, level, coarse, tile.y);

  const auto work = [&](int64_t stage, int64_t i, Range rows) {
    if (stage == 0) return smoother.start(i, rows);
    if (stage < last) return smoother.half_sweep(stage & 1, i, rows);
    const bool opens = !level.x.coarsened || i % 2 == 0;
    const bool closes = !level.x.coarsened || i % 2 == 1 || i + 1 == level.x.extent;
    if (opens) sums.clear();
    smoother.add_residual(sums, i, rows);
    smoother.for_each_row(i, rows,
                          [&](int64_t x, int64_t y, float* row) { store_row(level, row, v + level.row(x, y)); });
    if (closes) sums.write(f_coarse, i);
  };
  const auto reach = [&](int64_t stage) { return stage < last ? halo - stage : 0; };
  wavefront(level, tile, last + 1, reach, work, [&](int64_t i) { ring.clear_plane(i); });
  core::flush_writes();
}

template <bool kWeighted>
void correct_and_smooth_tile(const Level& level, const Level& coarse, int64_t sweeps, const float* f, const float* v,
                             const float* e, float* z, const Tile& tile, const Scratch& scratch) {
  const int64_t last = 2 * sweeps, halo = halo_of(level, sweeps);
  const PlaneRing ring(scratch.ring, tile, halo, ring_depth(sweeps), level);
  const Smoother<kWeighted> smoother(level, ring, f);
  const Correction correction(level, coarse, f, v, e, scratch.rows);

  const auto work = [&](int64_t stage, int64_t i, Range rows) {
    if (stage == 0) {
      return smoother.for_each_row(
          i, rows, [&](int64_t x, int64_t y, float* row) { correction.row(x, y, smoother.inverse(x, y), row); });
    }
    smoother.half_sweep((stage - 1) & 1, i, rows);
    if (stage < last || !tile.x.contains(i)) return;
    smoother.for_each_row(i, tile.y,
                          [&](int64_t x, int64_t y, float* row) { store_row(level, row, z + level.row(x, y)); });
  };
  wavefront(
      level, tile, last + 1, [&](int64_t stage) { return halo - stage; }, work,
      [&](int64_t i) { ring.clear_plane(i); });
  core::flush_writes();
}

}  // namespace

int64_t scratch_floats(const Level& level, int64_t sweeps, int64_t threads) {
  const Tiling tiling = tiling_of(level, sweeps, threads);
  return tiling.chunks() * Scratch::floats(level, tiling, sweeps);
}

void smooth_and_restrict(const Level& level, const Level& coarse, int64_t sweeps, const float* f, float* v,
                         float* f_coarse, std::span<float> scratch) {
  const auto pass = level.open_x ? smooth_and_restrict_tile<true> : smooth_and_restrict_tile<false>;
  const Tiling tiling = tiling_of(level, sweeps, core::thread_count());
  tiling.for_each_tile([&](int64_t chunk, const Tile& tile) {
    pass(level, coarse, sweeps, f, v, f_coarse, tile, Scratch::of(scratch, chunk, level, tiling, sweeps));
  });
}

void correct_and_smooth(const Level& level, const Level& coarse, int64_t sweeps, const float* f, const float* v,
                        const float* e, float* z, std::span<float> scratch) {
  const auto pass = level.open_x ? correct_and_smooth_tile<true> : correct_and_smooth_tile<false>;
  const Tiling tiling = tiling_of(level, sweeps, core::thread_count());
  tiling.for_each_tile([&](int64_t chunk, const Tile& tile) {
    pass(level, coarse, sweeps, f, v, e, z, tile, Scratch::of(scratch, chunk, level, tiling, sweeps));
  });
}

}  // namespace fastsciml::multigrid
