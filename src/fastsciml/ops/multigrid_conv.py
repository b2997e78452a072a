"""The multi-channel V-cycle of multigrid neural operators: a linear map of a field by learned stencils on a hierarchy.

He, Liu, Xu, "MgNO: Efficient Parameterization of Linear Operators via Multigrid", ICLR 2024. CPU tensors go through
the kernels of csrc/stencils, others by the definition, in PyTorch's convolutions, or on request by Triton kernels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint as recomputed

from fastsciml.kernels.dtypes import real_dtype
from fastsciml.ops.multigrid_gradient import Backward
from fastsciml.ops.multigrid_levels import End, Level, Norm, Smoothing, Structure, flattened, halved, restored
from fastsciml.ops.multigrid_passes import Forward, Tape
from fastsciml.ops.multigrid_stencil import ACTIVATIONS, Activation, Boundary, Kind, stencil_definition
from fastsciml.ops.pages import advise_huge_pages
from fastsciml.ops.triton_kernels import has_kernel

GridBoundary = Literal["dirichlet", "neumann", "periodic"]
LayerEnd = Literal["none", "gelu", "relu"]
SHARE = 8 << 20  # bytes of a field on the finest level


def multigrid_conv(
    f: Tensor,
    levels: Sequence[Level],
    boundary: GridBoundary = "dirichlet",
    *,
    pointwise: Tensor | None = None,
    bias: Tensor | None = None,
    activation: LayerEnd = "none",
    checkpoint: bool = False,
    kernels: bool | None = None,
) -> Tensor:
    """A V-cycle with learned stencils, from the finest level of f to the coarsest and back, and the end of a layer.

    Down, on every level: iterations u + S * (f - A * u), then f <- R * f (or R * (f - A * u)) and u <- Pi * u. Up:
    u <- u + P^T * u_coarse, a norm where there is one, then iterations. The end: act(u + B f + bias). Differentiable
    any number of times; without norm and activation linear in f.

    Args:
        f: [B, C_f, n, ...], floating, 1 to 3 axes; under autocast taken in its dtype.
        levels: from the finest, stencils of f's dtype; the first begins with a smoothing without A.
        boundary: what stencils see beyond the grid: zeros, the field mirrored at its last point, or its other side.
        pointwise: B [C_u, C_f, 1, ...] or None.
        bias: [C_u] or None, like B of f's dtype.
        activation: of the end.
        checkpoint: whether the backward pass makes the fields of the levels anew, instead of keeping them.
        kernels: whether it goes by kernels rather than PyTorch's convolutions. None: on the CPU alone, since Triton's
            took longer on the GPU where they were timed, an H100: starting them is most of their time.

    Returns:
        [B, C_u, n, ...] of f's dtype.

    Raises:
        TypeError: a stencil has another dtype than f.
        ValueError: there is no level, a shape does not fit, or the grid is too small for so many levels; names it.

    Source: He, Liu, Xu, "MgNO: Efficient Parameterization of Linear Operators via Multigrid" (ICLR 2024).
    """
    _check(f, levels, boundary, activation)
    end = End(pointwise, bias, Activation[activation.upper()])
    tensors, structure = flattened(levels, end)
    if torch.is_autocast_enabled(f.device.type):
        dtype = torch.get_autocast_dtype(f.device.type)
        f, tensors = f.to(dtype), [t.to(dtype) for t in tensors]
    for t in tensors:
        if t.dtype != f.dtype:
            raise TypeError(f"the stencils must have the dtype of f, {f.dtype}, got {t.dtype}")
    beyond = Boundary[boundary.upper()]
    needs_gradient = torch.is_grad_enabled() and any(t.requires_grad for t in (f, *tensors))
    wanted = f.device.type != "cuda" if kernels is None else kernels
    if not (wanted and has_kernel(f, *tensors)):
        levels, end = restored(tensors, structure)
        if checkpoint and needs_gradient:
            out: Tensor = recomputed(multigrid_conv_definition, f, levels, beyond, end, use_reentrant=False)
            return out
        return multigrid_conv_definition(f, levels, beyond, end)
    out, *_ = torch.ops.fastsciml.multigrid_conv(
        f.contiguous(), [t.contiguous() for t in tensors], *structure, beyond, needs_gradient and not checkpoint
    )
    return out


def multigrid_conv_definition(f: Tensor, levels: Sequence[Level], boundary: Boundary, end: End) -> Tensor:
    """The formulae in plain PyTorch."""
    data = f
    u: Tensor | None = None
    down: list[tuple[Tensor, Tensor]] = []
    for level in levels:
        u = _smoothed(u, f, level.pre, boundary)
        down.append((u, f))
        if level.transfer is not None:
            R, Pi, _, A, _ = level.transfer
            f = _restricted(f if A is None else f - _same(u, A, boundary), R, boundary)
            u = _restricted(u, Pi, boundary)
    assert u is not None
    u = _smoothed(u, f, levels[-1].post, boundary)
    for level, (fine, f) in zip(reversed(levels[:-1]), reversed(down[:-1]), strict=True):
        assert level.transfer is not None
        u = fine + stencil_definition(u, level.transfer.P, Kind.PROLONG, boundary, fine.shape[2:])
        u = _smoothed(_normed(u, level.transfer.norm), f, level.post, boundary)
    if end.pointwise is not None:
        u = u + stencil_definition(data, end.pointwise, Kind.POINT, boundary, u.shape[2:])
    if end.bias is not None:
        u = u + end.bias.view(-1, *[1] * (u.dim() - 2))
    out: Tensor = ACTIVATIONS[end.activation](u)
    return out


def _smoothed(u: Tensor | None, f: Tensor, iterations: Sequence[Smoothing], boundary: Boundary) -> Tensor:
    for S, A in iterations:
        if u is None:
            u = _same(f, S, boundary)
        else:
            assert A is not None
            u = u + _same(f - _same(u, A, boundary), S, boundary)
    assert u is not None
    return u


def _same(x: Tensor, weight: Tensor, boundary: Boundary) -> Tensor:
    return stencil_definition(x, weight, Kind.SAME, boundary, x.shape[2:])


def _restricted(x: Tensor, weight: Tensor, boundary: Boundary) -> Tensor:
    return stencil_definition(x, weight, Kind.RESTRICT, boundary, halved(x.shape[2:]))


def _normed(u: Tensor, norm: Norm | None) -> Tensor:
    if norm is None:
        return u
    u = functional.layer_norm(u, u.shape[1:], eps=norm.eps)
    if norm.weight is not None:
        u = u * norm.weight
    return u if norm.bias is None else u + norm.bias


def _check(f: Tensor, levels: Sequence[Level], boundary: str, activation: str) -> None:
    if boundary not in get_args(GridBoundary):
        raise ValueError(f"boundary must be one of {', '.join(get_args(GridBoundary))}, got {boundary!r}")
    if activation not in get_args(LayerEnd):
        raise ValueError(f"activation must be one of {', '.join(get_args(LayerEnd))}, got {activation!r}")
    if not 3 <= f.dim() <= 5:
        raise ValueError(f"f must be [batch, channels, 1 to 3 extents], got {f.dim()} dimensions")
    if not levels or not levels[0].pre or levels[0].pre[0].A is not None:
        raise ValueError("levels must begin with a level whose first smoothing has no A")
    if any((level.transfer is None) != (i == len(levels) - 1) for i, level in enumerate(levels)):
        raise ValueError("levels must have a transfer each but the last, which has none")
    channels = levels[0].pre[0].S.shape[1]
    if f.shape[1] != channels:
        raise ValueError(f"f must have the {channels} channels of the stencils, got {f.shape[1]}")
    least = 2 if boundary == "neumann" else 1
    coarsest = [-(-n // 2 ** (len(levels) - 1)) for n in f.shape[2:]]
    if min(coarsest) < least:
        raise ValueError(f"f must have at least {least} points along every axis of the coarsest level, got {coarsest}")


def _forward(
    f: Tensor,
    tensors: list[Tensor],
    of_levels: list[int],
    of_end: list[int],
    eps: list[float],
    boundary: int,
    keeps: bool,
) -> list[Tensor]:
    """The result, and the tapes of all shares where they are kept."""
    levels, end = restored(tensors, Structure(of_levels, of_end, eps))
    shares = _shares(f)
    kept: list[Tensor] = []
    out: Tensor | None = None
    for first, share in shares:
        tape = Tape(keeps=keeps)
        of_share = Forward(levels, end, Boundary(boundary), tape, share).run()
        kept += tape.tensors
        if len(shares) == 1:
            return [of_share, *kept]
        out = _put(out, of_share, first, len(f))
    assert out is not None
    return [out, *kept]


def _backward(
    dout: Tensor,
    f: Tensor,
    tensors: list[Tensor],
    of_levels: list[int],
    of_end: list[int],
    eps: list[float],
    boundary: int,
    tape: list[Tensor],
    of_f: bool,
) -> list[Tensor]:
    """The gradients of f, empty where it is not wanted, and of every tensor; an empty tape is made anew."""
    structure = Structure(of_levels, of_end, eps)
    levels, end = restored(tensors, structure)
    shares = _shares(f)
    df: Tensor | None = None
    gradients: list[Tensor] = []
    for i, (first, share) in enumerate(shares):
        count = len(tape) // len(shares)
        kept = Tape(tape[i * count : (i + 1) * count])
        if not tape:
            Forward(levels, end, Boundary(boundary), kept, share).run()
        backward = Backward(tensors, structure, Boundary(boundary), kept, share, of_f)
        of_share = backward.run(dout[first : first + len(share)])
        parts = [backward.gradients[k] for k in range(len(tensors))]
        gradients = [a + b for a, b in zip(gradients, parts, strict=True)] if gradients else parts
        if of_share is not None:
            df = of_share if len(shares) == 1 else _put(df, of_share, first, len(f))
    return [f.new_empty((0,)) if df is None else df, *gradients]


def _shares(f: Tensor) -> list[tuple[int, Tensor]]:
    """Samples that go through the cycle together, with the number of the first: on a CPU as many as its last cache
    holds with their fields, which are then no new pages of memory either.
    """
    if f.device.type != "cpu":
        return [(0, f)]
    most = max(1, SHARE // max(1, math.prod(f.shape[1:]) * f.element_size()))
    return [(first, f[first : first + most]) for first in range(0, len(f), most)]


def _put(whole: Tensor | None, share: Tensor, first: int, batch: int) -> Tensor:
    if whole is None:
        whole = share.new_empty((batch, *share.shape[1:]))
        advise_huge_pages(whole)
    whole[first : first + len(share)] = share
    return whole


for _name, _implementation in (("multigrid_conv", _forward), ("multigrid_conv_backward", _backward)):
    torch.library.impl(f"fastsciml::{_name}", ("cpu", "cuda"))(_implementation)
    torch.library.register_fake(f"fastsciml::{_name}")(_implementation)


def _save(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    f, tensors, *ctx.structure, ctx.boundary, _ = inputs
    ctx.set_materialize_grads(False)
    ctx.count = len(tensors)
    ctx.save_for_backward(f, *tensors, *output[1:])


def _differentiated(ctx: Any, douts: list[Tensor | None]) -> tuple[Any, ...]:
    f, *rest = ctx.saved_tensors
    tensors, tape = rest[: ctx.count], rest[ctx.count :]
    nothing = (None,) * 5
    if douts[0] is None:
        return None, [None] * len(tensors), *nothing
    of_f = ctx.needs_input_grad[0]
    df, *dtensors = torch.ops.fastsciml.multigrid_conv_backward(
        douts[0].contiguous(), f, tensors, *ctx.structure, ctx.boundary, tape, of_f
    )
    return df if of_f else None, dtensors, *nothing


def _save_again(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    dout, f, tensors, *ctx.structure, ctx.boundary, tape, ctx.of_f = inputs
    ctx.set_materialize_grads(False)
    ctx.kept = len(tape)
    ctx.save_for_backward(dout, f, *tensors)


def _differentiated_again(ctx: Any, gradients: list[Tensor | None]) -> tuple[Any, ...]:
    """The gradients of the backward pass, by PyTorch on the definition."""
    saved = ctx.saved_tensors
    with torch.enable_grad():
        dout, f, *tensors = (t.detach().to(real_dtype(t)).requires_grad_() for t in saved)
        levels, end = restored(tensors, Structure(*ctx.structure))
        out = multigrid_conv_definition(f, levels, Boundary(ctx.boundary), end)
        first = torch.autograd.grad(out, (f, *tensors), dout, create_graph=True)
        pairs = [
            (of, given.to(of.dtype))
            for i, (of, given) in enumerate(zip(first, gradients, strict=True))
            if given is not None and of.requires_grad and (i > 0 or ctx.of_f)
        ]
        outs, given = [of for of, _ in pairs], [g for _, g in pairs]
        second = torch.autograd.grad(outs, (dout, f, *tensors), given, allow_unused=True)
    typed = [None if g is None else g.to(t.dtype) for g, t in zip(second, saved, strict=True)]
    return typed[0], typed[1], typed[2:], None, None, None, None, [None] * ctx.kept, None


torch.library.register_autograd("fastsciml::multigrid_conv", _differentiated, setup_context=_save)
torch.library.register_autograd("fastsciml::multigrid_conv_backward", _differentiated_again, setup_context=_save_again)
