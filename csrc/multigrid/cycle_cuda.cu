// The cycles on CUDA: fused passes over the large levels, the small ones in a launch of their own. No step waits for
// the host, and nothing is allocated: a cycle may be captured in a CUDA graph.

#include <algorithm>
#include <vector>

#include "core/stream.h"
#include "core/tensor.h"
#include "multigrid/hierarchy.h"
#include "multigrid/operators_cuda.h"
#include "multigrid/passes.cuh"
#include "multigrid/tail.cuh"

namespace fastsciml::multigrid {
namespace {

// Into tiles of at most so many.
Cut cut(int64_t extent, int64_t most, int64_t halo) {
  return {.tiles = static_cast<int>((extent + most - 1) / most), .halo = static_cast<int>(halo)};
}

// The cut of a level's rows and columns for which the fewest columns are loaded, by cache lines, and worked on.
template <class Stages>
void cut_across(PassArguments& arguments) {
  constexpr int64_t kHalo = Stages::kHalo;
  const Level& level = arguments.level;
  const int64_t columns = columns_of(level), ny = level.y.extent, unit = level.y.coarsened() ? 2 : 1;
  const int64_t lines = (columns + kColumnsOfLine - 1) / kColumnsOfLine;
  int64_t least = 0;
  for (int64_t tiles = 1; tiles <= lines; ++tiles) {
    const int64_t halo = tiles > 1 || level.z.periodic ? Stages::kHaloColumns : 0;
    const int64_t widest = std::min(columns, (lines + tiles - 1) / tiles * kColumnsOfLine);
    const int64_t width = widest + 2 * halo, rows = Stages::kTile / width;
    const bool whole = ny <= rows && !level.y.periodic;
    const int64_t coarse_rows = (rows - 2 * kHalo) / unit;
    if (!whole && coarse_rows < 1) continue;
    const Cut y = whole ? Cut{.tiles = 1, .halo = 0} : cut(level.y.coarse_extent, coarse_rows, kHalo);
    // On either side of a cut, the halo is a line more.
    const int64_t lines_loaded = lines + 2 * (level.z.periodic ? tiles : tiles - 1);
    const int64_t cost = (kColumnsOfLine * lines_loaded + tiles * width) * (ny + 2 * y.halo * y.tiles);
    if (least != 0 && cost >= least) continue;
    least = cost;
    arguments.y = y;
    arguments.columns = {.tiles = static_cast<int>(tiles), .halo = static_cast<int>(halo)};
    arguments.width = static_cast<int>(width);
  }
}

// As many tiles along x as take the fewest steps: more than there are multiprocessors wait for a second turn, and each
// repeats what lies in its halo.
Cut cut_planes(const Axis& x, int64_t halo, int64_t across) {
  const int64_t at_a_time = core::multiprocessors();
  int64_t best = 1, fewest = 0;
  for (int64_t tiles = 1; tiles <= x.coarse_extent; ++tiles) {
    const int64_t turns = (across * tiles + at_a_time - 1) / at_a_time;
    const int64_t steps = turns * ((x.extent + tiles - 1) / tiles + 2 * halo);
    if (fewest != 0 && steps >= fewest) continue;
    fewest = steps;
    best = tiles;
  }
  return {.tiles = static_cast<int>(best), .halo = static_cast<int>(halo)};
}

template <class Stages>
void launch_pass(PassArguments arguments, core::Stream stream) {
  cut_across<Stages>(arguments);
  const int64_t across = int64_t{arguments.y.tiles} * arguments.columns.tiles;
  arguments.x = cut_planes(arguments.level.x, Stages::kHalo, across);
  const core::Shape shape{.blocks = static_cast<unsigned>(across * arguments.x.tiles),
                          .threads = Stages::kThreads,
                          .dynamic_shared = Stages::kSharedFloats * sizeof(float)};
  const char* name = Stages::kDown ? "multigrid smooth_and_restrict" : "multigrid correct_and_smooth";
  core::launch(name, pass_kernel<Stages>, shape, stream, arguments);
}

template <Pass kPass, int kSweeps>
void launch_pass(const PassArguments& arguments, core::Stream stream) {
  return arguments.level.face_x != nullptr ? launch_pass<PassStages<kSweeps, kPass, true>>(arguments, stream)
                                           : launch_pass<PassStages<kSweeps, kPass, false>>(arguments, stream);
}

// Whether there is a fused pass for this level. None takes three sweeps from a guess, which only full multigrid does,
// on coarse levels.
bool is_fused(const Level& level, int64_t sweeps, bool from_guess) {
  const bool has_pass = sweeps == 2 || (sweeps == 3 && !from_guess);
  const bool merges = level.z.coarsened() && level.z_parent == nullptr && (level.x.coarsened() || level.x.extent == 1);
  return has_pass && merges && turns_of(level) == 1;
}

class DeviceCycle {
 public:
  DeviceCycle(const Hierarchy& hierarchy, core::Stream stream)
      : levels_(hierarchy.levels),
        manner_{hierarchy.sweeps, hierarchy.symmetric, hierarchy.around_solid, hierarchy.conducts()},
        run_{stream} {
    for (const LevelStorage& s : hierarchy.storage) storage_.push_back({s.smoothed, s.rhs, s.correction, s.mean_rhs});
    const int64_t count = static_cast<int64_t>(levels_.size());
    while (tail_ < count && (levels_[tail_].cells() > kTailCells || count - tail_ > kMostTailLevels)) ++tail_;
  }

  // One cycle from level `first` on.
  void v_cycle(int64_t first, const DeviceGuess& guess, ConstField f, Field z) const {
    const auto rhs = [&](int64_t l) { return l == first ? f : ConstField(storage_[l].rhs); };
    const auto solution = [&](int64_t l) { return l == first ? z : storage_[l].correction; };
    for (int64_t l = first; l < tail_; ++l) down(l, l == first ? guess : DeviceGuess{}, rhs(l), solution(l));
    const int64_t tail = std::max(first, tail_);
    run_tail(tail, 1, tail == first ? guess : DeviceGuess{}, rhs(tail), solution(tail));
    for (int64_t l = tail; l-- > first;) up(l, rhs(l), solution(l));
  }

  void v_cycles(int64_t cycles, ConstField f, Field z) const {
    if (tail_ == 0) return run_tail(0, cycles, {}, f, z);
    v_cycle(0, {}, f, z);
    // A cycle leaves its guess before it writes z.
    for (int64_t c = 1; c < cycles; ++c) v_cycle(0, {.v = z, .e = nullptr}, f, z);
  }

  void full_cycle(ConstField f, Field z) const {
    const auto rhs = [&](int64_t l) { return l == 0 ? f : ConstField(storage_[l].mean_rhs); };
    const auto solution = [&](int64_t l) { return l == 0 ? z : storage_[l].correction; };
    for (int64_t l = 0; l < tail_; ++l) {
      run_({levels_[l], levels_[l + 1]}, RestrictStep{rhs(l), nullptr, storage_[l + 1].mean_rhs});
    }
    run_tail(tail_, 0, {}, rhs(tail_), solution(tail_));
    for (int64_t l = tail_; l-- > 0;) {
      const DeviceGuess guess{
          .v = nullptr, .e = storage_[l + 1].correction, .weight = 1.0f, .around_solid = manner_.around_solid};
      v_cycle(l, guess, rhs(l), solution(l));
    }
  }

 private:
  PassArguments pass(int64_t l, const float* factors, const DeviceGuess& guess, ConstField f, Field out) const {
    PassArguments arguments{levels_[l], levels_[l + 1], guess, f, out, storage_[l + 1].rhs, {}, false, {}, {}, {}, 0};
    std::copy_n(factors, 3, arguments.factors);
    return arguments;
  }

  // `free` is what the way up will write.
  void down(int64_t l, const DeviceGuess& guess, ConstField f, Field free) const {
    const LevelPair on{levels_[l], levels_[l + 1]};
    const Schedule schedule = manner_.schedule(l == 0);
    const DeviceStorage& storage = storage_[l];
    const bool fused = is_fused(on.level, schedule.sweeps, !guess.zero());
    const PassArguments arguments = pass(l, schedule.before, guess, f, storage.smoothed);
    if (fused && !guess.zero()) {
      launch_pass<Pass::down_from_guess, 2>(arguments, run_.stream);
    } else if (fused) {
      schedule.sweeps == 2 ? launch_pass<Pass::down, 2>(arguments, run_.stream)
                           : launch_pass<Pass::down, 3>(arguments, run_.stream);
    } else {
      smooth_guess(run_, on, schedule, guess, f, storage.smoothed);
    }
    if (manner_.symmetric) {
      restrict_symmetrically(run_, on, f, storage.smoothed, free, storage_[l + 1].rhs);
    } else if (!fused) {
      run_(on, RestrictStep{f, storage.smoothed, storage_[l + 1].rhs});
    }
  }

  void up(int64_t l, ConstField f, Field z) const {
    const Schedule schedule = manner_.schedule(l == 0);
    const DeviceGuess guess{.v = storage_[l].smoothed,
                            .e = storage_[l + 1].correction,
                            .weight = schedule.correction,
                            .around_solid = manner_.around_solid};
    if (is_fused(levels_[l], schedule.sweeps, false)) {
      PassArguments arguments = pass(l, schedule.after, guess, f, z);
      arguments.black_first = manner_.symmetric;
      return schedule.sweeps == 2 ? launch_pass<Pass::up, 2>(arguments, run_.stream)
                                  : launch_pass<Pass::up, 3>(arguments, run_.stream);
    }
    correct_and_smooth(run_, {levels_[l], levels_[l + 1]}, schedule, manner_.symmetric, guess, f, z);
  }

  void run_tail(int64_t first, int64_t cycles, const DeviceGuess& guess, ConstField f, Field z) const {
    Tail tail{};
    tail.count = static_cast<int64_t>(levels_.size()) - first;
    std::copy(levels_.begin() + first, levels_.end(), tail.levels);
    std::copy(storage_.begin() + first, storage_.end(), tail.storage);
    tail.manner = manner_;
    tail.has_finest = first == 0;
    tail.cycles = cycles;
    tail.guess = guess;
    tail.f = f;
    tail.z = z;
    core::launch("multigrid tail", tail_kernel, core::Shape{.blocks = 1, .threads = kTailThreads}, run_.stream, tail);
  }

  std::vector<Level> levels_;
  std::vector<DeviceStorage> storage_;
  Manner manner_;
  RunOnDevice run_;
  int64_t tail_ = 0;  // the first level of the tail
};

DeviceCycle cycle_of(const Tensor& rhs, const Tensor& out, const Ints& extents, const Ints& periodic, int64_t sweeps,
                     bool symmetric, bool around_solid, const HierarchyTensors& tensors, const Tensor& workspace) {
  constexpr const char* op = "multigrid";
  core::check_same_device(out, rhs, op, "out");
  core::check_same_device(workspace, rhs, op, "workspace");
  for (const Tensors* list : {&tensors.axes, &tensors.maps, &tensors.diagonals, &tensors.z_couplings, &tensors.faces}) {
    for (const Tensor& tensor : *list) core::check_same_device(tensor, rhs, op, "the hierarchy");
  }
  core::check(workspace.numel() >= storage_floats(extents, periodic), op, "the workspace", "hold all levels");
  core::check(sweeps >= 1 && sweeps < kMostSweeps, op, "sweeps", "be 1 to 15");
  return {hierarchy_of(extents, periodic, sweeps, symmetric, around_solid, tensors, workspace),
          core::current_stream(rhs)};
}

}  // namespace

void multigrid_v_cycle_cuda(Tensor rhs, Tensor out, Ints extents, Ints periodic, int64_t sweeps, bool symmetric,
                            bool around_solid, int64_t cycles, Tensors axes, Tensors maps, Tensors diagonals,
                            Tensors z_couplings, Tensors faces, Tensor workspace) {
  const core::OnDeviceOf guard(rhs);
  cycle_of(rhs, out, extents, periodic, sweeps, symmetric, around_solid, {axes, maps, diagonals, z_couplings, faces},
           workspace)
      .v_cycles(cycles, core::memory<float>(rhs), core::mutable_memory<float>(out));
}

void full_multigrid_cuda(Tensor rhs, Tensor out, Ints extents, Ints periodic, int64_t sweeps, bool symmetric,
                         bool around_solid, Tensors axes, Tensors maps, Tensors diagonals, Tensors z_couplings,
                         Tensors faces, Tensor workspace) {
  cycle_of(rhs, out, extents, periodic, sweeps, symmetric, around_solid, {axes, maps, diagonals, z_couplings, faces},
           workspace)
      .full_cycle(core::memory<float>(rhs), core::mutable_memory<float>(out));
}

}  // namespace fastsciml::multigrid
