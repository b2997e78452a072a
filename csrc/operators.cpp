// Every operator's schema: the table of contents of csrc/. A folder's operators.h documents the arguments.

#include "directions/operators.h"

#include <torch/csrc/stable/library.h>

#include "core/huge_pages.h"
#include "multigrid/operators.h"
#include "poisson/operators.h"

STABLE_TORCH_LIBRARY(fastsciml, library) {
  // Backs memory that nobody has touched yet with huge pages
  library.def("advise_huge_pages(Tensor memory) -> ()");

  // out = A u for the Poisson operator
  library.def("poisson_apply(Tensor u, Tensor couplings, int[] periodic, Tensor? faces, float alpha) -> Tensor");

  // out = B rhs, one multigrid V-cycle, and the floats of workspace it needs
  library.def(
      "multigrid_v_cycle(Tensor rhs, Tensor(a!) out, int[] extents, int[] periodic, int sweeps, Tensor[] axes, "
      "Tensor[] row_indices, Tensor[] diagonals, Tensor[] z_couplings, Tensor[] openness, Tensor(b!) workspace) -> ()");
  library.def("multigrid_workspace(int[] extents, int[] periodic, int sweeps, int threads) -> int");

  // scale * rows in the order in which the multigrid kernels keep them
  library.def("split_rows(Tensor rows, float scale) -> Tensor");

  // One iteration of flexible conjugate gradients: its inner products, then its update
  library.def(
      "conjugate_line_search(Tensor z, Tensor p, Tensor r, int[] extents, int[] periodic, Tensor axes, "
      "Tensor row_indices, Tensor diagonals, Tensor z_couplings) -> Tensor");
  library.def(
      "conjugate_direction_step(Tensor(a!) u, Tensor(b!) z, Tensor? p, Tensor(c!) r, Tensor f, Tensor couplings, "
      "int[] periodic, Tensor? faces, float alpha, float length, float beta, float scale) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(fastsciml, CPU, library) {
  library.impl("advise_huge_pages", TORCH_BOX(&fastsciml::core::advise_huge_pages));
  library.impl("poisson_apply", TORCH_BOX(&fastsciml::poisson::poisson_apply));
  library.impl("multigrid_v_cycle", TORCH_BOX(&fastsciml::multigrid::multigrid_v_cycle));
  library.impl("split_rows", TORCH_BOX(&fastsciml::multigrid::split_rows));
  library.impl("conjugate_line_search", TORCH_BOX(&fastsciml::directions::conjugate_line_search));
  library.impl("conjugate_direction_step", TORCH_BOX(&fastsciml::directions::conjugate_direction_step));
}

STABLE_TORCH_LIBRARY_IMPL(fastsciml, CompositeExplicitAutograd, library) {
  library.impl("multigrid_workspace", TORCH_BOX(&fastsciml::multigrid::multigrid_workspace));
}
