// The two fused passes of a V-cycle on CUDA; formulae in passes.h, layouts in level.h.
//
// A block walks through the planes of its tile. A column is the two cells with the same index in the halves of a row; a
// thread has some columns. In step `front` plane `front` is loaded, and stage s, a half-sweep or the residual, is done
// on plane front - s, as on the CPU (wavefront.h, column.h). All stages of a step update the same half of a row, so
// that a thread does them one after another in registers: along x, a cell's neighbours are what the stage before has
// just computed and what the next one is about to update. The neighbours along y and z were updated in the step before,
// by other threads, and come from shared memory: one barrier a step.
//
//   registers    of each column, two values per stage: what the last two steps left of its plane
//   shared       [2 steps, stages, columns of the tile] floats, and [2, columns] sums of residuals on the way down
//   memory       f, v and e once per tile with a halo as wide as there are stages; z once
//
// A level that has seams, or whose cells along z do not merge in pairs, or along x not at all, goes by single steps
// (steps.cuh).
#pragma once

#include "core/launch.h"
#include "multigrid/cell.cuh"

namespace fastsciml::multigrid {

enum class Pass { down, down_from_guess, up };

// The stages 0 .. kLast of a pass: the guess (a guess of 0 with the first half-sweep, which reads no neighbours), the
// half-sweeps, and on the way down the residual. Each but the first reaches one cell.
template <int kSweepsOfPass, Pass kPass, bool kWeightedRows>
struct PassStages {
  static constexpr int kSweeps = kSweepsOfPass;
  static constexpr bool kWeighted = kWeightedRows;
  static constexpr bool kDown = kPass != Pass::up, kFromZero = kPass == Pass::down;
  static constexpr int kLast = 2 * kSweeps + (kPass == Pass::down_from_guess ? 1 : 0);
  static constexpr int kHalo = kLast, kHaloColumns = (kLast + 1) / 2;
  static constexpr int kRelaxed = kDown ? kLast - 1 : kLast;  // the last half-sweep
  // One block a multiprocessor: 128 registers for each of 512 threads and its columns, 168 for each of 384. A tile has
  // the columns of all.
  static constexpr int kThreads = kDown ? 384 : 512;
  static constexpr int kColumnsDown = kFromZero ? (kSweeps == 2 ? 5 : 4) : kWeighted ? 2 : 3;
  static constexpr int kColumns = kDown ? kColumnsDown : kSweeps == 2 ? 4 : 3;
  static constexpr int kTile = kColumns * kThreads;
  static constexpr size_t kSharedFloats = 2 * (kLast + (kDown ? 1 : 0)) * kTile;
  static_assert(kSharedFloats * sizeof(float) <= 99 << 10, "what consumer devices give a block");

  FASTSCIML_HOST_DEVICE static constexpr int sweep_of(int stage) { return (kFromZero ? stage : stage - 1) / 2; }
};

// How an axis is cut into tiles. A tile of all there is needs no halo where nothing lies beyond.
struct Cut {
  int tiles;
  int halo;
};

struct PassArguments {
  Level level, coarse;
  DeviceGuess guess;
  ConstField f;
  Field out;
  Field f_coarse;    // on the way down
  float factors[3];  // of the sweeps
  bool black_first;
  Cut x, y, columns;  // planes, rows and columns
  int width;          // columns of a tile's row, halo included
};

struct IndexRange {
  int begin, end;

  FASTSCIML_HOST_DEVICE bool contains(int i) const { return begin <= i && i < end; }
};

// Cuts lie between coarse cells, so that a coarse cell belongs to one tile.
FASTSCIML_HOST_DEVICE inline IndexRange tile_of(const Axis& axis, const Cut& cut, int t) {
  return {axis.first[axis.coarse_extent * t / cut.tiles], axis.first[axis.coarse_extent * (t + 1) / cut.tiles]};
}

// The columns of a row. Behind them it is padded with zeros.
FASTSCIML_HOST_DEVICE inline int columns_of(const Level& level) { return static_cast<int>((level.z.extent + 1) / 2); }

// Cuts of a row lie between cache lines.
inline constexpr int kColumnsOfLine = 32;
FASTSCIML_HOST_DEVICE inline IndexRange columns_of_tile(int in_row, const Cut& cut, int t) {
  const int lines = (in_row + kColumnsOfLine - 1) / kColumnsOfLine;
  const int begin = lines * t / cut.tiles * kColumnsOfLine, end = lines * (t + 1) / cut.tiles * kColumnsOfLine;
  return {begin, end < in_row ? end : in_row};
}

// Where an index stands that may lie past an end; 0 and `inside` false where nothing does.
FASTSCIML_HOST_DEVICE inline int place(bool periodic, int extent, int i, bool& inside) {
  if (i >= 0 && i < extent) return i;
  inside = inside && periodic;
  if (!periodic) return 0;
  const int remainder = i % extent;
  return remainder < 0 ? remainder + extent : remainder;
}

// r[phase][s] is what stage s left of the half that the steps of this phase, every other one, update: on the plane that
// was at stage s then. `loaded` is the guess in the plane before, in the other half, which no stage has seen yet.
template <int kLast>
struct Column {
  int j, m;             // the row, and the index in its halves
  int number;           // in the tile
  bool inside, useful;  // of the grid; of the tile without its halo
  bool odd_row, at_begin, at_end;
  float r[2][kLast + 1];
  float loaded;
};

template <class Stages>
class PassWalk {
 public:
  static constexpr int kLast = Stages::kLast, kColumns = Stages::kColumns, kTile = Stages::kTile,
                       kThreads = Stages::kThreads;

  __device__ PassWalk(const PassArguments& arguments, core::Shared<float> shared)
      : a_(arguments), level_(arguments.level), buffer_(shared), sums_(shared + 2 * kLast * kTile) {
    const int t = static_cast<int>(blockIdx.x), across = t / a_.columns.tiles;
    x_ = tile_of(level_.x, a_.x, across / a_.y.tiles);
    const IndexRange y = tile_of(level_.y, a_.y, across % a_.y.tiles);
    const int in_row = columns_of(level_), of_tile = t % a_.columns.tiles;
    const IndexRange range = columns_of_tile(in_row, a_.columns, of_tile);
    for (int s = 0; s < Stages::kSweeps; ++s) relaxation_[s] = relaxation_by(level_, a_.factors[s]);
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      Column<kLast>& own = column_[c];
      own.number = static_cast<int>(threadIdx.x) + c * kThreads;
      const int row = y.begin - a_.y.halo + own.number / a_.width, in_tile = own.number % a_.width;
      const int column = range.begin - a_.columns.halo + in_tile;
      own.useful = y.contains(row) && range.contains(column);
      own.inside = row < y.end + a_.y.halo && column < range.end + a_.columns.halo;
      own.j = place(level_.y.periodic, static_cast<int>(level_.y.extent), row, own.inside);
      own.m = place(level_.z.periodic, in_row, column, own.inside);
      own.odd_row = row & 1;
      own.at_begin = in_tile == 0;
      own.at_end = in_tile + 1 == a_.width;
      own.loaded = 0.0f;
      for (int s = 0; s <= kLast; ++s) own.r[0][s] = own.r[1][s] = 0.0f;
    }
  }

  __device__ void walk() {
    const int first = x_.begin - a_.x.halo, end = x_.end + kLast;
    const int begin = first < 0 && !level_.x.periodic ? 0 : first;
    // What the first step finds of the one before.
    for (int at = static_cast<int>(threadIdx.x); at < kLast * kTile; at += kThreads) buffer_[kLast * kTile + at] = 0.0f;
    __syncthreads();
    for (int front = begin; front < end; front += 2) {
      step<0>(front);
      if (front + 1 < end) step<1>(front + 1);
    }
  }

 private:
  // A phase's steps write what the stages left to one half of the buffer and read the other.
  template <int kPhase>
  __device__ void step(int front) {
    float fresh[kColumns], next_loaded[kColumns];
    load(front, fresh, next_loaded);
    relax<kPhase>(front, fresh);
    const int done = front - kLast;
    const bool mine = x_.contains(done);
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      column_[c].loaded = next_loaded[c];
      if (mine && column_[c].useful) store<kPhase>(front, done, column_[c]);
      for (int s = 0; s < kLast; ++s)
        buffer_[(kPhase * kLast + s) * kTile + column_[c].number] = column_[c].r[kPhase][s];
    }
    __syncthreads();
    if (Stages::kDown && mine && level_.x.closes(done)) restrict_plane(done);
  }

  // Which half of a row the stages of step `front` update: 1 that of the odd cells.
  __device__ int half_of(int front, const Column<kLast>& own) const {
    return (front + own.odd_row + (Stages::kFromZero || a_.black_first ? 0 : 1)) & 1;
  }

  // Stage 0 of plane `front`: `fresh` in the half of this step, and the other, whose turn is in the next one.
  __device__ void load(int front, float (&fresh)[kColumns], float (&next_loaded)[kColumns]) const {
    bool inside = front < x_.end + a_.x.halo;
    const int i = place(level_.x.periodic, static_cast<int>(level_.x.extent), front, inside);
    Interpolation x{};
    if (!Stages::kFromZero && inside && a_.guess.e != nullptr) x = interpolation(level_.x, a_.guess.weight, i);
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const Column<kLast>& own = column_[c];
      fresh[c] = next_loaded[c] = 0.0f;
      if (!inside || !own.inside) continue;
      const int which = half_of(front, own);
      if (Stages::kFromZero) {
        if (2 * own.m + which >= level_.z.extent) continue;
        const Cell cell = cell_of(level_, i, own.j, 2 * own.m + which);
        fresh[c] = relaxation_[0].factor * level_.inverse_diagonal[cell.diagonal] * a_.f[cell.at];
      } else {
        const GuessPair pair = guess_pair(level_, a_.coarse, a_.guess, x, i, own.j, own.m);
        fresh[c] = which ? pair.odd : pair.even;
        next_loaded[c] = which ? pair.even : pair.odd;
      }
    }
  }

  // All stages after the first.
  template <int kPhase>
  __device__ void relax(int front, const float (&fresh)[kColumns]) {
    float above[kColumns], here[kColumns], below[kColumns];
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      above[c] = fresh[c];
      here[c] = column_[c].loaded;
      below[c] = column_[c].r[kPhase][0];
      column_[c].r[kPhase][0] = fresh[c];
    }
    bool inside = true;
    int i = level_.x.periodic ? place(true, static_cast<int>(level_.x.extent), front, inside) : front;
#pragma unroll
    for (int s = 1; s <= kLast; ++s) {
      if (level_.x.periodic && i == 0) i = static_cast<int>(level_.x.extent);
      --i;
      const bool has_plane = i >= 0 && i < level_.x.extent;
      const bool counts = Stages::kDown && s >= Stages::kRelaxed && x_.contains(front - s);
      const bool opens = counts && s == Stages::kRelaxed && level_.x.opens(i);
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        Column<kLast>& own = column_[c];
        const float next_below = own.r[kPhase][s];
        if (opens) sums_[sum_place(i, own)] = 0.0f;
        above[c] = has_plane ? stage<kPhase>(s, front, i, own, above[c], here[c], below[c], counts) : here[c];
        own.r[kPhase][s] = above[c];
        here[c] = below[c];
        below[c] = next_below;
      }
    }
  }

  // Stage s of one cell, in plane i: its new value. On the way down, the last two add to the residuals' sums, if the
  // plane counts: black cells with the last half-sweep, red ones one plane later.
  template <int kPhase>
  __device__ __forceinline__ float stage(int s, int front, int i, const Column<kLast>& own, float above, float here,
                                         float below, bool counts) {
    const int which = half_of(front, own);
    if (!own.inside || 2 * own.m + which >= level_.z.extent) return here;
    const core::Shared<float> around = buffer_ + (((1 - kPhase) * kLast + s - 1) * kTile + own.number);
    const bool first_row = own.number < a_.width, last_row = own.number + a_.width >= kTile;
    const float below_y = first_row ? 0.0f : around[-a_.width], above_y = last_row ? 0.0f : around[a_.width];
    const bool at_edge = which ? own.at_end : own.at_begin;
    const float far = at_edge ? 0.0f : around[which ? 1 : -1];

    const int number = row_index(level_, i, own.j), stored = level_.stored[number];
    const int in_row = which * static_cast<int>(level_.half) + own.m;
    const int64_t at = number * level_.stride() + in_row, row = stored < 0 ? ~stored : stored;
    const int64_t diagonal = row * level_.stride() + in_row;
    const int64_t z_at = (Stages::kWeighted ? row * level_.z_stride : 0) + in_row;
    float lower_y = level_.y.lower[own.j], upper_y = level_.y.upper[own.j];
    float lower_x = level_.x.lower[i], upper_x = level_.x.upper[i];
    if (Stages::kWeighted && stored < 0) {
      const int64_t stride = level_.stride(), face_y = at + i * stride;
      lower_y *= level_.face_y[face_y];
      upper_y *= level_.face_y[face_y + stride];
      lower_x *= level_.face_x[at];
      upper_x *= level_.face_x[at + level_.y.extent * stride];
    }
    float side = a_.f[at];
    side += level_.near_z[z_at] * own.r[1 - kPhase][s - 1] + level_.far_z[z_at] * far;
    side += lower_y * below_y + upper_y * above_y + lower_x * below + upper_x * above;
    const float inverse = level_.inverse_diagonal[diagonal];
    float value = here;
    if (s <= Stages::kRelaxed) {
      const Relaxation& relaxation = relaxation_[Stages::sweep_of(s)];
      value = relaxation.factor * inverse * side + relaxation.keep * here;
    }
    if (counts && own.useful) {
      const float residual = inverse > 0.0f ? side - level_.diagonal[diagonal] * value : 0.0f;
      sums_[sum_place(i, own)] += level_.x.share[i] * level_.y.share[own.j] * level_.z.share[in_row] * residual;
    }
    return value;
  }

  // Where the residuals of a column's coarse cell add up, of the plane that has i in it or the next one.
  __device__ int sum_place(int i, const Column<kLast>& own) const {
    return (level_.x.parent[i] & 1) * kTile + own.number;
  }

  template <int kPhase>
  __device__ void store(int front, int i, const Column<kLast>& own) const {
    const int64_t row = row_index(level_, i, own.j) * level_.stride();
    const int64_t half = level_.half, which = half_of(front, own);
    a_.out[row + which * half + own.m] = own.r[kPhase][kLast];
    a_.out[row + (1 - which) * half + own.m] = own.r[1 - kPhase][kLast - 1];
    if (own.m + 1 < columns_of(level_)) return;
    for (int64_t m = own.m + 1; m < half; ++m) a_.out[row + m] = a_.out[row + half + m] = 0.0f;
  }

  // The coarse cells whose last plane is i.
  __device__ void restrict_plane(int i) const {
    const int I = level_.x.parent[i];
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const Column<kLast>& own = column_[c];
      if (!own.useful || !level_.y.opens(own.j)) continue;
      const int J = level_.y.parent[own.j], children = level_.y.first[J + 1] - own.j;
      float sum = 0.0f;
      for (int row = 0; row < children; ++row) sum += sums_[(I & 1) * kTile + own.number + row * a_.width];
      a_.f_coarse[row_index(a_.coarse, I, J) * a_.coarse.stride() + index_in_row(a_.coarse, own.m)] = sum;
    }
  }

  const PassArguments& a_;
  const Level& level_;
  core::Shared<float> buffer_;  // [2, kLast, kTile], what each stage left in the last step of each phase
  core::Shared<float> sums_;    // [2, kTile]
  IndexRange x_{};
  Column<kLast> column_[kColumns];
  Relaxation relaxation_[Stages::kSweeps];
};

template <class Stages>
__global__ void __launch_bounds__(Stages::kThreads, 1) pass_kernel(const __grid_constant__ PassArguments arguments) {
  PassWalk<Stages>(arguments, core::dynamic_shared<float>(Stages::kSharedFloats)).walk();
}

}  // namespace fastsciml::multigrid
