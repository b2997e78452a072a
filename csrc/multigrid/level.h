// One level of the grid hierarchy, as every multigrid kernel sees it.
//
// Unknowns are cell-centred, indexed (i, j, k) along x, y, z. A row of cells along z is stored as two halves, first the
// cells with even k, then those with odd k, each padded with zeros to `half` floats:
//
//   [ k = 0 2 4 ... | k = 1 3 5 ... ]        cell k stands at index k / 2 of half k % 2
//
// A red-black sweep updates one half of each row at a time, so that every loop runs at unit stride over cells of one
// colour. The neighbours in x and y of a half lie in the same half of other rows, at the same index; of the neighbours
// in z, `near` lies in the other half at the same index (k + 1 for even k, k - 1 for odd), `far` one index before
// (k - 1 for even k) or after it (k + 1 for odd).
//
// The operator, in its pointwise form (divided by the cell's volume):
//   (A u)_ijk = d u_ijk - lower_x[i] u_{i-1,j,k} - upper_x[i] u_{i+1,j,k} - ... (the same in y and z)
// A coupling is 1 / (cell width * distance of the unknowns); it is 0 at a non-periodic end, where the boundary's share
// stands in d alone. With a medium in the grid (solid cells, a coefficient), couplings are multiplied by what their
// face conducts.
#pragma once

#include <cstdint>

#include "core/memory.h"

namespace fastsciml::multigrid {

// Halves of rows are whole cache lines: 16 floats.
inline constexpr int64_t kRowUnit = 16;

FASTSCIML_HOST_DEVICE constexpr int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
FASTSCIML_HOST_DEVICE constexpr int64_t half_of(int64_t extent) { return round_up((extent + 1) / 2, kRowUnit); }

// One axis of a level and its transfer to the next coarser level.
struct Axis {
  int64_t extent, coarse_extent;
  bool periodic;
  core::Memory<const float> lower;  // [extent] coupling to cell i - 1 (x and y; z's are in Level)
  core::Memory<const float> upper;  // [extent] coupling to cell i + 1
  core::Memory<const float> share;  // [extent] this cell's share of its coarse cell's width: the weight of restriction
  core::Memory<const float>
      own;  // [extent] prolongation weight of the coarse cell this one lies in, the boundary's part included
  core::Memory<const float> next;      // [extent] prolongation weight of `beyond`
  core::Memory<const float> weight;    // [extent] the cell's width, the widest being 1
  core::Memory<const int32_t> parent;  // [extent] the coarse cell this one lies in
  core::Memory<const int32_t>
      beyond;  // [extent] the coarse cell beyond the nearer coarse face; any where its weight is 0
  core::Memory<const int32_t> first;  // [coarse extent + 1] first cell of each coarse one (x and y)

  FASTSCIML_HOST_DEVICE bool coarsened() const { return coarse_extent < extent; }
  FASTSCIML_HOST_DEVICE bool opens(int64_t i) const { return i == 0 || parent[i - 1] != parent[i]; }
  FASTSCIML_HOST_DEVICE bool closes(int64_t i) const { return i + 1 == extent || parent[i + 1] != parent[i]; }

  // Whether the axis closes between two cells of one colour.
  FASTSCIML_HOST_DEVICE bool closes_oddly() const { return periodic && extent % 2 == 1 && extent > 1; }

  // The cell that a halo reaches past a periodic end; a halo may be wider than the axis.
  FASTSCIML_HOST_DEVICE int64_t wrap(int64_t i) const {
    if (i >= 0 && i < extent) return i;
    const int64_t remainder = i % extent;
    return remainder < 0 ? remainder + extent : remainder;
  }
};

struct Level {
  Axis x, y, z;                          // z's arrays [2 half] are in the order of a row
  int64_t half;                          // floats of half a row
  core::Memory<const float> relaxation;  // [1] over-relaxation of the smoother
  int64_t rows;                          // how many rows of the diagonal differ: equal ones are stored once
  core::Memory<const int32_t>
      stored;  // [x, y] where row (i, j)'s diagonal stands; its complement ~ where the row is weighted
  core::Memory<const float> diagonal;          // [rows, 2 half] d
  core::Memory<const float> inverse_diagonal;  // [rows, 2 half] relaxation / d; 0 in solid cells and in the padding
  int64_t z_stride;                  // 2 half where z's couplings differ from row to row (coarse, masked), else 0
  core::Memory<const float> near_z;  // [1 or rows, 2 half] coupling to the neighbour in z with the same index
  core::Memory<const float> far_z;   // [1 or rows, 2 half] coupling to the other one
  float uniform_z;                   // the coupling of any two neighbours in z, or 0 where it is not one number
  core::Memory<const float> face_x;  // [x + 1, y, 2 half] what the face between (i - 1, j, k) and (i, j, k) conducts
                                     // per unit of its coupling, or null: 1 everywhere
  core::Memory<const float> face_y;  // [x, y + 1, 2 half] likewise between (i, j - 1, k) and (i, j, k)

  // Where cells along z merge otherwise than in pairs (i // 2), rows in halves; else null:
  core::Memory<const int32_t> z_parent;  // [2 half] } coarse cells of each cell, as indices in the order of k
  core::Memory<const int32_t> z_beyond;  // [2 half] }
  core::Memory<const int32_t>
      z_first;  // [2 coarse half]  } cells of each coarse cell, as indices into a row in halves,
  core::Memory<const int32_t> z_second;  // [2 coarse half]  } -1 where there is none

  FASTSCIML_HOST_DEVICE int64_t stride() const { return 2 * half; }
  FASTSCIML_HOST_DEVICE int64_t row(int64_t i, int64_t j) const { return (i * y.extent + j) * stride(); }
  // Whether some face of row (i, j) conducts otherwise than 1. Most rows of most media are far from any obstacle.
  FASTSCIML_HOST_DEVICE bool weighted(int64_t i, int64_t j) const { return stored[i * y.extent + j] < 0; }
  FASTSCIML_HOST_DEVICE int64_t diagonal_row(int64_t i, int64_t j) const { return stored_row(i, j) * stride(); }
  FASTSCIML_HOST_DEVICE int64_t z_row(int64_t i, int64_t j) const { return stored_row(i, j) * z_stride; }
  FASTSCIML_HOST_DEVICE int64_t cells() const { return x.extent * y.extent * z.extent; }
  FASTSCIML_HOST_DEVICE int64_t floats() const { return x.extent * y.extent * stride(); }

 private:
  FASTSCIML_HOST_DEVICE int64_t stored_row(int64_t i, int64_t j) const {
    const int32_t row = stored[i * y.extent + j];
    return row < 0 ? ~row : row;
  }
};

// The half of row (i, j) that holds the cells of a colour; red (0) is where i + j + k is even.
FASTSCIML_HOST_DEVICE constexpr int64_t half_of_colour(int64_t colour, int64_t i, int64_t j) {
  return (i + j + colour) & 1;
}

// A row with its ghost cells, in scratch memory: the halves with a gap between them, whose first float is k = n for
// even n and whose last is k = -1. For odd n, k = n is the first float of the odd half's padding.
struct PaddedRow {
  static int64_t odd(const Level& level) { return level.half + kRowUnit; }
  static int64_t stride(const Level& level) { return 2 * level.half + kRowUnit; }
  static int64_t half(const Level& level, int64_t which) { return which ? odd(level) : 0; }
  static int64_t cell(const Level& level, int64_t k) { return half(level, k & 1) + (k >> 1); }

  // Copies the values that lie beyond the ends of a periodic row. Without periodicity the ghost cells are 0 and stay.
  static void wrap_ends(const Level& level, float* row) {
    const int64_t n = level.z.extent;
    if (!level.z.periodic) return;
    row[cell(level, -1)] = row[cell(level, n - 1)];
    row[cell(level, n)] = row[0];
  }
};

}  // namespace fastsciml::multigrid
