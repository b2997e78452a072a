"""Layers that are a multi-channel V-cycle: the linear maps of multigrid neural operators.

He, Liu, Xu, "MgNO: Efficient Parameterization of Linear Operators via Multigrid", ICLR 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import torch
from torch import Tensor, nn

from fastsciml import ops
from fastsciml.ops.multigrid_conv import GridBoundary
from fastsciml.ops.multigrid_levels import Level, Smoothing, Transfer

CONVOLUTIONS: Sequence[Any] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED: Sequence[Any] = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class _MgConv(nn.Module):
    """A V-cycle with learned stencils of 3 points along each axis, linear in its input.

    Args:
        in_channels: of the data f [B, in_channels, ...].
        out_channels: of the solution u.
        levels: of the hierarchy; each has half the points of the one before along every axis, rounded up.
        pre: iterations of each level on the way down, a number or one for each level.
        post: iterations on the way up likewise.
        boundary: "dirichlet", "neumann" or "periodic".
        use_residual: whether the residual f - A * u is restricted instead of f.
        device: of the parameters.
        dtype: of the parameters.

    Raises:
        ValueError: a number does not fit.
    """

    dims = 0

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        levels: int,
        *,
        pre: int | Sequence[int] = 1,
        post: int | Sequence[int] = 0,
        boundary: GridBoundary = "dirichlet",
        use_residual: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, number in (("in_channels", in_channels), ("out_channels", out_channels), ("levels", levels)):
            if number < 1:
                raise ValueError(f"{name} must be positive, got {number}")
        if boundary not in get_args(GridBoundary):
            raise ValueError(f"boundary must be one of {', '.join(get_args(GridBoundary))}, got {boundary!r}")
        self.in_channels, self.out_channels, self.boundary = in_channels, out_channels, boundary
        counts = list(zip(_of_levels("pre", pre, levels), _of_levels("post", post, levels), strict=True))
        if counts[0][0] < 1:
            raise ValueError("pre must be positive on the finest level")
        self._options: dict[str, Any] = {"bias": False, "device": device, "dtype": dtype}
        self.levels = nn.ModuleList(
            self._level(down, up, first=i == 0, last=i == levels - 1, use_residual=use_residual)
            for i, (down, up) in enumerate(counts)
        )

    def _level(self, pre: int, post: int, *, first: bool, last: bool, use_residual: bool) -> nn.ModuleDict:
        f, u = self.in_channels, self.out_channels
        parts = nn.ModuleDict(
            {
                "pre": nn.ModuleList(self._smoothing(first and i == 0) for i in range(pre)),
                "post": nn.ModuleList(self._smoothing(False) for _ in range(post)),
            }
        )
        if not last:
            parts["R"], parts["Pi"] = self._stencil(f, f), self._stencil(u, u)
            parts["P"] = TRANSPOSED[self.dims - 1](u, u, 4, **self._options)
            if use_residual:
                parts["A"] = self._stencil(u, f)
        return parts

    def _smoothing(self, from_zero: bool) -> nn.ModuleDict:
        f, u = self.in_channels, self.out_channels
        parts = nn.ModuleDict({"S": self._stencil(f, u)})
        if not from_zero:
            parts["A"] = self._stencil(u, f)
        return parts

    def _stencil(self, before: int, after: int) -> nn.Module:
        # A module for its weights and their first values alone: the cycle reads the weights.
        stencil: nn.Module = CONVOLUTIONS[self.dims - 1](before, after, 3, **self._options)
        return stencil

    def stencils(self) -> list[Level]:
        """The weights as `ops.multigrid_conv` takes them."""
        return [_level_of(level) for level in self.levels]

    def forward(self, f: Tensor) -> Tensor:
        """[B, in_channels, n, ...] -> [B, out_channels, n, ...].

        Raises:
            ValueError: a shape does not fit, or the grid is too small for so many levels.
        """
        if f.dim() != self.dims + 2:
            raise ValueError(f"f must have {self.dims + 2} dimensions, got {f.dim()}")
        return ops.multigrid_conv(f, self.stencils(), self.boundary)

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


def _of_levels(name: str, counts: int | Sequence[int], levels: int) -> list[int]:
    every = [counts] * levels if isinstance(counts, int) else list(counts)
    if len(every) != levels or min(every) < 0:
        raise ValueError(f"{name} must be one number, or one for each of the {levels} levels, got {counts}")
    return every


def _weight(parts: Any, name: str) -> Tensor | None:
    return parts[name].weight if name in parts else None


def _level_of(level: Any) -> Level:
    pre, post = (
        [Smoothing(smoothing["S"].weight, _weight(smoothing, "A")) for smoothing in level[way]]
        for way in ("pre", "post")
    )
    if "R" not in level:
        return Level(pre, post, None)
    transfer = Transfer(level["R"].weight, level["Pi"].weight, level["P"].weight, _weight(level, "A"))
    return Level(pre, post, transfer)
