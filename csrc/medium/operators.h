// What fills the grid, from masks and face arrays to the tensors of a hierarchy (multigrid/tensors.h); schemas in
// csrc/operators.cpp, definitions in src/fastsciml/ops. Callers: solvers/hierarchy.py and solvers/nullspace.py.
//
// A packed medium, level by level the source of the next coarser one:
//   faces     face_x [nx + 1, ny, 2 half], then face_y [nx, ny + 1, 2 half]: what the V-cycle reads
//   face_z    [nx, ny, 2 half_of(nz + 1)], its faces in halves, too: first those below even cells, then below odd ones
//   reaction  [nx, ny, 2 half], what stands on the diagonal beside the faces, or [0, ny, 2 half]: nothing
// Faces conduct between two unknowns only; what leads to fixed cells is in the reaction.
//
// couplings [2 (nx + ny + nz)], float32, are `poisson_apply`'s; parents int32 and shares float32 [nx + ny + nz] are the
// transfers to the next coarser level, along x, then y, then z.
#pragma once

#include <optional>
#include <tuple>
#include <vector>

#include "core/tensor.h"

namespace fastsciml::medium {

using core::Tensor;
using MaybeTensor = std::optional<Tensor>;
using Flags = std::vector<int64_t>;
using PackedMedium = std::tuple<Tensor, Tensor, Tensor>;

Tensor pack_faces(Tensor unknown, MaybeTensor passable, Flags periodic);

std::tuple<Tensor, Tensor> mask_diagonals(Tensor bits, Tensor couplings, MaybeTensor reaction, double alpha,
                                          double relaxation);

PackedMedium coarsen_mask(Tensor bits, Tensor couplings, MaybeTensor reaction, double alpha, bool fixed, Flags periodic,
                          Tensor parents, Tensor shares);

PackedMedium split_medium(Tensor face_x, Tensor face_y, Tensor face_z, Tensor unknown, MaybeTensor passable,
                          MaybeTensor reaction, Tensor couplings, Flags periodic);

std::tuple<Tensor, Tensor, Tensor> medium_level(Tensor faces, Tensor face_z, Tensor reaction, Tensor couplings,
                                                Flags extents, bool periodic_z, double relaxation);

PackedMedium coarsen_medium(Tensor faces, Tensor face_z, Tensor reaction, Flags extents, Tensor parents, Tensor shares);

std::tuple<Tensor, Tensor, Tensor> face_coefficients(Tensor cells, Tensor widths, Flags periodic);

std::tuple<Tensor, Tensor> free_regions(Tensor unknown, Flags periodic, Flags holding, MaybeTensor holds);

Tensor subtract_region_means(Tensor values, Tensor region, Tensor sizes);

}  // namespace fastsciml::medium
