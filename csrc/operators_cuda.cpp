// The CUDA implementations of the operators whose schemas are in operators.cpp.
//
// Built for the host runtime, the same sources are the operators of another namespace, on CPU tensors: the tests put
// them in the place of the CPU's (tests/cuda_on_host.py).

#include "directions/operators_cuda.h"

#include <torch/csrc/stable/library.h>

#include "medium/operators_cuda.h"
#include "multigrid/operators_cuda.h"
#include "multigrid/split_rows.h"
#include "poisson/operators_cuda.h"

#ifdef FASTSCIML_CUDA_HOST
STABLE_TORCH_LIBRARY_IMPL(fastsciml_cuda_host, CPU, library) {
#else
STABLE_TORCH_LIBRARY_IMPL(fastsciml, CUDA, library) {
#endif
  library.impl("poisson_apply", TORCH_BOX(&fastsciml::poisson::poisson_apply_cuda));
  library.impl("poisson_residual_norm", TORCH_BOX(&fastsciml::poisson::poisson_residual_norm_cuda));
  library.impl("multigrid_v_cycle", TORCH_BOX(&fastsciml::multigrid::multigrid_v_cycle_cuda));
  library.impl("full_multigrid", TORCH_BOX(&fastsciml::multigrid::full_multigrid_cuda));
  library.impl("split_rows_into", TORCH_BOX(&fastsciml::multigrid::split_rows_into_cuda));
  library.impl("subtract_region_means", TORCH_BOX(&fastsciml::medium::subtract_region_means_cuda));
  library.impl("conjugate_line_search", TORCH_BOX(&fastsciml::directions::conjugate_line_search_cuda));
  library.impl("conjugate_direction_step", TORCH_BOX(&fastsciml::directions::conjugate_direction_step_cuda));
}
