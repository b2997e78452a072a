"""The EvoNorm operators for CUDA tensors: Triton kernels, looked for at the first call, since only they need triton."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from fastsciml.ops.evonorm_b import B0, shared_batch, shared_pull


def _kernels(name: str) -> Any:
    try:
        return import_module(f"fastsciml.kernels.{name}")
    except ImportError as error:
        raise RuntimeError("EvoNorm on CUDA tensors needs triton: pip install triton") from error


def evonorm_s(*arguments: Any) -> tuple[Tensor, Tensor]:
    y, statistics = _kernels("evonorm_s_launch").evonorm_s(*arguments)
    return y, statistics


def evonorm_s_backward(*arguments: Any) -> tuple[Tensor, Tensor]:
    dx, gradients = _kernels("evonorm_s_launch").evonorm_s_backward(*arguments)
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
    kernels = _kernels("evonorm_b_launch")
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
    kernels = _kernels("evonorm_b_launch")
    own, totals = kernels.sums(dy, x, v, weight, planes, batch, variant, eps)
    pull = None
    if training:
        pull = totals[3] if process_group is None else shared_pull(totals[3], process_group)
    return kernels.slope(dy, x, v, weight, planes, batch, own, pull, variant, eps), totals[:3]


IMPLEMENTATIONS = (evonorm_s, evonorm_s_backward, evonorm_b, evonorm_b_backward)
for _implementation in IMPLEMENTATIONS:
    torch.library.impl(f"fastsciml::{_implementation.__name__}", "cuda")(_implementation)
