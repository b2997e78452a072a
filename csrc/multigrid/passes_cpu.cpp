// The two fused passes of a V-cycle on the CPU; formulae in passes.h, the order of work in wavefront.h.

#include "multigrid/coarse_rows.h"
#include "multigrid/passes.h"
#include "multigrid/smoother.h"
#include "multigrid/tiling.h"

namespace fastsciml::multigrid {
namespace {

// The stages of a pass, 0 .. last: the guess (a guess of 0 with the first half-sweep, which then reads no neighbours),
// the half-sweeps, and on the way down the residual. Each but the first reaches one cell.
int64_t last_down(int64_t sweeps, const Guess& guess) { return 2 * sweeps + (guess.zero() ? 0 : 1); }
int64_t last_up(int64_t sweeps) { return 2 * sweeps; }
int64_t most_stages(int64_t sweeps) { return 2 * sweeps + 1; }

// Cells a halo of `stages` must have more where it lies across seams of odd periodic axes (see smoother.h): one for
// every seam, since there a half-sweep sees the same half-sweep's result.
int64_t seams(const Level& level, int64_t stages) {
  int64_t most = 0;
  for (const Axis& axis : {level.x, level.y}) {
    if (axis.closes_oddly()) most = std::max(most, (stages - 1) / (axis.extent - 1) + 1);
  }
  return most;
}

// How a pass with stages 0 .. last is cut, and the scratch memory it needs.
struct Layout {
  Layout(const Level& of, int64_t last_stage, int64_t threads)
      : level(of),
        last(last_stage),
        halo(last + seams(of, last)),
        tiling(of, threads, halo, [this](int64_t rows) { return arrays() * ring_floats(rows) / 2; }) {}

  // Arrays whose planes wait in the L2 cache: v and f; the diagonal and its inverse where most rows have their own, of
  // which the last stages read one each; with factors the faces and couplings in z.
  int64_t arrays() const {
    if (2 * level.rows < level.x.extent * level.y.extent) return 2;
    return level.face_x != nullptr ? 7 : 3;
  }
  int64_t ring_depth() const { return last + 2; }
  int64_t ring_floats(int64_t rows) const { return PlaneRing::floats(rows, halo, ring_depth(), level); }

  // One thread's share.
  struct Scratch {
    float* ring;
    float* guess;
    float* coarse;
  };
  int64_t share_floats() const {
    const int64_t rows = tiling.rows_per_tile();
    return ring_floats(rows) + GuessRows::scratch_floats(level) + CoarseRows::scratch_floats(level, rows);
  }
  Scratch scratch_of(std::span<float> all, int64_t chunk) const {
    const auto share = static_cast<size_t>(share_floats());
    float* guess = all.subspan(static_cast<size_t>(chunk) * share, share).data();
    float* coarse = guess + GuessRows::scratch_floats(level);
    return {
        .ring = coarse + CoarseRows::scratch_floats(level, tiling.rows_per_tile()), .guess = guess, .coarse = coarse};
  }

  const Level& level;
  int64_t last, halo;
  Tiling tiling;
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

template <Rows kRows>
void smooth_and_restrict_tile(const Layout& layout, const Level& coarse, std::span<const float> factors,
                              const Guess& guess, const float* f, float* v, float* f_coarse, const Tile& tile,
                              const Layout::Scratch& scratch) {
  const Level& level = layout.level;
  const int64_t last = layout.last;
  const PlaneRing ring(scratch.ring, tile, layout.halo, layout.ring_depth(), level);
  const Smoother<kRows> smoother(level, ring, f, guess.zero() ? 0 : 1, 0, factors);
  const GuessRows from(level, coarse, guess, scratch.guess);
  const CoarseRows sums(scratch.coarse, level, coarse, tile);

  const auto work = [&](const Stages& at, int64_t j) {
    if (at.has(0)) guess.zero() ? smoother.start(at.planes[0], j) : smoother.load(from, at.planes[0], j);
    smoother.half_sweeps(at.within(1, last - 1), j);
    smoother.finish(at, last, j, sums);
    if (at.has(last)) store_row(level, smoother.row(at.planes[last], j), v + level.row(at.planes[last].x, j));
  };
  const auto reach = [&](int64_t stage) { return stage < last ? layout.halo - stage : 0; };
  wavefront(
      level, tile, ring, last + 1, reach, work, [&](int64_t front) { sums.open(front - last + 1); },
      [&](int64_t front) { sums.close(front - last, f_coarse); });
  core::flush_writes();
}

template <Rows kRows>
void correct_and_smooth_tile(const Layout& layout, const Level& coarse, std::span<const float> factors,
                             bool black_first, const Guess& guess, const float* f, float* z, const Tile& tile,
                             const Layout::Scratch& scratch) {
  const Level& level = layout.level;
  const int64_t last = layout.last;
  const PlaneRing ring(scratch.ring, tile, layout.halo, layout.ring_depth(), level);
  const Smoother<kRows> smoother(level, ring, f, 1, black_first ? 1 : 0, factors);
  const GuessRows from(level, coarse, guess, scratch.guess);

  const auto work = [&](const Stages& at, int64_t j) {
    if (at.has(0)) smoother.load(from, at.planes[0], j);
    smoother.half_sweeps(at.within(1, last + 1), j);
    if (!at.has(last)) return;
    const Planes& done = at.planes[last];
    if (!tile.x.contains(done.i) || !tile.y.contains(j)) return;
    store_row(level, smoother.row(done, j), z + level.row(done.x, j));
  };
  const auto reach = [&](int64_t stage) { return layout.halo - stage; };
  const auto nothing = [](int64_t) {};
  wavefront(level, tile, ring, last + 1, reach, work, nothing, nothing);
  core::flush_writes();
}

}  // namespace

int64_t scratch_floats(const Level& level, int64_t sweeps, int64_t threads) {
  // What the arrays do not tell here makes tiles smaller, and so their scratch.
  int64_t most = 0;
  for (const int64_t last : {most_stages(sweeps) - 1, most_stages(sweeps)}) {
    const Layout layout(level, last, threads);
    most = std::max(most, Tiling::most_chunks(level, threads) * layout.share_floats());
  }
  return most;
}

void smooth_and_restrict(const Level& level, const Level& coarse, const Schedule& schedule, const Guess& guess,
                         const float* f, float* v, float* f_coarse, std::span<float> scratch) {
  const Layout layout(level, last_down(schedule.sweeps, guess), core::thread_count());
  const auto sweeps = static_cast<size_t>(schedule.sweeps);
  layout.tiling.for_each_tile([&](int64_t chunk, const Tile& tile) {
    const auto pass = level.face_x             ? smooth_and_restrict_tile<Rows::weighted>
                      : level.uniform_z > 0.0f ? smooth_and_restrict_tile<Rows::uniform>
                                               : smooth_and_restrict_tile<Rows::plain>;
    pass(layout, coarse, {schedule.before, sweeps}, guess, f, v, f_coarse, tile, layout.scratch_of(scratch, chunk));
  });
}

void correct_and_smooth(const Level& level, const Level& coarse, const Schedule& schedule, bool black_first,
                        const Guess& guess, const float* f, float* z, std::span<float> scratch) {
  const Layout layout(level, last_up(schedule.sweeps), core::thread_count());
  const auto sweeps = static_cast<size_t>(schedule.sweeps);
  layout.tiling.for_each_tile([&](int64_t chunk, const Tile& tile) {
    const auto pass = level.face_x             ? correct_and_smooth_tile<Rows::weighted>
                      : level.uniform_z > 0.0f ? correct_and_smooth_tile<Rows::uniform>
                                               : correct_and_smooth_tile<Rows::plain>;
    pass(layout, coarse, {schedule.after, sweeps}, black_first, guess, f, z, tile, layout.scratch_of(scratch, chunk));
  });
}

}  // namespace fastsciml::multigrid
