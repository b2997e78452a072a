// Checks and makes the tensors of a packed medium; the layout is in operators.h.

#include "medium/packed.h"

#include <torch/csrc/stable/ops.h>

#include "core/pages.h"

namespace fastsciml::medium {
namespace {

int64_t face_floats(const Extents& n) { return ((n[0] + 1) * n[1] + n[0] * (n[1] + 1)) * 2 * half_of(n[2]); }

template <class T>
PackedRows<T> rows_of(T* faces, T* face_z, T* reaction, const Extents& n) {
  return {n, faces, faces + (n[0] + 1) * n[1] * 2 * half_of(n[2]), face_z, reaction};
}

}  // namespace

Couplings::Couplings(const Tensor& flat, const Extents& extents, const char* op) {
  core::check_contiguous(flat, core::ScalarType::Float, op, "couplings");
  core::check(flat.numel() == 2 * (extents[0] + extents[1] + extents[2]), op, "couplings",
              "have two entries per cell along each axis");
  const float* next = core::data<float>(flat);
  for (size_t axis = 0; axis < 3; ++axis) {
    lower[axis] = next;
    upper[axis] = next + extents[axis];
    next += 2 * extents[axis];
  }
}

Tensor empty_floats(const Tensor& like, std::initializer_list<int64_t> shape) {
  Tensor out = torch::stable::new_empty(like, shape, core::ScalarType::Float);
  core::advise_huge_pages(out);
  return out;
}

PackedMedium empty_medium(const Tensor& like, const Extents& n, bool reaction) {
  Tensor faces = empty_floats(like, {face_floats(n)});
  Tensor face_z = empty_floats(like, {n[0], n[1], 2 * half_of(n[2] + 1)});
  Tensor rest = empty_floats(like, {reaction ? n[0] : 0, n[1], 2 * half_of(n[2])});
  return {faces, face_z, rest};
}

PackedRows<float> rows_to_write(const PackedMedium& medium, const Extents& extents) {
  const auto& [faces, face_z, reaction] = medium;
  float* rest = reaction.numel() > 0 ? core::mutable_data<float>(reaction) : nullptr;
  return rows_of(core::mutable_data<float>(faces), core::mutable_data<float>(face_z), rest, extents);
}

PackedRows<const float> rows_to_read(const Tensor& faces, const Tensor& face_z, const Tensor& reaction,
                                     const Extents& n, const char* op) {
  const int64_t rows = n[0] * n[1];
  core::check_contiguous(faces, core::ScalarType::Float, op, "faces");
  core::check_contiguous(face_z, core::ScalarType::Float, op, "face_z");
  core::check_contiguous(reaction, core::ScalarType::Float, op, "reaction");
  core::check(rows > 0 && n[2] > 0, op, "extents", "be positive");
  core::check(faces.numel() == face_floats(n), op, "faces", "have the faces across x and y of these extents");
  core::check(face_z.numel() == rows * 2 * half_of(n[2] + 1), op, "face_z", "have the faces across z of these extents");
  core::check(reaction.numel() == 0 || reaction.numel() == rows * 2 * half_of(n[2]), op, "reaction",
              "be empty or have the cells of these extents");
  const float* rest = reaction.numel() > 0 ? core::data<float>(reaction) : nullptr;
  return rows_of(core::data<float>(faces), core::data<float>(face_z), rest, n);
}

Extents extents_of(const Tensor& cells, core::ScalarType type, const char* op, const char* name) {
  core::check(cells.dim() == 3 && cells.numel() > 0, op, name, "be a non-empty [nx, ny, nz] tensor");
  core::check_contiguous(cells, type, op, name);
  return {cells.size(0), cells.size(1), cells.size(2)};
}

}  // namespace fastsciml::medium
