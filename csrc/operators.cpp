// Every operator's schema: the table of contents of csrc/. A folder's operators.h documents the arguments.

#include "directions/operators.h"

#include <torch/csrc/stable/library.h>

#include "attention/operators.h"
#include "core/pages.h"
#include "evonorm/operators.h"
#include "medium/operators.h"
#include "multigrid/operators.h"
#include "poisson/operators.h"
#include "spectral/operators.h"
#include "stencils/operators.h"

STABLE_TORCH_LIBRARY(fastsciml, library) {
  // Backs memory that nobody has touched yet with huge pages
  library.def("advise_huge_pages(Tensor memory) -> ()");

  // Lets the system take memory back that is not needed now; what is in it is then lost
  library.def("advise_spare(Tensor(a!) memory) -> ()");

  // out = A u for the Poisson operator
  library.def(
      "poisson_apply(Tensor u, Tensor couplings, int[] periodic, Tensor? faces, Tensor[] coefficient, Tensor? alpha) "
      "-> "
      "Tensor");

  // ||f - A u||^2
  library.def(
      "poisson_residual_norm(Tensor u, Tensor f, Tensor couplings, int[] periodic, Tensor? faces, Tensor[] "
      "coefficient, "
      "Tensor? alpha) -> Tensor");

  // u = A^-1 f for the same operator on a box, by the transforms that diagonalise its axes
  library.def("fast_poisson(Tensor f, int[] transforms, Tensor[] eigenvalues, float alpha) -> Tensor");

  // Multigrid V-cycles and full multigrid for A out = rhs, and the floats of workspace they need
  library.def(
      "multigrid_v_cycle(Tensor rhs, Tensor(a!) out, int[] extents, int[] periodic, float[] schedule, bool symmetric, "
      "bool around_solid, int cycles, Tensor[] axes, Tensor[] maps, Tensor[] diagonals, Tensor[] z_couplings, Tensor[] "
      "faces, "
      "Tensor(b!) workspace) -> ()");
  library.def(
      "full_multigrid(Tensor rhs, Tensor(a!) out, int[] extents, int[] periodic, float[] schedule, bool symmetric, "
      "bool around_solid, Tensor[] axes, Tensor[] maps, Tensor[] diagonals, Tensor[] z_couplings, Tensor[] faces, "
      "Tensor(b!) workspace) -> ()");
  library.def("multigrid_workspace(int[] extents, int[] periodic, int sweeps, int threads) -> int");

  // scale * rows in the order in which the multigrid kernels keep them
  library.def("split_rows_into(Tensor rows, float scale, Tensor(a!) out) -> ()");

  // What fills the grid: the bits of a mask, the finest level of one, its next level; a medium given by its faces, a
  // level of one, its next level, each (faces, face_z, reaction)
  library.def("pack_faces(Tensor unknown, Tensor? passable, int[] periodic) -> Tensor");
  library.def(
      "mask_diagonals(Tensor bits, Tensor couplings, Tensor? reaction, float alpha, float relaxation) -> (Tensor, "
      "Tensor)");
  library.def(
      "coarsen_mask(Tensor bits, Tensor couplings, Tensor? reaction, float alpha, bool fixed, int[] periodic, Tensor "
      "parents, Tensor shares) -> (Tensor, Tensor, Tensor)");
  library.def(
      "split_medium(Tensor face_x, Tensor face_y, Tensor face_z, Tensor unknown, Tensor? passable, Tensor? "
      "reaction, Tensor couplings, int[] periodic) -> (Tensor, Tensor, Tensor)");
  library.def(
      "medium_level(Tensor faces, Tensor face_z, Tensor reaction, Tensor couplings, int[] extents, bool periodic_z, "
      "float relaxation) -> (Tensor, Tensor, Tensor)");
  library.def(
      "coarsen_medium(Tensor faces, Tensor face_z, Tensor reaction, int[] extents, Tensor parents, Tensor shares) -> "
      "(Tensor, Tensor, Tensor)");

  // A coefficient at the faces, across x, y, z, from one at the cells
  library.def("face_coefficients(Tensor cells, Tensor widths, int[] periodic) -> (Tensor, Tensor, Tensor)");

  // Regions whose constant nothing holds, (region of each cell, sizes), and their means, taken from values
  library.def("free_regions(Tensor unknown, int[] periodic, int[] holding, Tensor? holds) -> (Tensor, Tensor)");
  library.def("subtract_region_means(Tensor(a!) values, Tensor region, Tensor sizes) -> Tensor");

  // One iteration of flexible conjugate gradients: its inner products, then its update
  library.def(
      "conjugate_line_search(Tensor z, Tensor[] directions, Tensor r, int[] extents, int[] periodic, Tensor axes, "
      "Tensor maps, Tensor diagonals, Tensor z_couplings, Tensor faces) -> Tensor");
  library.def(
      "conjugate_direction_step(Tensor(a!) u, Tensor(b!) z, Tensor[] directions, Tensor(c!) r, Tensor f, Tensor "
      "couplings, "
      "int[] periodic, Tensor? faces, Tensor[] coefficient, Tensor? alpha, Tensor lengths, float scale, "
      "bool from_zero) -> Tensor");

  // The same two for any operator, whose images of directions are kept
  library.def("direction_products(Tensor q, Tensor aq, Tensor r, Tensor[] directions, Tensor[] images) -> Tensor");
  library.def(
      "direction_update(Tensor(a!) x, Tensor(b!) r, Tensor(c!) q, Tensor(d!) aq, Tensor[] directions, Tensor[] images, "
      "Tensor lengths) -> Tensor");

  // EvoNorm with group statistics, (y, statistics); its gradient, (dx, gradients of bias, weight and v)
  library.def(
      "evonorm_s(Tensor x, Tensor? v, Tensor? weight, Tensor? bias, int groups, bool centred, float eps) -> (Tensor, "
      "Tensor)");
  library.def(
      "evonorm_s_backward(Tensor dy, Tensor x, Tensor? v, Tensor? weight, Tensor statistics, int groups, "
      "bool centred, float eps) -> (Tensor, Tensor)");

  // EvoNorm with batch statistics, (y, planes, batch), and its gradient; ops/evonorm_b.py makes both, of the local ones
  // or of the stages below
  library.def(
      "evonorm_b(Tensor x, Tensor? v, Tensor? weight, Tensor? bias, Tensor? variance, int variant, float eps, str? "
      "process_group) -> (Tensor, Tensor, Tensor)");
  library.def(
      "evonorm_b_backward(Tensor dy, Tensor x, Tensor? v, Tensor? weight, Tensor planes, Tensor batch, bool training, "
      "int variant, float eps, str? process_group) -> (Tensor, Tensor)");
  library.def(
      "evonorm_b_local(Tensor x, Tensor? v, Tensor? weight, Tensor? bias, Tensor? variance, int variant, float eps) -> "
      "(Tensor, Tensor, Tensor)");
  library.def(
      "evonorm_b_local_backward(Tensor dy, Tensor x, Tensor? v, Tensor? weight, Tensor planes, Tensor batch, bool "
      "training, int variant, float eps) -> (Tensor, Tensor)");
  library.def("evonorm_moments(Tensor x, bool centred) -> Tensor");
  library.def("evonorm_b_map(Tensor x, Tensor parameters, int variant) -> Tensor");
  library.def("evonorm_b_sums(Tensor dy, Tensor x, Tensor parameters, int variant) -> Tensor");
  library.def("evonorm_b_slope(Tensor dy, Tensor x, Tensor parameters, int variant) -> Tensor");

  // One learned stencil of a V-cycle, with what is added to it and a layer's end; its transpose; its weight's gradient
  library.def(
      "multigrid_stencil(Tensor x, Tensor weight, int kind, int boundary, int[] extents, Tensor? added, bool subtract, "
      "Tensor? pointwise_x, Tensor? pointwise, Tensor? bias, int activation) -> Tensor");
  library.def(
      "multigrid_stencil_adjoint(Tensor dout, Tensor weight, int kind, int boundary, int[] extents, Tensor? added, "
      "bool subtract) -> Tensor");
  library.def("multigrid_stencil_gradient(Tensor dout, Tensor x, int kind, int boundary, int[] shape) -> Tensor");

  // A whole V-cycle of them with a layer's end, made of these by ops/multigrid_passes.py, (result, tape); its gradient,
  // (df, gradients of the tensors)
  library.def(
      "multigrid_conv(Tensor f, Tensor[] tensors, int[] of_levels, int[] of_end, float[] eps, int boundary, bool "
      "keeps) "
      "-> Tensor[]");
  library.def(
      "multigrid_conv_backward(Tensor dout, Tensor f, Tensor[] tensors, int[] of_levels, int[] of_end, float[] eps, "
      "int "
      "boundary, Tensor[] tape, bool of_f) -> Tensor[]");

  // Attention of all heads by the tokens' Gram matrix; its gradient, (dtokens, dleft, dright)
  library.def("gram_attention(Tensor tokens, Tensor left, Tensor right, int context) -> Tensor");
  library.def(
      "gram_attention_backward(Tensor dout, Tensor tokens, Tensor left, Tensor right, int context, bool "
      "of_tokens) -> (Tensor, Tensor, Tensor)");

  // Attention without softmax, (output, last state); its gradient, (dq, dk, dv, dlog_decay, dstate)
  library.def(
      "linear_attention(Tensor q, Tensor k, Tensor v, Tensor? log_decay, Tensor? state, Tensor? cu_seqlens, bool "
      "causal, float scale) -> (Tensor, Tensor)");
  library.def(
      "linear_attention_backward(Tensor dout, Tensor? dlast, Tensor q, Tensor k, Tensor v, Tensor? log_decay, Tensor? "
      "state, Tensor? cu_seqlens, bool causal, float scale) -> (Tensor, Tensor, Tensor, Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(fastsciml, CPU, library) {
  library.impl("advise_huge_pages", TORCH_BOX(&fastsciml::core::advise_huge_pages));
  library.impl("advise_spare", TORCH_BOX(&fastsciml::core::advise_spare));
  library.impl("poisson_apply", TORCH_BOX(&fastsciml::poisson::poisson_apply));
  library.impl("poisson_residual_norm", TORCH_BOX(&fastsciml::poisson::poisson_residual_norm));
  library.impl("fast_poisson", TORCH_BOX(&fastsciml::spectral::fast_poisson));
  library.impl("multigrid_v_cycle", TORCH_BOX(&fastsciml::multigrid::multigrid_v_cycle));
  library.impl("full_multigrid", TORCH_BOX(&fastsciml::multigrid::full_multigrid));
  library.impl("split_rows_into", TORCH_BOX(&fastsciml::multigrid::split_rows_into));
  library.impl("pack_faces", TORCH_BOX(&fastsciml::medium::pack_faces));
  library.impl("mask_diagonals", TORCH_BOX(&fastsciml::medium::mask_diagonals));
  library.impl("coarsen_mask", TORCH_BOX(&fastsciml::medium::coarsen_mask));
  library.impl("split_medium", TORCH_BOX(&fastsciml::medium::split_medium));
  library.impl("medium_level", TORCH_BOX(&fastsciml::medium::medium_level));
  library.impl("coarsen_medium", TORCH_BOX(&fastsciml::medium::coarsen_medium));
  library.impl("face_coefficients", TORCH_BOX(&fastsciml::medium::face_coefficients));
  library.impl("free_regions", TORCH_BOX(&fastsciml::medium::free_regions));
  library.impl("subtract_region_means", TORCH_BOX(&fastsciml::medium::subtract_region_means));
  library.impl("conjugate_line_search", TORCH_BOX(&fastsciml::directions::conjugate_line_search));
  library.impl("conjugate_direction_step", TORCH_BOX(&fastsciml::directions::conjugate_direction_step));
  library.impl("direction_products", TORCH_BOX(&fastsciml::directions::direction_products));
  library.impl("direction_update", TORCH_BOX(&fastsciml::directions::direction_update));
  library.impl("evonorm_s", TORCH_BOX(&fastsciml::evonorm::evonorm_s));
  library.impl("evonorm_s_backward", TORCH_BOX(&fastsciml::evonorm::evonorm_s_backward));
  library.impl("evonorm_b_local", TORCH_BOX(&fastsciml::evonorm::evonorm_b_local));
  library.impl("evonorm_b_local_backward", TORCH_BOX(&fastsciml::evonorm::evonorm_b_local_backward));
  library.impl("evonorm_moments", TORCH_BOX(&fastsciml::evonorm::evonorm_moments));
  library.impl("evonorm_b_map", TORCH_BOX(&fastsciml::evonorm::evonorm_b_map));
  library.impl("evonorm_b_sums", TORCH_BOX(&fastsciml::evonorm::evonorm_b_sums));
  library.impl("evonorm_b_slope", TORCH_BOX(&fastsciml::evonorm::evonorm_b_slope));
  library.impl("multigrid_stencil", TORCH_BOX(&fastsciml::stencils::multigrid_stencil));
  library.impl("multigrid_stencil_adjoint", TORCH_BOX(&fastsciml::stencils::multigrid_stencil_adjoint));
  library.impl("multigrid_stencil_gradient", TORCH_BOX(&fastsciml::stencils::multigrid_stencil_gradient));
  library.impl("gram_attention", TORCH_BOX(&fastsciml::attention::gram_attention));
  library.impl("gram_attention_backward", TORCH_BOX(&fastsciml::attention::gram_attention_backward));
  library.impl("linear_attention", TORCH_BOX(&fastsciml::attention::linear_attention));
  library.impl("linear_attention_backward", TORCH_BOX(&fastsciml::attention::linear_attention_backward));
}

STABLE_TORCH_LIBRARY_IMPL(fastsciml, CompositeExplicitAutograd, library) {
  library.impl("multigrid_workspace", TORCH_BOX(&fastsciml::multigrid::multigrid_workspace));
}
