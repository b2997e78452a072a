// The direct solver of boxes as torch calls it; schema in csrc/operators.cpp.
//
//   u = X Y Z (f^ / (lambda_x + lambda_y + lambda_z + alpha)),   f^ = (X Y Z)^-1 f
//
// with the bases X, Y, Z that diagonalise the axes' second differences, one code of Basis (axis_transform.h) each, and
// their eigenvalues lambda. Where the sum is exactly 0, the free constant, so is the quotient.
#pragma once

#include <vector>

#include "core/tensor.h"

namespace fastsciml::spectral {

using core::Tensor;

// f [batch, nx, ny, nz] float32 or float64, eigenvalues three tensors [nx], [ny], [nz] of its dtype -> u.
// Moves 24 (float32) or 48 (float64) bytes per unknown: three passes over memory, fast_poisson_cpu.cpp.
Tensor fast_poisson(Tensor f, std::vector<int64_t> transforms, std::vector<Tensor> eigenvalues, double alpha);

}  // namespace fastsciml::spectral
