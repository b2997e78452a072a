// Regions of unknowns, connected by faces, in which nothing holds the solution's constant:
//   region = for each cell the number of its free region, in order of first cells; -1 where there is none
//   sizes  = cells in each
// A region is held if it touches a non-periodic end that holds, or has a cell in `holds`. If all are, region is empty:
// no cell is written, and the mask's bytes are all that is read.
//   unknown [nx, ny, nz] -> region int32 [cells] or [0], sizes float64 [regions];   moves 1 byte per cell, or 5
// Threads find and join the runs of slabs of rows; what meets between slabs is joined after them.
// Caller: ops/free_regions.py.

#include <torch/csrc/stable/ops.h>

#include "core/parallel.h"
#include "medium/packed.h"
#include "medium/runs.h"

namespace fastsciml::medium {
namespace {

class Regions {
 public:
  Regions(const uint8_t* unknown, const Extents& n, const Flags& periodic)
      : unknown_(unknown),
        n_(n),
        first_(count(unknown, n)),
        runs_(static_cast<size_t>(first_.back())),
        forest_(runs_.size()) {
    const int64_t slabs = core::useful_chunks(n[0], n[1] * n[2]);
    const auto begin = [&](int64_t slab) { return n[0] * slab / slabs; };
    core::parallel_for(slabs, [&](int64_t slab) {
      for (int64_t i = begin(slab); i < begin(slab + 1); ++i) join_plane(i, i > begin(slab), periodic);
    });
    for (int64_t slab = 1; slab < slabs; ++slab) join_planes(begin(slab) - 1, begin(slab));
    if (periodic[0]) join_planes(n[0] - 1, 0);
    forest_.flatten();
    held_.assign(runs_.size(), 0);
  }

  // Marks the regions that touch the ends: two flags per axis, lower and upper.
  void hold_at(const Flags& ends) {
    const auto [nx, ny, nz] = n_;
    for (int64_t i = 0; i < nx; ++i) {
      for (int64_t j = 0; j < ny; ++j) {
        const bool whole =
            (i == 0 && ends[0]) || (i == nx - 1 && ends[1]) || (j == 0 && ends[2]) || (j == ny - 1 && ends[3]);
        const int32_t begin = first(i, j), end = first(i, j + 1);
        if (begin == end) continue;
        if (whole) {
          for (int32_t run = begin; run < end; ++run) hold(run);
        }
        if (ends[4] && at(begin).begin == 0) hold(begin);
        if (ends[5] && at(end - 1).end == nz) hold(end - 1);
      }
    }
  }

  // Marks the regions with a cell in the mask.
  void hold_in(const uint8_t* holds) {
    for (int64_t row = 0; row < n_[0] * n_[1]; ++row) {
      for (int32_t run = first_[static_cast<size_t>(row)]; run < first_[static_cast<size_t>(row) + 1]; ++run) {
        if (held(run)) continue;
        const auto length = static_cast<size_t>(at(run).end - at(run).begin);
        if (std::memchr(holds + row * n_[2] + at(run).begin, 1, length) != nullptr) hold(run);
      }
    }
  }

  // The number of each run's region, -1 where it is held, and the sizes of those that are not.
  std::vector<double> number_free(std::vector<int32_t>& numbers) const {
    std::vector<double> sizes;
    numbers.assign(runs_.size(), -1);
    for (int32_t run = 0; run < forest_.size(); ++run) {
      if (held(run)) continue;
      const auto root = static_cast<size_t>(forest_.parent(run));
      if (numbers[root] < 0) {
        numbers[root] = static_cast<int32_t>(sizes.size());
        sizes.push_back(0.0);
      }
      numbers[static_cast<size_t>(run)] = numbers[root];
      sizes[static_cast<size_t>(numbers[root])] += at(run).end - at(run).begin;
    }
    return sizes;
  }

  void write(int32_t* region, const std::vector<int32_t>& numbers) const {
    core::parallel_range(n_[0] * n_[1], n_[2], [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        int32_t* out = region + row * n_[2];
        std::fill_n(out, n_[2], -1);
        for (int32_t run = first_[static_cast<size_t>(row)]; run < first_[static_cast<size_t>(row) + 1]; ++run)
          std::fill(out + at(run).begin, out + at(run).end, numbers[static_cast<size_t>(run)]);
      }
    });
  }

 private:
  // [rows + 1] the first run of each row.
  static std::vector<int32_t> count(const uint8_t* unknown, const Extents& n) {
    const int64_t rows = n[0] * n[1];
    std::vector<int32_t> first(static_cast<size_t>(rows + 1));
    core::parallel_range(rows, n[2], [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        first[static_cast<size_t>(row + 1)] = static_cast<int32_t>(count_runs(unknown + row * n[2], n[2]));
    });
    int64_t sum = 0;
    for (int32_t& entry : first) {
      sum += entry;
      STD_TORCH_CHECK(sum < int64_t{1} << 31, "free_regions: unknown has more runs of cells than 2^31");
      entry = static_cast<int32_t>(sum);
    }
    return first;
  }

  int32_t first(int64_t i, int64_t j) const { return first_[static_cast<size_t>(i * n_[1] + j)]; }
  Run& at(int32_t run) { return runs_[static_cast<size_t>(run)]; }
  const Run& at(int32_t run) const { return runs_[static_cast<size_t>(run)]; }
  void hold(int32_t run) { held_[static_cast<size_t>(forest_.parent(run))] = 1; }
  bool held(int32_t run) const { return held_[static_cast<size_t>(forest_.parent(run))] != 0; }

  void join_plane(int64_t i, bool to_last_plane, const Flags& periodic) {
    const int64_t ny = n_[1], nz = n_[2];
    for (int64_t j = 0; j < ny; ++j) {
      const int32_t begin = first(i, j), end = first(i, j + 1);
      find_runs(unknown_ + (i * ny + j) * nz, nz, runs_.data() + begin);
      for (int32_t run = begin; run < end; ++run) forest_.add(run);
      if (periodic[2] && begin < end && at(begin).begin == 0 && at(end - 1).end == nz) forest_.join(begin, end - 1);
      if (j > 0) join_rows(i, j - 1, i, j);
      if (to_last_plane) join_rows(i - 1, j, i, j);
    }
    if (periodic[1]) join_rows(i, ny - 1, i, 0);
  }

  void join_planes(int64_t a, int64_t b) {
    for (int64_t j = 0; j < n_[1]; ++j) join_rows(a, j, b, j);
  }

  // Joins the runs of two rows that have a cell in common.
  void join_rows(int64_t i, int64_t j, int64_t other_i, int64_t other_j) {
    int32_t a = first(i, j), b = first(other_i, other_j);
    const int32_t a_end = first(i, j + 1), b_end = first(other_i, other_j + 1);
    while (a < a_end && b < b_end) {
      if (std::max(at(a).begin, at(b).begin) < std::min(at(a).end, at(b).end)) forest_.join(a, b);
      at(a).end < at(b).end ? ++a : ++b;
    }
  }

  const uint8_t* unknown_;
  Extents n_;
  std::vector<int32_t> first_;
  std::vector<Run> runs_;
  Forest forest_;
  std::vector<uint8_t> held_;  // [runs], counts at a region's root
};

}  // namespace

std::tuple<Tensor, Tensor> free_regions(Tensor unknown, Flags periodic, Flags holding, MaybeTensor holds) {
  constexpr const char* op = "free_regions";
  const Extents n = extents_of(unknown, core::ScalarType::Bool, op, "unknown");
  core::check(periodic.size() == 3, op, "periodic", "have three entries");
  core::check(holding.size() == 6, op, "holding", "have an entry per end: lower and upper along x, y, z");
  core::check(n[2] < int64_t{1} << 31, op, "unknown", "have fewer than 2^31 cells along z");
  if (holds) {
    extents_of(*holds, core::ScalarType::Bool, op, "holds");
    core::check_same_shape(unknown, *holds, op, "holds");
  }
  Regions regions(core::data<uint8_t>(unknown), n, periodic);
  regions.hold_at(holding);
  if (holds) regions.hold_in(core::data<uint8_t>(*holds));
  std::vector<int32_t> numbers;
  const std::vector<double> sizes = regions.number_free(numbers);
  const int64_t cells = sizes.empty() ? 0 : n[0] * n[1] * n[2];
  Tensor region = torch::stable::new_empty(unknown, {cells}, core::ScalarType::Int);
  Tensor out = torch::stable::new_empty(unknown, {static_cast<int64_t>(sizes.size())}, core::ScalarType::Double);
  if (cells > 0) regions.write(core::mutable_data<int32_t>(region), numbers);
  std::copy(sizes.begin(), sizes.end(), core::mutable_data<double>(out));
  return {region, out};
}

}  // namespace fastsciml::medium
