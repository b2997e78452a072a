// The parts that the medium's kernels share: views of the 1-D arrays, and the tensors of a packed medium (operators.h).
#pragma once

#include <array>

#include "medium/operators.h"
#include "multigrid/level.h"

namespace fastsciml::medium {

using multigrid::half_of;
using Extents = std::array<int64_t, 3>;

// Bits of a cell's byte (ops/pack_faces.py): its open lower and upper face along x, y, z, and whether it holds an
// unknown.
inline constexpr int kUnknownBit = 6;

// 1 / (width * distance) across the lower and upper face of each cell.
struct Couplings {
  const float* lower[3];  // [extent] each
  const float* upper[3];  // [extent] each

  Couplings(const Tensor& flat, const Extents& extents, const char* op);
};

// The arrays of a packed medium, read or written.
template <class T>
struct PackedRows {
  Extents extents;
  T* x;         // [nx + 1, ny, 2 half]
  T* y;         // [nx, ny + 1, 2 half]
  T* z;         // [nx, ny, 2 half_z]
  T* reaction;  // [nx, ny, 2 half], or null

  int64_t half() const { return half_of(extents[2]); }
  int64_t half_z() const { return half_of(extents[2] + 1); }
  T* face_x(int64_t i, int64_t j) const { return x + (i * extents[1] + j) * 2 * half(); }
  T* face_y(int64_t i, int64_t j) const { return y + (i * (extents[1] + 1) + j) * 2 * half(); }
  T* face_z(int64_t i, int64_t j) const { return z + (i * extents[1] + j) * 2 * half_z(); }
  T* reaction_row(int64_t i, int64_t j) const { return reaction + (i * extents[1] + j) * 2 * half(); }
};

// Fresh tensors, not filled, in huge pages where they are large.
PackedMedium empty_medium(const Tensor& like, const Extents& extents, bool reaction);
Tensor empty_floats(const Tensor& like, std::initializer_list<int64_t> shape);

PackedRows<float> rows_to_write(const PackedMedium& medium, const Extents& extents);
PackedRows<const float> rows_to_read(const Tensor& faces, const Tensor& face_z, const Tensor& reaction,
                                     const Extents& extents, const char* op);

Extents extents_of(const Tensor& cells, core::ScalarType type, const char* op, const char* name);

}  // namespace fastsciml::medium
