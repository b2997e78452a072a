"""The EvoNorm operators for CUDA tensors: Triton kernels, looked for at the first call, since only they need triton."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastsciml.ops.evonorm_b import B0, shared_batch, shared_pull
from fastsciml.ops.triton_kernels import triton_kernels


def evonorm_s(*arguments: Any) -> tuple[Tensor, Tensor]:
    y, statistics = triton_kernels("evonorm_s_launch", "EvoNorm").evonorm_s(*arguments)
    return y, statistics


def evonorm_s_backward(*arguments: Any) -> tuple[Tensor, Tensor]:
    dx, gradients = triton_kernels("evonorm_s_launch", "EvoNorm").evonorm_s_backward(*arguments)
    return dx, gradients


def evonorm_b(
    x: Tensor,
    v: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    variance: Tensor | None,
    variant: int,
    eps: float,
    process_group: str | None,
) -> tuple[Tensor, Tensor, Tensor]:
    kernels = triton_kernels("evonorm_b_launch", "EvoNorm")
    # In evaluation B1 and B2 need their mean of squares alone, which an infinity in x does not turn into NaN.
    planes, batch = kernels.statistics(x, variance, variance is None or variant == B0)
    if variance is None and process_group is not None:
        batch = shared_batch(batch, process_group)
    return kernels.normalise(x, v, weight, bias, planes, batch, variant, eps), planes, batch


def evonorm_b_backward(
    dy: Tensor,
    x: Tensor,
    v: Tensor | None,
    weight: Tensor | None,
    planes: Tensor,
    batch: Tensor,
    training: bool,
    variant: int,
    eps: float,
    process_group: str | None,
) -> tuple[Tensor, Tensor]:
    kernels = triton_kernels("evonorm_b_launch", "EvoNorm")
    own, totals = kernels.sums(dy, x, v, weight, planes, batch, variant, eps)
    pull = None
    if training:
        pull = totals[3] if process_group is None else shared_pull(totals[3], process_group)
    return kernels.slope(dy, x, v, weight, planes, batch, own, pull, variant, eps), totals[:3]


IMPLEMENTATIONS = (evonorm_s, evonorm_s_backward, evonorm_b, evonorm_b_backward)
for _implementation in IMPLEMENTATIONS:
    torch.library.impl(f"fastsciml::{_implementation.__name__}", "cuda")(_implementation)
