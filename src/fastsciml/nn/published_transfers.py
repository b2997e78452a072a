"""V-cycles whose transfers treat the grid's edge as the code published with MgNO does, in PyTorch's convolutions.

`ops.multigrid_conv`, which has kernels, lets every stencil see beyond the grid what the boundary says. There, the
prolongation sees zeros with every boundary, and for the Helmholtz equation coarse points are the odd ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor
from torch.nn import functional

from fastsciml.ops.multigrid_levels import Level, Norm, Smoothing
from fastsciml.ops.multigrid_stencil import CONVOLUTIONS, TRANSPOSED, Boundary, Kind, stencil_definition

Transfers = Literal["boundary", "zeros", "inner"]


def coarser(extents: Sequence[int], transfers: Transfers) -> list[int]:
    """The extents of the next level: points 2 i, or for "inner" 2 i + 1 with two neighbours along every axis."""
    return [(n - 1) // 2 if transfers == "inner" else -(-n // 2) for n in extents]


def cycle(f: Tensor, levels: Sequence[Level], boundary: Boundary, transfers: Transfers) -> Tensor:
    """[B, C_f, n] -> [B, C_u, n], the V-cycle of `ops.multigrid_conv` with other transfers.

    Raises:
        ValueError: the grid is too small for so many levels.
    """
    least, extents = 2 if boundary == Boundary.NEUMANN else 1, list(f.shape[2:])
    for _ in levels[1:]:
        extents = coarser(extents, transfers)
    if min(extents) < least:
        raise ValueError(f"f must have at least {least} points along every axis of the coarsest level, got {extents}")
    return _from_level(None, f, levels, boundary, transfers)


def _from_level(
    u: Tensor | None, f: Tensor, levels: Sequence[Level], boundary: Boundary, transfers: Transfers
) -> Tensor:
    level = levels[0]
    u = _smoothed(u, f, level.pre, boundary)
    assert u is not None
    if level.transfer is not None:
        R, Pi, P, A, norm = level.transfer
        r = f if A is None else f - stencil_definition(u, A, Kind.SAME, boundary, f.shape[2:])
        u_below, f_below = (_restricted(x, weight, boundary, transfers) for x, weight in ((u, Pi), (r, R)))
        below = _from_level(u_below, f_below, levels[1:], boundary, transfers)
        u = u + _prolonged(below, P, u.shape[2:], transfers)
        u = u if norm is None else _normed(u, norm)
    u = _smoothed(u, f, level.post, boundary)
    assert u is not None
    return u


def _smoothed(u: Tensor | None, f: Tensor, iterations: Sequence[Smoothing], boundary: Boundary) -> Tensor | None:
    for S, A in iterations:
        if A is not None and u is not None:
            u = u + _smoothed_from_zero(f - stencil_definition(u, A, Kind.SAME, boundary, f.shape[2:]), S, boundary)
        else:
            u = _smoothed_from_zero(f, S, boundary)
    return u


def _smoothed_from_zero(f: Tensor, S: Tensor, boundary: Boundary) -> Tensor:
    return stencil_definition(f, S, Kind.SAME, boundary, f.shape[2:])


def _restricted(x: Tensor, weight: Tensor, boundary: Boundary, transfers: Transfers) -> Tensor:
    if transfers == "inner":
        out: Tensor = CONVOLUTIONS[x.dim() - 3](x, weight, stride=2)
        return out
    return stencil_definition(x, weight, Kind.RESTRICT, boundary, coarser(x.shape[2:], "zeros"))


def _prolonged(u: Tensor, weight: Tensor, extents: Sequence[int], transfers: Transfers) -> Tensor:
    out: Tensor = TRANSPOSED[u.dim() - 3](u, weight, stride=2, padding=0 if transfers == "inner" else 1)
    # One point more or fewer than there are, where the stencil's points do not go with the level's parity.
    beyond = [n - m for n, m in zip(reversed(extents), reversed(out.shape[2:]), strict=True)]
    return functional.pad(out, [side for more in beyond for side in (0, more)])


def _normed(u: Tensor, norm: Norm) -> Tensor:
    u = functional.layer_norm(u, u.shape[1:], eps=norm.eps)
    u = u if norm.weight is None else u * norm.weight
    return u if norm.bias is None else u + norm.bias
