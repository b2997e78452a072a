// The packed medium (operators.h) of the finest level, from faces in the order of k:
//   a face between two unknowns keeps what it conducts, 0 in all others;
//   reaction = unknown * (reaction + sum over its faces to fixed cells of face * coupling)
// The reaction is empty if neither of both is there. A face at a non-periodic end belongs to its one cell. Of cells
// without an unknown only those that are passable are fixed; no face of the others conducts.
//   face_x [nx + 1, ny, nz], face_y [nx, ny + 1, nz], face_z [nx, ny, nz + 1], float32 or float64;
//   moves 24 bytes per cell (float32), 36 (float64). Caller: ops/packed_medium.py.

#include <atomic>

#include "core/parallel.h"
#include "medium/packed.h"
#include "multigrid/split_row.h"

namespace fastsciml::medium {
namespace {

// What a cell is, as bits.
inline constexpr uint8_t kUnknown = 1, kFixed = 2;

template <class T>
struct Finest {
  const T* faces[3];
  const uint8_t* state;  // [nx, ny, nz] kUnknown, kFixed or neither
  const T* reaction;     // [nx, ny, nz], or null
  Extents n;
  const Flags& periodic;

  const uint8_t* cells(int64_t i, int64_t j) const { return state + (i * n[1] + j) * n[2]; }
  // The rows on either side of a face across x or y; at a non-periodic end both are its one cell's.
  struct Sides {
    const uint8_t *below, *above;
  };
  Sides sides_x(int64_t i, int64_t j) const { return {cells(before(0, i), j), cells(after(0, i), j)}; }
  Sides sides_y(int64_t i, int64_t j) const { return {cells(i, before(1, j)), cells(i, after(1, j))}; }
  int64_t before(size_t axis, int64_t f) const { return f > 0 ? f - 1 : periodic[axis] ? n[axis] - 1 : 0; }
  int64_t after(size_t axis, int64_t f) const { return f < n[axis] ? f : periodic[axis] ? 0 : n[axis] - 1; }

  const T* face_x(int64_t i, int64_t j) const { return faces[0] + (i * n[1] + j) * n[2]; }
  const T* face_y(int64_t i, int64_t j) const { return faces[1] + (i * (n[1] + 1) + j) * n[2]; }
  const T* face_z(int64_t i, int64_t j) const { return faces[2] + (i * n[1] + j) * (n[2] + 1); }
};

// row = face where both sides are unknowns, else 0; returns whether an open face leads to a fixed one.
template <class T>
bool between_row(T* __restrict row, const T* __restrict face, const uint8_t* below, const uint8_t* above, int64_t n) {
  int32_t lost = 0;
#pragma omp simd reduction(| : lost)
  for (int64_t k = 0; k < n; ++k) {
    row[k] = below[k] & above[k] & kUnknown ? face[k] : T{0};
    lost |= (below[k] | above[k]) == (kUnknown | kFixed) && face[k] != T{0} ? 1 : 0;
  }
  return lost != 0;
}

// The sides of n + 1 faces across z.
struct ZSides {
  std::vector<uint8_t> below, above;  // [n + 1]
  explicit ZSides(int64_t n) : below(static_cast<size_t>(n + 1)), above(below) {}
  void take(const uint8_t* cells, int64_t n, bool periodic) {
    std::copy_n(cells, n, below.begin() + 1);
    std::copy_n(cells, n, above.begin());
    below.front() = periodic ? cells[n - 1] : cells[0];
    above.back() = periodic ? cells[0] : cells[n - 1];
  }
};

// Returns whether some face leads to a fixed cell.
template <class T>
bool split_plane(const PackedRows<float>& out, const Finest<T>& fine, int64_t i, std::vector<T>& row, ZSides& z) {
  const auto [nx, ny, n] = fine.n;
  const int64_t half = half_of(n), half_z = half_of(n + 1);
  bool lost = false;
  for (int64_t j = 0; j < ny; ++j) {
    const auto sides = fine.sides_x(i, j);
    lost |= between_row(row.data(), fine.face_x(i, j), sides.below, sides.above, n);
    multigrid::split_row(out.face_x(i, j), row.data(), T{1}, n, half);
  }
  if (i == nx) return lost;
  for (int64_t j = 0; j <= ny; ++j) {
    const auto sides = fine.sides_y(i, j);
    lost |= between_row(row.data(), fine.face_y(i, j), sides.below, sides.above, n);
    multigrid::split_row(out.face_y(i, j), row.data(), T{1}, n, half);
  }
  for (int64_t j = 0; j < ny; ++j) {
    z.take(fine.cells(i, j), n, fine.periodic[2] != 0);
    lost |= between_row(row.data(), fine.face_z(i, j), z.below.data(), z.above.data(), n + 1);
    multigrid::split_row(out.face_z(i, j), row.data(), T{1}, n + 1, half_z);
  }
  return lost;
}

// sum += coupling * face where the cell is an unknown and the one beyond the face is fixed.
template <class T>
void add_lost(float* __restrict sum, const T* __restrict face, const uint8_t* cell, const uint8_t* beyond,
              float coupling, int64_t n) {
#pragma omp simd
  for (int64_t k = 0; k < n; ++k)
    sum[k] += cell[k] & beyond[k] >> 1 & kUnknown ? coupling * static_cast<float>(face[k]) : 0.0f;
}

// The same across z, where the coupling changes along the row.
template <class T>
void add_lost_along(float* __restrict sum, const T* __restrict face, const uint8_t* cell, const uint8_t* beyond,
                    const float* __restrict coupling, int64_t n) {
#pragma omp simd
  for (int64_t k = 0; k < n; ++k)
    sum[k] += cell[k] & beyond[k] >> 1 & kUnknown ? coupling[k] * static_cast<float>(face[k]) : 0.0f;
}

template <class T>
void reaction_row(float* __restrict sum, const Finest<T>& fine, const Couplings& couplings, int64_t i, int64_t j,
                  ZSides& z) {
  const int64_t n = fine.n[2];
  const uint8_t* cell = fine.cells(i, j);
  std::fill_n(sum, n, 0.0f);
  add_lost(sum, fine.face_x(i, j), cell, fine.sides_x(i, j).below, couplings.lower[0][i], n);
  add_lost(sum, fine.face_x(i + 1, j), cell, fine.sides_x(i + 1, j).above, couplings.upper[0][i], n);
  add_lost(sum, fine.face_y(i, j), cell, fine.sides_y(i, j).below, couplings.lower[1][j], n);
  add_lost(sum, fine.face_y(i, j + 1), cell, fine.sides_y(i, j + 1).above, couplings.upper[1][j], n);
  z.take(cell, n, fine.periodic[2] != 0);
  add_lost_along(sum, fine.face_z(i, j), cell, z.below.data(), couplings.lower[2], n);
  add_lost_along(sum, fine.face_z(i, j) + 1, cell, z.above.data() + 1, couplings.upper[2], n);
  if (fine.reaction == nullptr) return;
  const T* given = fine.reaction + (cell - fine.state);
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) sum[k] += cell[k] & kUnknown ? static_cast<float>(given[k]) : 0.0f;
}

template <class T>
PackedMedium split(const Finest<T>& fine, const Couplings& couplings, const Tensor& like) {
  const Extents n = fine.n;
  PackedMedium packed = empty_medium(like, n, false);
  PackedRows<float> out = rows_to_write(packed, n);
  std::atomic<bool> lost{fine.reaction != nullptr};
  core::parallel_range(n[0] + 1, 3 * n[1] * n[2], [&](int64_t begin, int64_t end) {
    std::vector<T> row(static_cast<size_t>(n[2] + 1));
    ZSides z(n[2]);
    for (int64_t i = begin; i < end; ++i) {
      if (split_plane(out, fine, i, row, z)) lost = true;
    }
  });
  if (!lost) return packed;
  Tensor& reaction = std::get<2>(packed);
  reaction = empty_floats(like, {n[0], n[1], 2 * half_of(n[2])});
  out.reaction = core::mutable_data<float>(reaction);
  core::parallel_range(n[0] * n[1], n[2], [&](int64_t begin, int64_t end) {
    std::vector<float> sum(static_cast<size_t>(n[2]));
    ZSides z(n[2]);
    for (int64_t r = begin; r < end; ++r) {
      reaction_row(sum.data(), fine, couplings, r / n[1], r % n[1], z);
      multigrid::split_row(out.reaction_row(r / n[1], r % n[1]), sum.data(), 1.0f, n[2], half_of(n[2]));
    }
  });
  return packed;
}

std::vector<uint8_t> states(const Tensor& unknown, const MaybeTensor& passable) {
  const auto cells = static_cast<size_t>(unknown.numel());
  std::vector<uint8_t> state(cells);
  const auto* is_unknown = core::data<uint8_t>(unknown);
  const auto* passes = passable ? core::data<uint8_t>(*passable) : nullptr;
#pragma omp simd
  for (size_t m = 0; m < cells; ++m)
    state[m] = is_unknown[m] ? kUnknown : passes == nullptr || passes[m] ? kFixed : uint8_t{0};
  return state;
}

template <class T>
PackedMedium split_as(const Tensor* faces, const Tensor& unknown, const MaybeTensor& passable,
                      const MaybeTensor& reaction, const Extents& n, const Couplings& couplings,
                      const Flags& periodic) {
  const std::vector<uint8_t> state = states(unknown, passable);
  const Finest<T> fine{{core::data<T>(faces[0]), core::data<T>(faces[1]), core::data<T>(faces[2])},
                       state.data(),
                       reaction ? core::data<T>(*reaction) : nullptr,
                       n,
                       periodic};
  return split(fine, couplings, unknown);
}

}  // namespace

PackedMedium split_medium(Tensor face_x, Tensor face_y, Tensor face_z, Tensor unknown, MaybeTensor passable,
                          MaybeTensor reaction, Tensor couplings, Flags periodic) {
  constexpr const char* op = "split_medium";
  const Extents n = extents_of(unknown, core::ScalarType::Bool, op, "unknown");
  core::check(periodic.size() == 3, op, "periodic", "have three entries");
  const auto type = face_x.scalar_type();
  const bool single = type == core::ScalarType::Float;
  core::check(single || type == core::ScalarType::Double, op, "faces", "be float32 or float64");
  const Tensor faces[] = {face_x, face_y, face_z};
  for (size_t axis = 0; axis < 3; ++axis) {
    Extents wanted = n;
    ++wanted[axis];
    core::check(extents_of(faces[axis], type, op, "faces") == wanted, op, "faces",
                "have unknown's shape, but one entry more along their own axis");
  }
  if (passable) {
    extents_of(*passable, core::ScalarType::Bool, op, "passable");
    core::check_same_shape(unknown, *passable, op, "passable");
  }
  if (reaction) {
    core::check_contiguous(*reaction, type, op, "reaction");
    core::check_same_shape(unknown, *reaction, op, "reaction");
  }
  const Couplings coupling(couplings, n, op);
  return single ? split_as<float>(faces, unknown, passable, reaction, n, coupling, periodic)
                : split_as<double>(faces, unknown, passable, reaction, n, coupling, periodic);
}

}  // namespace fastsciml::medium
