"""One function per operator, with its autograd, its fake kernel and its definition in plain PyTorch beside it."""

from fastsciml.ops.conjugate_direction import (
    conjugate_direction_step,
    conjugate_direction_update,
    conjugate_line_search,
)
from fastsciml.ops.direction_vectors import direction_products, direction_update
from fastsciml.ops.evonorm_b import evonorm_b0, evonorm_b1, evonorm_b2
from fastsciml.ops.evonorm_cuda import IMPLEMENTATIONS as _EVONORM
from fastsciml.ops.evonorm_s import evonorm_s0, evonorm_s1, evonorm_s2
from fastsciml.ops.fast_poisson import Transform, axis_eigenvalues, axis_weights, fast_poisson, is_fast
from fastsciml.ops.full_multigrid import full_multigrid
from fastsciml.ops.gram_attention import gram_attention
from fastsciml.ops.gram_attention_cuda import IMPLEMENTATIONS as _GRAM_ATTENTION
from fastsciml.ops.linear_attention import linear_attention
from fastsciml.ops.linear_attention_cuda import IMPLEMENTATIONS as _LINEAR_ATTENTION
from fastsciml.ops.multigrid_conv import multigrid_conv
from fastsciml.ops.multigrid_stencil_cuda import IMPLEMENTATIONS as _STENCILS
from fastsciml.ops.multigrid_v_cycle import multigrid_v_cycle, multigrid_workspace
from fastsciml.ops.poisson_apply import poisson_apply
from fastsciml.ops.poisson_residual_norm import poisson_residual_norm
from fastsciml.ops.split_rows import join_rows, split_rows

__all__ = [
    "Transform",
    "axis_eigenvalues",
    "axis_weights",
    "conjugate_direction_step",
    "conjugate_direction_update",
    "conjugate_line_search",
    "direction_products",
    "direction_update",
    "evonorm_b0",
    "evonorm_b1",
    "evonorm_b2",
    "evonorm_s0",
    "evonorm_s1",
    "evonorm_s2",
    "fast_poisson",
    "full_multigrid",
    "gram_attention",
    "is_fast",
    "join_rows",
    "linear_attention",
    "multigrid_conv",
    "multigrid_v_cycle",
    "multigrid_workspace",
    "poisson_apply",
    "poisson_residual_norm",
    "split_rows",
]

del _EVONORM, _GRAM_ATTENTION, _LINEAR_ATTENTION, _STENCILS
