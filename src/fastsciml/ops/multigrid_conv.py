"""The multi-channel V-cycle of multigrid neural operators: a linear map of a field by learned stencils on a hierarchy.

He, Liu, Xu, "MgNO: Efficient Parameterization of Linear Operators via Multigrid", ICLR 2024. Kernels are to come; so
far every device goes by the definition, in PyTorch's convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from torch import Tensor
from torch.nn import functional

from fastsciml.ops.multigrid_stencil import ACTIVATIONS, Activation, Boundary, Kind, stencil_definition

GridBoundary = Literal["dirichlet", "neumann", "periodic"]


class Smoothing(NamedTuple):
    """One iteration u + S * (f - A * u); without A the first one, S * f, from u = 0.

    Attributes:
        S: [C_u, C_f, 3, ...].
        A: [C_f, C_u, 3, ...] or None.
    """

    S: Tensor
    A: Tensor | None


class Norm(NamedTuple):
    """A layer norm over channels and grid: (u - mean) / sqrt(variance + eps) * weight + bias.

    Attributes:
        weight: of any shape that u's channels and extents broadcast with, or None.
        bias: likewise.
        eps: added to the variance.
    """

    weight: Tensor | None = None
    bias: Tensor | None = None
    eps: float = 1e-5


class Transfer(NamedTuple):
    """Between a level and the next coarser one, with half its points along every axis, rounded up.

    Attributes:
        R: [C_f of the coarse level, C_f, 3, ...], restricts f, or with A the residual f - A * u, at every other point.
        Pi: [C_u of the coarse level, C_u, 3, ...], restricts u likewise.
        P: [C_u of the coarse level, C_u, 4, ...], prolongs the coarse u by a transposed convolution.
        A: [C_f, C_u, 3, ...] or None.
        norm: of u after its correction by the coarse u, or None.
    """

    R: Tensor
    Pi: Tensor
    P: Tensor
    A: Tensor | None
    norm: Norm | None = None


class Level(NamedTuple):
    """Iterations on the way down and on the way up, and the transfer to the next level; the coarsest has none."""

    pre: Sequence[Smoothing]
    post: Sequence[Smoothing]
    transfer: Transfer | None


class End(NamedTuple):
    """Of a layer: act(u + B f + bias)."""

    pointwise: Tensor | None
    bias: Tensor | None
    activation: Activation


def multigrid_conv(
    f: Tensor,
    levels: Sequence[Level],
    boundary: GridBoundary = "dirichlet",
    *,
    pointwise: Tensor | None = None,
    bias: Tensor | None = None,
    activation: Literal["none", "gelu", "relu"] = "none",
    checkpoint: bool = False,
) -> Tensor:
    """A V-cycle with learned stencils, from the finest level of f to the coarsest and back, and the end of a layer.

    Down, on every level: iterations u + S * (f - A * u), then f <- R * f (or R * (f - A * u)) and u <- Pi * u. Up:
    u <- u + P^T * u_coarse, a norm where there is one, then iterations. The end: act(u + B f + bias). Differentiable
    any number of times; without norm and activation linear in f.

    Args:
        f: [B, C_f, n] of 1 to 3 axes.
        levels: from the finest; the first begins with a smoothing without A.
        boundary: what stencils see beyond the grid: zeros, the field mirrored at its last point, or its other side.
        pointwise: B [C_u, C_f, 1, ...] or None.
        bias: [C_u] or None.
        activation: of the end.
        checkpoint: whether the backward pass makes the fields of the levels anew, instead of keeping them.

    Returns:
        [B, C_u, n].

    Raises:
        ValueError: there is no level, a shape does not fit, or the grid is too small for so many levels; names it.
    """
    _check(f, levels, boundary, activation)
    end = End(pointwise, bias, Activation[activation.upper()])
    return multigrid_conv_definition(f, levels, Boundary[boundary.upper()], end)


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


def halved(extents: Sequence[int]) -> list[int]:
    """The extents of the next coarser level."""
    return [-(-n // 2) for n in extents]


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
    if activation.upper() not in Activation.__members__:
        raise ValueError(f"activation must be one of none, gelu, relu, got {activation!r}")
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
