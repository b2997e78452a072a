"""The multi-channel V-cycle of multigrid neural operators: a linear map of a field by learned stencils on a hierarchy.

He, Liu, Xu, "MgNO: Efficient Parameterization of Linear Operators via Multigrid", ICLR 2024. Kernels are to come; so
far every device goes by the definition, in PyTorch's convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional

GridBoundary = Literal["dirichlet", "neumann", "periodic"]
PADDING: dict[str, str] = {"dirichlet": "constant", "neumann": "reflect", "periodic": "circular"}
CONVOLUTIONS: Sequence[Any] = (functional.conv1d, functional.conv2d, functional.conv3d)
TRANSPOSED: Sequence[Any] = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)


class Smoothing(NamedTuple):
    """One iteration u + S * (f - A * u); without A the first one, S * f, from u = 0.

    Attributes:
        S: [C_u, C_f, 3, ...].
        A: [C_f, C_u, 3, ...] or None.
    """

    S: Tensor
    A: Tensor | None


class Transfer(NamedTuple):
    """Between a level and the next coarser one, with half its points along every axis, rounded up.

    Attributes:
        R: [C_f, C_f, 3, ...], restricts f, or with A the residual f - A * u, at every other point.
        Pi: [C_u, C_u, 3, ...], restricts u likewise.
        P: [C_u, C_u, 4, ...], prolongs the coarse u by a transposed convolution.
        A: [C_f, C_u, 3, ...] or None.
    """

    R: Tensor
    Pi: Tensor
    P: Tensor
    A: Tensor | None


class Level(NamedTuple):
    """Iterations on the way down and on the way up, and the transfer to the next level; the coarsest has none."""

    pre: Sequence[Smoothing]
    post: Sequence[Smoothing]
    transfer: Transfer | None


def multigrid_conv(f: Tensor, levels: Sequence[Level], boundary: GridBoundary = "dirichlet") -> Tensor:
    """A V-cycle with learned stencils, from the finest level of f to the coarsest and back.

    Down, on every level: iterations u + S * (f - A * u), then f <- R * f (or R * (f - A * u)) and u <- Pi * u. Up:
    u <- u + P^T * u_coarse, then iterations. Linear in f; differentiable any number of times.

    Args:
        f: [B, C_f, n] of 1 to 3 axes.
        levels: from the finest; the first begins with a smoothing without A.
        boundary: what stencils see beyond the grid: zeros, the field mirrored at its last point, or its other side.

    Returns:
        u [B, C_u, n].

    Raises:
        ValueError: there is no level, a shape does not fit, or the grid is too small for so many levels; names it.
    """
    _check(f, levels, boundary)
    mode = PADDING[boundary]
    u: Tensor | None = None
    down: list[tuple[Tensor, Tensor]] = []
    for level in levels:
        u = _smoothed(u, f, level.pre, mode)
        down.append((u, f))
        if level.transfer is not None:
            A = level.transfer.A
            f = _convolved(f if A is None else f - _convolved(u, A, mode), level.transfer.R, mode, stride=2)
            u = _convolved(u, level.transfer.Pi, mode, stride=2)
    assert u is not None
    u = _smoothed(u, f, levels[-1].post, mode)
    for level, (fine, f) in zip(reversed(levels[:-1]), reversed(down[:-1]), strict=True):
        assert level.transfer is not None
        u = _smoothed(fine + _prolonged(u, level.transfer.P, mode, fine.shape[2:]), f, level.post, mode)
    return u


def _smoothed(u: Tensor | None, f: Tensor, iterations: Sequence[Smoothing], mode: str) -> Tensor:
    for S, A in iterations:
        if u is None:
            u = _convolved(f, S, mode)
        else:
            assert A is not None
            u = u + _convolved(f - _convolved(u, A, mode), S, mode)
    assert u is not None
    return u


def _convolved(x: Tensor, weight: Tensor, mode: str, stride: int = 1) -> Tensor:
    dims = x.dim() - 2
    if mode == "constant":
        out: Tensor = CONVOLUTIONS[dims - 1](x, weight, stride=stride, padding=1)
        return out
    padded: Tensor = CONVOLUTIONS[dims - 1](functional.pad(x, [1, 1] * dims, mode=mode), weight, stride=stride)
    return padded


def _prolonged(u: Tensor, weight: Tensor, mode: str, extents: torch.Size) -> Tensor:
    """Twice as many points; where the fine grid has one fewer, the last is left out.

    The boundary counts here as in the stencils. The published code takes zeros beyond every boundary, which for
    Dirichlet's is the same.
    """
    dims = u.dim() - 2
    if mode != "constant":
        u = functional.pad(u, [1, 1] * dims, mode=mode)
    out: Tensor = TRANSPOSED[dims - 1](u, weight, stride=2, padding=1 if mode == "constant" else 3)
    for axis, n in enumerate(extents):
        out = out.narrow(axis + 2, 0, n)
    return out


def _check(f: Tensor, levels: Sequence[Level], boundary: str) -> None:
    if boundary not in get_args(GridBoundary):
        raise ValueError(f"boundary must be one of {', '.join(get_args(GridBoundary))}, got {boundary!r}")
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
