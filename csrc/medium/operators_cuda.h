// What fills the grid, for CUDA tensors; see operators.h.
#pragma once

#include "medium/operators.h"

namespace fastsciml::medium {

// A region that has no size is none: to look for one would be to wait for the device.
Tensor subtract_region_means_cuda(Tensor values, Tensor region, Tensor sizes);

}  // namespace fastsciml::medium
