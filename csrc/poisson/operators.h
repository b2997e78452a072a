// The Poisson operator as torch calls it; schema in csrc/operators.cpp.
//
//   (A u)_c = alpha u_c + sum over the six faces of c: open * coefficient * coupling * (u_c - u_neighbour)
//
// All floating arrays have u's dtype.
//   couplings    [2 (nx + ny + nz)]: lower_x, upper_x [nx each], lower_y, upper_y [ny each], lower_z, upper_z [nz
//   each],
//                the coupling of each cell's lower and upper face. Past a non-periodic end stands the value 0, with the
//                boundary's coupling (2 / h^2 Dirichlet, 0 Neumann); on a periodic axis the neighbour wraps.
//   faces        [nx, ny, nz] uint8: bits 0 to 5 tell whether the lower and upper faces along x, y, z are open, bit 6
//                whether the cell holds an unknown; without it all do. A u is 0 where there is none.
//   coefficient  [nx + 1, ny, nz], [nx, ny + 1, nz], [nx, ny, nz + 1], face i being the lower one of cell i; or empty:
//   1 alpha        one entry, or [nx, ny, nz]; or none: 0
#pragma once

#include <optional>
#include <vector>

#include "core/tensor.h"

namespace fastsciml::poisson {

using core::Tensor;

// u [batch, nx, ny, nz] float32 or float64 -> A u.   Moves 8 (float32) or 16 (float64) bytes per unknown; 1 more with
// faces, 12 or 24 with a coefficient, 4 or 8 with an alpha per cell.
Tensor poisson_apply(Tensor u, Tensor couplings, std::vector<int64_t> periodic, std::optional<Tensor> faces,
                     std::vector<Tensor> coefficient, std::optional<Tensor> alpha);

// ||f - A u||^2 for u, f [nx, ny, nz], float64 [1].   Moves as much as poisson_apply.
Tensor poisson_residual_norm(Tensor u, Tensor f, Tensor couplings, std::vector<int64_t> periodic,
                             std::optional<Tensor> faces, std::vector<Tensor> coefficient, std::optional<Tensor> alpha);

}  // namespace fastsciml::poisson
