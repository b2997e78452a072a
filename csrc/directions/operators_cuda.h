// The conjugate-direction step for CUDA tensors; see operators.h. Nothing waits for the device.
#pragma once

#include "directions/operators.h"

namespace fastsciml::directions {

Tensor conjugate_line_search_cuda(Tensor z, std::vector<Tensor> directions, Tensor r, Ints extents, Ints periodic,
                                  Tensor axes, Tensor maps, Tensor diagonals, Tensor z_couplings, Tensor faces);

Tensor conjugate_direction_step_cuda(Tensor u, Tensor z, std::vector<Tensor> directions, Tensor r, Tensor f,
                                     Tensor couplings, Ints periodic, std::optional<Tensor> faces,
                                     std::vector<Tensor> coefficient, std::optional<Tensor> alpha, Tensor lengths,
                                     double scale, bool from_zero);

}  // namespace fastsciml::directions
