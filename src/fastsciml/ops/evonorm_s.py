"""EvoNorm S0, S1, S2: activations normalised by the statistics of groups of channels; no batch statistics."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastsciml.kernels.dtypes import real_dtype
from fastsciml.ops.evonorm_inputs import (
    check_input,
    dense,
    laid_out_like,
    per_channel,
    real,
)
from fastsciml.ops.triton_kernels import has_kernel


def evonorm_s_definition(
    x: Tensor,
    v: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    groups: int,
    centred: bool,
    eps: float,
) -> Tensor:
    """Y = weight x sigmoid(v x) / sqrt(spread + eps) + bias, in plain PyTorch.

    The spread of a group of channels is its variance if `centred`, or its mean of squares.
    """
    grouped = x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]).flatten(2)
    spread = grouped.var(-1, correction=0) if centred else grouped.square().mean(-1)
    deviation = (spread + eps).sqrt().repeat_interleave(x.shape[1] // groups, 1)
    y = x * torch.sigmoid(x if v is None else per_channel(v, x) * x) / per_channel(deviation, x)
    y = y if weight is None else y * per_channel(weight, x)
    return y if bias is None else y + per_channel(bias, x)


def evonorm_s0(
    x: Tensor,
    v: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    groups: int = 32,
    eps: float = 1e-5,
) -> Tensor:
    """EvoNorm-S0, weight x sigmoid(v x) / sqrt(group variance + eps) + bias.

    Source: Liu, Brock, Simonyan, Le, "Evolving Normalization-Activation Layers" (NeurIPS 2020), table 2.
    Differentiable twice. The backward pass keeps x and the statistics alone.

    Args:
        x: [N, C, ...], float32, float64, float16 or bfloat16, contiguous or channels_last; others are copied.
        v: [C], any floating dtype, as are the next two; used in float32 (float64 for float64 x).
        weight: [C]; None: 1.
        bias: [C]; None: 0.
        groups: into how many groups the channels are divided.
        eps: added to the variance.

    Returns:
        Tensor of x's shape, dtype and memory format.

    Raises:
        TypeError: x is not floating.
        ValueError: the channels cannot be divided into the groups, or a shape does not fit.
    """
    return _evonorm_s(x, v, weight, bias, groups, True, eps)


def evonorm_s1(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, groups: int = 32, eps: float = 1e-5
) -> Tensor:
    """EvoNorm-S1, weight x sigmoid(x) / sqrt(group variance + eps) + bias.

    Args:
        x: [N, C, ...], float32, float64, float16 or bfloat16, as in `evonorm_s0`.
        weight: [C], any floating dtype; None: 1.
        bias: [C]; None: 0.
        groups: into how many groups the channels are divided.
        eps: added to the variance.

    Returns:
        Tensor of x's shape, dtype and memory format.

    Raises:
        TypeError: x is not floating.
        ValueError: the channels cannot be divided into the groups, or a shape does not fit.

    Source: Liu, Brock, Simonyan, Le, "Evolving Normalization-Activation Layers" (NeurIPS 2020).
    """
    return _evonorm_s(x, None, weight, bias, groups, True, eps)


def evonorm_s2(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, groups: int = 32, eps: float = 1e-5
) -> Tensor:
    """EvoNorm-S2, weight x sigmoid(x) / sqrt(group mean of x^2 + eps) + bias.

    Args:
        x: [N, C, ...], float32, float64, float16 or bfloat16, as in `evonorm_s0`.
        weight: [C], any floating dtype; None: 1.
        bias: [C]; None: 0.
        groups: into how many groups the channels are divided.
        eps: added to the mean.

    Returns:
        Tensor of x's shape, dtype and memory format.

    Raises:
        TypeError: x is not floating.
        ValueError: the channels cannot be divided into the groups, or a shape does not fit.

    Source: Liu, Brock, Simonyan, Le, "Evolving Normalization-Activation Layers" (NeurIPS 2020).
    """
    return _evonorm_s(x, None, weight, bias, groups, False, eps)


def _evonorm_s(
    x: Tensor,
    v: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    groups: int,
    centred: bool,
    eps: float,
) -> Tensor:
    check_input(x, {"v": v, "weight": weight, "bias": bias})
    if groups < 1 or x.shape[1] % groups:
        raise ValueError(f"{x.shape[1]} channels cannot be divided into {groups} groups")
    if not has_kernel(x):
        return evonorm_s_definition(x, v, weight, bias, groups, centred, eps)
    parameters = (real(v, x), real(weight, x), real(bias, x))
    y: Tensor = torch.ops.fastsciml.evonorm_s(dense(x), *parameters, groups, centred, eps)[0]
    return y


@torch.library.register_fake("fastsciml::evonorm_s")  # type: ignore[untyped-decorator]
def _fake(
    x: Tensor, v: Tensor | None, weight: Tensor | None, bias: Tensor | None, groups: int, centred: bool, eps: float
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), x.new_empty((x.shape[0], groups, 2), dtype=real_dtype(x))


@torch.library.register_fake("fastsciml::evonorm_s_backward")  # type: ignore[untyped-decorator]
def _fake_backward(
    dy: Tensor,
    x: Tensor,
    v: Tensor | None,
    weight: Tensor | None,
    statistics: Tensor,
    groups: int,
    centred: bool,
    eps: float,
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), x.new_empty((3, x.shape[1]), dtype=real_dtype(x))


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, v, weight, bias, *ctx.options = inputs
    ctx.has_bias = bias is not None
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(x, v, weight, output[1])


def _backward(ctx: Any, dy: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    x, v, weight, statistics = ctx.saved_tensors
    dx, gradients = torch.ops.fastsciml.evonorm_s_backward(laid_out_like(dy, x), x, v, weight, statistics, *ctx.options)
    return (dx, *_by_input(gradients, v, weight, ctx.has_bias), None, None, None)


def _by_input(gradients: Tensor, v: Tensor | None, weight: Tensor | None, has_bias: bool) -> tuple[Tensor | None, ...]:
    bias_gradient, weight_gradient, v_gradient = gradients.unbind()
    return (
        None if v is None else v_gradient,
        None if weight is None else weight_gradient,
        bias_gradient if has_bias else None,
    )


def _save_again(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    dy, x, v, weight, _, *ctx.options = inputs
    ctx.save_for_backward(dy, x, v, weight)


def _backward_again(ctx: Any, ddx: Tensor, dgradients: Tensor) -> tuple[Tensor | None, ...]:
    gradients = differentiate_twice(
        lambda x, v, weight, bias: evonorm_s_definition(x, v, weight, bias, *ctx.options),
        ctx.saved_tensors, ddx, dgradients,
    )  # fmt: skip
    return (*gradients, None, None, None, None)


def differentiate_twice(
    definition: Any, saved: tuple[Tensor, Tensor, Tensor | None, Tensor | None], ddx: Tensor, dgradients: Tensor
) -> list[Tensor | None]:
    """The gradients of a backward pass for (dy, x, v, weight), by PyTorch on the definition.

    Args:
        definition: y from (x, v, weight, bias).
        saved: dy, x, v, weight.
        ddx: gradient for what the backward pass gave for x.
        dgradients: [3, C], the same for bias, weight and v.
    """
    dy, x, v, weight = saved
    dtype, one = real_dtype(x), torch.ones(x.shape[1], dtype=real_dtype(x), device=x.device)
    with torch.enable_grad():
        values = (dy, x, one if v is None else v, one if weight is None else weight, torch.zeros_like(one))
        dy_, x_, v_, weight_, bias_ = (value.detach().to(dtype).requires_grad_() for value in values)
        y = definition(x_, v_, weight_, bias_)
        first = torch.autograd.grad(y, (x_, bias_, weight_, v_), dy_, create_graph=True, allow_unused=True)
        pairs = zip(first, (ddx.to(dtype), *dgradients.unbind()), strict=True)
        outputs, grads = zip(*((f, g) for f, g in pairs if f is not None and f.requires_grad), strict=True)
        second = torch.autograd.grad(outputs, (dy_, x_, v_, weight_), grads, allow_unused=True)
    return [
        None if given is None or gradient is None else gradient.to(given.dtype)
        for given, gradient in zip(saved, second, strict=True)
    ]


torch.library.register_autograd("fastsciml::evonorm_s", _backward, setup_context=_save)
torch.library.register_autograd("fastsciml::evonorm_s_backward", _backward_again, setup_context=_save_again)
