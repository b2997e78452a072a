// Every operator's schema: the table of contents of csrc/. A folder's operators.h documents the arguments.

#include "directions/operators.h"

#include <torch/csrc/stable/library.h>

#include "core/huge_pages.h"
#include "evonorm/operators.h"
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

  // EvoNorm with group statistics, (y, statistics); its gradient, (dx, gradients of bias, weight and v)
  library.def(
      "evonorm_s(Tensor x, Tensor? v, Tensor? weight, Tensor? bias, int groups, bool centred, float eps) -> (Tensor, "
      "Tensor)");
  library.def(
      "evonorm_s_backward(Tensor dy, Tensor x, Tensor? v, Tensor? weight, Tensor statistics, int groups, "
      "bool centred, float eps) -> (Tensor, Tensor)");

  // EvoNorm with batch statistics, (y, planes, batch), and its gradient: ops/evonorm_b.py makes both of the stages
  // below
  library.def(
      "evonorm_b(Tensor x, Tensor? v, Tensor? weight, Tensor? bias, Tensor? variance, int variant, float eps, str? "
      "process_group) -> (Tensor, Tensor, Tensor)");
  library.def(
      "evonorm_b_backward(Tensor dy, Tensor x, Tensor? v, Tensor? weight, Tensor planes, Tensor batch, bool training, "
      "int variant, float eps, str? process_group) -> (Tensor, Tensor)");
  library.def("evonorm_moments(Tensor x, bool centred) -> Tensor");
  library.def("evonorm_b_map(Tensor x, Tensor parameters, int variant) -> Tensor");
  library.def("evonorm_b_sums(Tensor dy, Tensor x, Tensor parameters, int variant) -> Tensor");
  library.def("evonorm_b_slope(Tensor dy, Tensor x, Tensor parameters, int variant) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(fastsciml, CPU, library) {
  library.impl("advise_huge_pages", TORCH_BOX(&fastsciml::core::advise_huge_pages));
  library.impl("poisson_apply", TORCH_BOX(&fastsciml::poisson::poisson_apply));
  library.impl("multigrid_v_cycle", TORCH_BOX(&fastsciml::multigrid::multigrid_v_cycle));
  library.impl("split_rows", TORCH_BOX(&fastsciml::multigrid::split_rows));
  library.impl("conjugate_line_search", TORCH_BOX(&fastsciml::directions::conjugate_line_search));
  library.impl("conjugate_direction_step", TORCH_BOX(&fastsciml::directions::conjugate_direction_step));
  library.impl("evonorm_s", TORCH_BOX(&fastsciml::evonorm::evonorm_s));
  library.impl("evonorm_s_backward", TORCH_BOX(&fastsciml::evonorm::evonorm_s_backward));
  library.impl("evonorm_moments", TORCH_BOX(&fastsciml::evonorm::evonorm_moments));
  library.impl("evonorm_b_map", TORCH_BOX(&fastsciml::evonorm::evonorm_b_map));
  library.impl("evonorm_b_sums", TORCH_BOX(&fastsciml::evonorm::evonorm_b_sums));
  library.impl("evonorm_b_slope", TORCH_BOX(&fastsciml::evonorm::evonorm_b_slope));
}

STABLE_TORCH_LIBRARY_IMPL(fastsciml, CompositeExplicitAutograd, library) {
  library.impl("multigrid_workspace", TORCH_BOX(&fastsciml::multigrid::multigrid_workspace));
}
