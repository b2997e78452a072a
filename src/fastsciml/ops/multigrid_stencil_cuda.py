"""Learned stencils of a V-cycle for CUDA tensors, by Triton kernels."""

from typing import Any

import torch

from fastsciml.ops.triton_kernels import triton_kernels


def multigrid_stencil(*arguments: Any) -> Any:
    return _kernels().multigrid_stencil(*arguments)


def multigrid_stencil_adjoint(*arguments: Any) -> Any:
    return _kernels().multigrid_stencil_adjoint(*arguments)


def multigrid_stencil_gradient(*arguments: Any) -> Any:
    return _kernels().multigrid_stencil_gradient(*arguments)


def _kernels() -> Any:
    return triton_kernels("multigrid_stencil_launch", "a learned stencil")


IMPLEMENTATIONS = (multigrid_stencil, multigrid_stencil_adjoint, multigrid_stencil_gradient)
for _implementation in IMPLEMENTATIONS:
    torch.library.impl(f"fastsciml::{_implementation.__name__}", "cuda")(_implementation)
