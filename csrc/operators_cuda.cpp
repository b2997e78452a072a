// The CUDA implementations of the operators whose schemas are in operators.cpp.

#include "poisson/operators_cuda.h"

#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY_IMPL(fastsciml, CUDA, library) {
  library.impl("poisson_apply", TORCH_BOX(&fastsciml::poisson::poisson_apply_cuda));
}
