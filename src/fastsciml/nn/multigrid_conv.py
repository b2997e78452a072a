"""Layers that are a multi-channel V-cycle: the linear maps of multigrid neural operators.

He, Liu, Xu, "MgNO: Efficient Parameterization of Linear Operators via Multigrid", ICLR 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint as checkpointed

from fastsciml import ops
from fastsciml.nn import constant_channel
from fastsciml.nn.published_transfers import Transfers, coarser, cycle
from fastsciml.ops.multigrid_conv import GridBoundary
from fastsciml.ops.multigrid_levels import Level, Norm, Smoothing, Transfer
from fastsciml.ops.multigrid_stencil import ACTIVATIONS, Activation, Boundary
from fastsciml.ops.multigrid_stencil import CONVOLUTIONS as CONVOLVE

CONVOLUTIONS: Sequence[Any] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED: Sequence[Any] = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)

LevelNorm = Literal["layer"]
Pointwise = nn.Conv1d | nn.Conv2d | nn.Conv3d


class _GridNorm(nn.Module):
    """Weight and bias of a layer norm over channels and grid: of the channels alone, or of every point."""

    def __init__(self, channels: int, extents: Sequence[int], **options: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, *extents, **options))
        self.bias = nn.Parameter(torch.zeros(channels, *extents, **options))


class _MgConv(nn.Module):
    """A V-cycle with learned stencils of 3 points along each axis; without bias and norm linear in its input.

    Args:
        in_channels: of the data f [B, in_channels, ...], the same on every level or one number for each, from the
            finest.
        out_channels: of the solution u likewise.
        levels: of the hierarchy; each has half the points of the one before along every axis, rounded up.
        pre: iterations of each level on the way down, a number or one for each level.
        post: iterations on the way up likewise.
        boundary: "dirichlet", "neumann" or "periodic".
        use_residual: whether the residual f - A * u is restricted instead of f.
        bias: whether the stencils S and A have one. It costs a channel of f that is 1.
        prolongation: points of the stencils P along each axis, 4 or 3, for all levels but the coarsest or for each.
        norm: of u after its correction by the coarse u: None or "layer" (over channels and grid), for all levels but
            the coarsest or for each.
        grid: the finest level's extents, where the norm's weight and bias differ from point to point, as published:
            such a layer takes this grid alone. None: they are of the channels, for any grid.
        transfers: what the transfers see beyond the grid: "boundary", as the stencils do; "zeros", the prolongation
            zeros, as published; "inner", coarse points are the odd ones (2 i + 1) and transfers stay within the grid,
            as published for the Helmholtz equation. Kernels are for "boundary" alone.
        checkpoint: whether the backward pass makes the fields of the levels anew instead of keeping them.
        device: of the parameters.
        dtype: of the parameters, any floating one; f has it too, but for autocast.

    Raises:
        ValueError: a number does not fit.

    Source: He, Liu, Xu, "MgNO: Efficient Parameterization of Linear Operators via Multigrid" (ICLR 2024).
    """

    dims = 0

    def __init__(
        self,
        in_channels: int | Sequence[int],
        out_channels: int | Sequence[int],
        levels: int,
        *,
        pre: int | Sequence[int] = 1,
        post: int | Sequence[int] = 0,
        boundary: GridBoundary = "dirichlet",
        use_residual: bool = False,
        bias: bool = False,
        prolongation: int | Sequence[int] = 4,
        norm: LevelNorm | Sequence[LevelNorm | None] | None = None,
        grid: Sequence[int] | None = None,
        transfers: Transfers = "boundary",
        checkpoint: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"levels must be positive, got {levels}")
        if boundary not in get_args(GridBoundary):
            raise ValueError(f"boundary must be one of {', '.join(get_args(GridBoundary))}, got {boundary!r}")
        if transfers not in get_args(Transfers):
            raise ValueError(f"transfers must be one of {', '.join(get_args(Transfers))}, got {transfers!r}")
        self._f = _numbers("in_channels", in_channels, levels, least=1)
        self._u = _numbers("out_channels", out_channels, levels, least=1)
        self.in_channels, self.out_channels, self.boundary = self._f[0], self._u[0], boundary
        self.bias, self.transfers, self.checkpoint = bias, transfers, checkpoint
        self.grid = None if grid is None else tuple(grid)
        pres, posts = _numbers("pre", pre, levels), _numbers("post", post, levels)
        if pres[0] < 1:
            raise ValueError("pre must be positive on the finest level")
        prolongations = _numbers("prolongation", prolongation, levels - 1)
        if not {3, 4}.issuperset(prolongations):
            raise ValueError(f"prolongation must be 3 or 4, got {prolongation}")
        norms = [norm] * (levels - 1) if norm is None or isinstance(norm, str) else list(norm)
        if len(norms) != levels - 1 or not {None, "layer"}.issuperset(norms):
            raise ValueError(f'norm must be None or "layer", or one for each of {levels - 1} levels, got {norm!r}')
        if grid is not None and (len(grid) != self.dims or min(grid) < 1):
            raise ValueError(f"grid must be {self.dims} positive extents, got {list(grid)}")
        self._options: dict[str, Any] = {"device": device, "dtype": dtype}
        self.levels = nn.ModuleList()
        extents = [1] * self.dims if grid is None else list(grid)
        for l in range(levels):
            parts = nn.ModuleDict(
                {
                    "pre": nn.ModuleList(self._smoothing(l, from_zero=l == i == 0) for i in range(pres[l])),
                    "post": nn.ModuleList(self._smoothing(l, from_zero=False) for _ in range(posts[l])),
                }
            )
            if l < levels - 1:
                parts.update(self._transfer(l, prolongations[l], use_residual))
                if norms[l] is not None:
                    parts["norm"] = _GridNorm(self._u[l], extents, **self._options)
            self.levels.append(parts)
            extents = coarser(extents, transfers) if grid is not None else extents

    def _smoothing(self, l: int, *, from_zero: bool) -> nn.ModuleDict:
        parts = nn.ModuleDict({"S": self._stencil(self._f[l], self._u[l], bias=self.bias)})
        if not from_zero:
            parts["A"] = self._stencil(self._u[l], self._f[l], bias=self.bias)
        return parts

    def _transfer(self, l: int, prolongation: int, use_residual: bool) -> dict[str, nn.Module]:
        f, u = self._f, self._u
        transposed = TRANSPOSED[self.dims - 1](u[l + 1], u[l], prolongation, bias=False, **self._options)
        parts = {"R": self._stencil(f[l], f[l + 1]), "Pi": self._stencil(u[l], u[l + 1]), "P": transposed}
        if use_residual:
            parts["A"] = self._stencil(u[l], f[l], bias=self.bias)
        return parts

    def _stencil(self, before: int, after: int, bias: bool = False) -> nn.Module:
        # A module for its weights and their first values alone: the cycle reads the weights.
        stencil: nn.Module = CONVOLUTIONS[self.dims - 1](before, after, 3, bias=bias, **self._options)
        return stencil

    def stencils(self) -> list[Level]:
        """The weights as `ops.multigrid_conv` takes them; with `bias` for data with one more channel, of ones."""
        return [_with_four_points(level) for level in self._levels()]

    def _levels(self) -> list[Level]:
        return [_level_of(level, self.bias) for level in self.levels]

    def forward(
        self, f: Tensor, *, pointwise: Pointwise | None = None, activation: Literal["none", "gelu", "relu"] = "none"
    ) -> Tensor:
        """The V-cycle W f, or with the end of a layer act(W f + B f + b).

        Args:
            f: [B, in_channels, n, ...], of the parameters' dtype.
            pointwise: a convolution of one point, B and b; None: neither.
            activation: "none", "gelu" or "relu".

        Returns:
            [B, out_channels, n, ...], of f's dtype or autocast's.

        Raises:
            TypeError: (transfers="boundary") f has another dtype than the parameters, and autocast is off.
            ValueError: a shape does not fit, or the grid is too small for so many levels.
        """
        if f.dim() != self.dims + 2:
            raise ValueError(f"f must have {self.dims + 2} dimensions, got {f.dim()}")
        if f.shape[1] != self.in_channels:
            raise ValueError(f"f must have the {self.in_channels} channels of the stencils, got {f.shape[1]}")
        if self.grid is not None and f.shape[2:] != self.grid:
            raise ValueError(f"f must have the extents {self.grid} of the norms, got {tuple(f.shape[2:])}")
        weight, bias = (None, None) if pointwise is None else (pointwise.weight, pointwise.bias)
        if self.bias:
            f = constant_channel.with_ones(f)
            weight = None if weight is None else constant_channel.pointwise(weight)
        if self.transfers != "boundary":
            return self._published(f, weight, bias, activation)
        return ops.multigrid_conv(
            f,
            self.stencils(),
            self.boundary,
            pointwise=weight,
            bias=bias,
            activation=activation,
            checkpoint=self.checkpoint,
        )

    def _published(self, f: Tensor, weight: Tensor | None, bias: Tensor | None, activation: str) -> Tensor:
        arguments = (f, self._levels(), Boundary[self.boundary.upper()], self.transfers)
        u = checkpointed(cycle, *arguments, use_reentrant=False) if self.checkpoint else cycle(*arguments)
        if weight is not None:
            u = u + CONVOLVE[self.dims - 1](f, weight, bias)
        out: Tensor = ACTIVATIONS[Activation[activation.upper()]](u)
        return out

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, levels={len(self.levels)}, boundary={self.boundary!r}"


class MgConv1d(_MgConv):
    __doc__ = _MgConv.__doc__
    dims = 1


class MgConv2d(_MgConv):
    __doc__ = _MgConv.__doc__
    dims = 2


class MgConv3d(_MgConv):
    __doc__ = _MgConv.__doc__
    dims = 3


def _numbers(name: str, given: int | Sequence[int], levels: int, least: int = 0) -> list[int]:
    every = [given] * levels if isinstance(given, int) else list(given)
    if len(every) != levels or min(every, default=least) < least:
        kind = "positive number" if least else "number"
        raise ValueError(f"{name} must be one {kind}, or one for each of the {levels} levels, got {given}")
    return every


def _level_of(level: Any, bias: bool) -> Level:
    pre, post = ([_smoothing_of(smoothing) for smoothing in level[way]] for way in ("pre", "post"))
    if "R" not in level:
        return Level(pre, post, None)
    R, of_residual = level["R"].weight, _part(level, "A")
    A = None if of_residual is None else of_residual.weight
    if bias:
        R = constant_channel.restriction(R, None if of_residual is None else of_residual.bias)
        A = None if A is None else constant_channel.system(A)
    norm = Norm(level["norm"].weight, level["norm"].bias) if "norm" in level else None
    return Level(pre, post, Transfer(R, level["Pi"].weight, level["P"].weight, A, norm))


def _with_four_points(level: Level) -> Level:
    if level.transfer is None or level.transfer.P.shape[2] == 4:
        return level
    P = functional.pad(level.transfer.P, [0, 1] * (level.transfer.P.dim() - 2))
    return level._replace(transfer=level.transfer._replace(P=P))


def _part(parts: Any, name: str) -> Any:
    return parts[name] if name in parts else None  # noqa: SIM401 (a ModuleDict has no get)


def _smoothing_of(parts: Any) -> Smoothing:
    S, A = parts["S"], _part(parts, "A")
    if S.bias is None:
        return Smoothing(S.weight, None if A is None else A.weight)
    weight = constant_channel.smoother(S.weight, S.bias, None if A is None else A.bias)
    return Smoothing(weight, None if A is None else constant_channel.system(A.weight))
