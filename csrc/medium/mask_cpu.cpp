// A medium that conducts the same everywhere, 1, but for closed faces: straight from its bits (pack_faces_cpu.cpp),
// without an array of faces on the finest level.
//   diagonal = sum over the open faces of each unknown of their coupling, + alpha + reaction
// and the packed medium of the next coarser level (operators.h), whose reaction is the mean of
//   alpha + reaction + the couplings to fixed cells.
//   bits -> diagonals [2, rows, 2 half], stored [nx, ny];   moves 1 byte per cell, and 8 where there are obstacles
//   bits -> the coarse medium;              moves 1 byte per cell and 20 per coarse one
// Caller: ops/mask_medium.py.

#include "core/parallel.h"
#include "medium/coarsening.h"
#include "medium/shared_rows.h"
#include "poisson/row.h"

namespace fastsciml::medium {
namespace {

struct Bits {
  const uint8_t* bytes;  // [nx, ny, nz]
  Extents extents;
  const uint8_t* row(int64_t i, int64_t j) const { return bytes + (i * extents[1] + j) * extents[2]; }
};

// What is in each cell beside the faces.
struct Cells {
  const float* reaction;  // [nx, ny, nz], or null
  float alpha;
  const float* row(const Bits& bits, int64_t i, int64_t j) const {
    return reaction == nullptr ? nullptr : reaction + (bits.row(i, j) - bits.bytes);
  }
};

// sum += weight * (alpha + reaction) in unknowns.
void add_cells(float* __restrict sum, float weight, float alpha, const float* reaction, const uint8_t* bits,
               int64_t n) {
  const float everywhere = weight * alpha;
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) sum[k] += bits[k] >> kUnknownBit & 1 ? everywhere : 0.0f;
  if (reaction == nullptr) return;
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) sum[k] += bits[k] >> kUnknownBit & 1 ? weight * reaction[k] : 0.0f;
}

void diagonal_row(float* __restrict out, const uint8_t* __restrict bits, const Couplings& couplings, int64_t i,
                  int64_t j, int64_t n) {
  const float xl = couplings.lower[0][i], xu = couplings.upper[0][i];
  const float yl = couplings.lower[1][j], yu = couplings.upper[1][j];
  const float *zl = couplings.lower[2], *zu = couplings.upper[2];
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) {
    const int32_t open = bits[k];
    float sum = open & 1 ? xl : 0.0f;
    sum += open & 2 ? xu : 0.0f;
    sum += open & 4 ? yl : 0.0f;
    sum += open & 8 ? yu : 0.0f;
    sum += open & 16 ? zl[k] : 0.0f;
    sum += open & 32 ? zu[k] : 0.0f;
    out[k] = sum;
  }
}

// Sums of rows of bits, each in the order of k, split at the end.
class BitSource {
 public:
  BitSource(const Bits& bits, const Couplings& couplings, const Cells& cells, bool fixed, const Flags& periodic)
      : bits_(bits),
        couplings_(couplings),
        cells_(cells),
        fixed_(fixed),
        periodic_(periodic),
        n_(bits.extents[2]),
        sum_(static_cast<size_t>(n_ + 1)),
        shifted_(static_cast<size_t>(n_)),
        halves_(static_cast<size_t>(2 * half_of(n_ + 1))) {}

  void start() { std::fill(sum_.begin(), sum_.end(), 0.0f); }

  void add_face_x(float weight, int64_t i, int64_t j) { add_face(weight, 0, i, bits_.extents[0], i, j); }
  void add_face_y(float weight, int64_t i, int64_t j) { add_face(weight, 1, j, bits_.extents[1], i, j); }

  void add_face_z(float weight, int64_t i, int64_t j) {
    const uint8_t* row = bits_.row(i, j);
    add_between(weight, row, 4, neighbour(2, 0, i, j));
    const bool inside = !fixed_ || !periodic_[2] || row[0] >> kUnknownBit & 1;
    sum_[static_cast<size_t>(n_)] += row[n_ - 1] >> 5 & 1 && inside ? weight : 0.0f;
  }

  void add_reaction(float weight, int64_t i, int64_t j) {
    const uint8_t* row = bits_.row(i, j);
    add_cells(sum_.data(), weight, cells_.alpha, cells_.row(bits_, i, j), row, n_);
    if (!fixed_) return;
    for (int upper = 0; upper < 2; ++upper) {
      const float* const* couplings = upper ? couplings_.upper : couplings_.lower;
      add_lost(row, upper, neighbour(0, upper, i, j), weight * couplings[0][i]);
      add_lost(row, 2 + upper, neighbour(1, upper, i, j), weight * couplings[1][j]);
      add_lost_along(row, 4 + upper, neighbour(2, upper, i, j), weight, couplings[2]);
    }
  }

  const float* finish() {
    multigrid::split_row(halves_.data(), sum_.data(), 1.0f, n_, half_of(n_));
    return halves_.data();
  }
  const float* finish_z() {
    multigrid::split_row(halves_.data(), sum_.data(), 1.0f, n_ + 1, half_of(n_ + 1));
    return halves_.data();
  }

 private:
  // The row of cells beyond the lower (0) or upper (1) face of row (i, j), null where there is none. Along z, the row
  // itself, shifted.
  const uint8_t* neighbour(int axis, int upper, int64_t i, int64_t j) {
    int64_t at[] = {i, j, 0};
    if (axis == 2) return fixed_ ? shifted(bits_.row(i, j), upper) : nullptr;
    const int64_t n = bits_.extents[static_cast<size_t>(axis)];
    at[axis] += upper ? 1 : -1;
    const bool beyond = at[axis] < 0 || at[axis] == n;
    if (beyond && !periodic_[static_cast<size_t>(axis)]) return nullptr;
    at[axis] = (at[axis] + n) % n;
    return bits_.row(at[0], at[1]);
  }

  const uint8_t* shifted(const uint8_t* row, int upper) {
    // No face leads beyond the end to a fixed cell: as if there were an unknown.
    const uint8_t end = 1 << kUnknownBit;
    if (upper) {
      std::copy_n(row + 1, n_ - 1, shifted_.data());
      shifted_.back() = periodic_[2] ? row[0] : end;
    } else {
      std::copy_n(row, n_ - 1, shifted_.data() + 1);
      shifted_.front() = periodic_[2] ? row[n_ - 1] : end;
    }
    return shifted_.data();
  }

  // Face f of n + 1 is the lower one of cell f; the last is the upper one of the cell before it.
  void add_face(float weight, int axis, int64_t f, int64_t n, int64_t i, int64_t j) {
    const int upper = f == n;
    (axis == 0 ? i : j) -= upper;
    add_between(weight, bits_.row(i, j), 2 * axis + upper, fixed_ ? neighbour(axis, upper, i, j) : nullptr);
  }

  // sum += weight where the face is open, and between two unknowns if `other` is given.
  void add_between(float weight, const uint8_t* __restrict row, int bit, const uint8_t* other) {
    float* __restrict sum = sum_.data();
    const int32_t mask = 1 << bit;
    if (other == nullptr) {
#pragma omp simd
      for (int64_t k = 0; k < n_; ++k) sum[k] += row[k] & mask ? weight : 0.0f;
    } else {
#pragma omp simd
      for (int64_t k = 0; k < n_; ++k) sum[k] += (row[k] >> bit & other[k] >> kUnknownBit & 1) ? weight : 0.0f;
    }
  }

  // sum += weight where the face is open to a fixed cell; no neighbours, none fixed. No closures in these loops: g++ 12
  // mixes up what they capture once sanitizers are on.
  void add_lost(const uint8_t* __restrict row, int bit, const uint8_t* other, float weight) {
    if (other == nullptr) return;
    float* __restrict sum = sum_.data();
#pragma omp simd
    for (int64_t k = 0; k < n_; ++k) sum[k] += (row[k] >> bit & ~(other[k] >> kUnknownBit) & 1) ? weight : 0.0f;
  }

  // The same across z: sum += weight * coupling.
  void add_lost_along(const uint8_t* __restrict row, int bit, const uint8_t* other, float weight,
                      const float* __restrict coupling) {
    float* __restrict sum = sum_.data();
#pragma omp simd
    for (int64_t k = 0; k < n_; ++k)
      sum[k] += (row[k] >> bit & ~(other[k] >> kUnknownBit) & 1) ? weight * coupling[k] : 0.0f;
  }

  Bits bits_;
  const Couplings& couplings_;
  Cells cells_;
  bool fixed_;  // whether faces may lead to fixed cells
  const Flags& periodic_;
  int64_t n_;
  std::vector<float> sum_;        // [n + 1]
  std::vector<uint8_t> shifted_;  // [n]
  std::vector<float> halves_;     // [2 half of n + 1]
};

Cells checked_cells(const Tensor& bits, const MaybeTensor& reaction, double alpha, const char* op) {
  if (!reaction) return {nullptr, static_cast<float>(alpha)};
  core::check_contiguous(*reaction, core::ScalarType::Float, op, "reaction");
  core::check_same_shape(bits, *reaction, op, "reaction");
  return {core::data<float>(*reaction), static_cast<float>(alpha)};
}

}  // namespace

std::tuple<Tensor, Tensor> mask_diagonals(Tensor bits, Tensor couplings, MaybeTensor reaction, double alpha,
                                          double relaxation) {
  constexpr const char* op = "mask_diagonals";
  const Extents n = extents_of(bits, core::ScalarType::Byte, op, "bits");
  const Couplings coupling(couplings, n, op);
  const Cells cells = checked_cells(bits, reaction, alpha, op);
  const bool reacts = cells.alpha != 0 || cells.reaction != nullptr;
  const Bits open{core::data<uint8_t>(bits), n};
  const int64_t rows = n[0] * n[1], half = half_of(n[2]);
  std::vector<uint8_t> plain(static_cast<size_t>(rows));
  core::parallel_range(rows, n[2], [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      plain[static_cast<size_t>(row)] = cells.reaction == nullptr && poisson::all_open(open.bytes + row * n[2], n[2]);
    }
  });
  Tensor stored = torch::stable::new_empty(bits, {rows}, core::ScalarType::Int);
  const std::vector<int64_t> kept = share_rows(plain, coupling, n, false, core::mutable_data<int32_t>(stored));
  const auto count = static_cast<int64_t>(kept.size());
  Tensor diagonals = empty_floats(bits, {2, count, 2 * half});
  float* out = core::mutable_data<float>(diagonals);

  core::parallel_range(count, n[2], [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(n[2]));
    for (int64_t row = begin; row < end; ++row) {
      const int64_t i = kept[static_cast<size_t>(row)] / n[1], j = kept[static_cast<size_t>(row)] % n[1];
      diagonal_row(scratch.data(), open.row(i, j), coupling, i, j, n[2]);
      if (reacts) add_cells(scratch.data(), 1.0f, cells.alpha, cells.row(open, i, j), open.row(i, j), n[2]);
      float* diagonal = out + row * 2 * half;
      float* inverse = diagonal + count * 2 * half;
      multigrid::split_row(diagonal, scratch.data(), 1.0f, n[2], half);
      const auto relax = static_cast<float>(relaxation);
#pragma omp simd
      for (int64_t m = 0; m < 2 * half; ++m) inverse[m] = diagonal[m] > 0 ? relax / diagonal[m] : 0.0f;
    }
  });
  return {diagonals, stored};
}

PackedMedium coarsen_mask(Tensor bits, Tensor couplings, MaybeTensor reaction, double alpha, bool fixed, Flags periodic,
                          Tensor parents, Tensor shares) {
  constexpr const char* op = "coarsen_mask";
  const Extents n = extents_of(bits, core::ScalarType::Byte, op, "bits");
  core::check(periodic.size() == 3, op, "periodic", "have three entries");
  const Couplings coupling(couplings, n, op);
  const Cells cells = checked_cells(bits, reaction, alpha, op);
  const Transfer move(parents, shares, n, op);
  PackedMedium coarse = empty_medium(bits, move.coarse(), fixed || cells.alpha != 0 || cells.reaction != nullptr);
  const PackedRows<float> out = rows_to_write(coarse, move.coarse());
  core::parallel_range(move.x.coarse + 1, n[0] * n[1] * n[2] / move.x.coarse, [&](int64_t begin, int64_t end) {
    BitSource source({core::data<uint8_t>(bits), n}, coupling, cells, fixed, periodic);
    RowTransfer along_z(move.z);
    for (int64_t i = begin; i < end; ++i) coarsen_plane(out, move, along_z, source, i);
  });
  return coarse;
}

}  // namespace fastsciml::medium
