// The cycles on CUDA: a launch for each step over a large level, one for all the small ones. No step waits for the
// host, and nothing is allocated: a cycle may be captured in a CUDA graph.

#include <algorithm>
#include <vector>

#include "core/stream.h"
#include "core/tensor.h"
#include "multigrid/hierarchy.h"
#include "multigrid/operators_cuda.h"
#include "multigrid/run_on_device.cuh"
#include "multigrid/tail.cuh"

namespace fastsciml::multigrid {
namespace {

// Rows are read and written in fours of floats.
constexpr uintptr_t kAccessBytes = 16;

class DeviceCycle {
 public:
  DeviceCycle(const Hierarchy& hierarchy, core::Stream stream)
      : levels_(hierarchy.levels),
        manner_{hierarchy.schedules, hierarchy.symmetric, hierarchy.around_solid},
        run_{stream, core::multiprocessors()} {
    for (const LevelStorage& s : hierarchy.storage) storage_.push_back({s.smoothed, s.rhs, s.correction, s.mean_rhs});
    const int64_t count = static_cast<int64_t>(levels_.size());
    while (tail_ < count && (levels_[tail_].cells() > kTailCells || count - tail_ > kMostTailLevels)) ++tail_;
  }

  // One cycle from level `first` on.
  void v_cycle(int64_t first, const DeviceGuess& guess, ConstField f, Field z) const {
    const auto rhs = [&](int64_t l) { return l == first ? f : ConstField(storage_[l].rhs); };
    const auto solution = [&](int64_t l) { return l == first ? z : storage_[l].correction; };
    for (int64_t l = first; l < tail_; ++l) {
      descend(run_, pair(l), manner_, l == 0, l == first ? guess : DeviceGuess{}, rhs(l), storage_[l].smoothed,
              solution(l), storage_[l + 1].rhs);
    }
    const int64_t tail = std::max(first, tail_);
    run_tail(tail, 1, tail == first ? guess : DeviceGuess{}, rhs(tail), solution(tail));
    for (int64_t l = tail; l-- > first;) {
      ascend(run_, pair(l), manner_, l == 0, storage_[l].smoothed, storage_[l + 1].correction, rhs(l), solution(l));
    }
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
    for (int64_t l = 0; l < tail_; ++l) restrict_means(run_, pair(l), rhs(l), nullptr, storage_[l + 1].mean_rhs);
    run_tail(tail_, 0, {}, rhs(tail_), solution(tail_));
    for (int64_t l = tail_; l-- > 0;) {
      const DeviceGuess guess{
          .v = nullptr, .e = storage_[l + 1].correction, .weight = 1.0f, .around_solid = manner_.around_solid};
      v_cycle(l, guess, rhs(l), solution(l));
    }
  }

 private:
  LevelPair pair(int64_t l) const { return {levels_[l], levels_[l + 1]}; }

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

DeviceCycle cycle_of(const Tensor& rhs, const Tensor& out, const Ints& extents, const Ints& periodic,
                     const Numbers& schedule, bool symmetric, bool around_solid, const HierarchyTensors& tensors,
                     const Tensor& workspace) {
  constexpr const char* op = "multigrid";
  core::check_same_device(out, rhs, op, "out");
  core::check_same_device(workspace, rhs, op, "workspace");
  for (const Tensors* list : {&tensors.axes, &tensors.maps, &tensors.diagonals, &tensors.z_couplings, &tensors.faces}) {
    for (const Tensor& tensor : *list) core::check_same_device(tensor, rhs, op, "the hierarchy");
  }
  for (const Tensor* array : {&rhs, &out, &workspace}) {
    const bool whole = reinterpret_cast<uintptr_t>(array->data_ptr()) % kAccessBytes == 0;
    core::check(whole, op, "rhs, out and the workspace", "start at a multiple of 16 bytes");
  }
  core::check(workspace.numel() >= storage_floats(extents, periodic), op, "the workspace", "hold all levels");
  return {hierarchy_of(extents, periodic, schedule, symmetric, around_solid, tensors, workspace),
          core::current_stream(rhs)};
}

}  // namespace

void multigrid_v_cycle_cuda(Tensor rhs, Tensor out, Ints extents, Ints periodic, Numbers schedule, bool symmetric,
                            bool around_solid, int64_t cycles, Tensors axes, Tensors maps, Tensors diagonals,
                            Tensors z_couplings, Tensors faces, Tensor workspace) {
  const core::OnDeviceOf guard(rhs);
  cycle_of(rhs, out, extents, periodic, schedule, symmetric, around_solid, {axes, maps, diagonals, z_couplings, faces},
           workspace)
      .v_cycles(cycles, core::memory<float>(rhs), core::mutable_memory<float>(out));
}

void full_multigrid_cuda(Tensor rhs, Tensor out, Ints extents, Ints periodic, Numbers schedule, bool symmetric,
                         bool around_solid, Tensors axes, Tensors maps, Tensors diagonals, Tensors z_couplings,
                         Tensors faces, Tensor workspace) {
  cycle_of(rhs, out, extents, periodic, schedule, symmetric, around_solid, {axes, maps, diagonals, z_couplings, faces},
           workspace)
      .full_cycle(core::memory<float>(rhs), core::mutable_memory<float>(out));
}

}  // namespace fastsciml::multigrid
