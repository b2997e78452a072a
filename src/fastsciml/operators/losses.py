"""Relative errors of functions on regular grids: what neural operators are trained with and judged by."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class RelativeNorm(nn.Module):
    """Mean over the batch of norm(y_pred - y) / norm(y), each sample's norm being over all channels and points."""

    def forward(self, y_pred: Tensor, y: Tensor, **_: Any) -> Tensor:
        """Of [B, channels, *grid] in any floating dtype, computed at least in float32: a number.

        Other named arguments are ignored, so that neuraloperator's trainer can call it.

        Raises:
            ValueError: shapes differ, or have no grid.
        """
        return self.per_sample(y_pred, y).mean()

    def per_sample(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """[B]: the relative error of each sample; infinite or NaN where y is zero everywhere.

        Raises:
            ValueError: shapes differ, or have no grid.
        """
        if y_pred.shape != y.shape or not 3 <= y.ndim <= 5:
            raise ValueError(
                "y_pred and y must both be [B, channels, *grid] with 1 to 3 axes,"
                f" got {tuple(y_pred.shape)} and {tuple(y.shape)}"
            )
        # Squares of float16 overflow at 256, and sums of bfloat16 keep 3 digits.
        y_pred, y = (t.to(torch.promote_types(t.dtype, torch.float32)) for t in (y_pred, y))
        return self._norm(y_pred - y) / self._norm(y)

    @abstractmethod
    def _norm(self, v: Tensor) -> Tensor:
        """[B] of [B, channels, *grid]."""


class RelativeL2(RelativeNorm):
    """Mean over the batch of ||y_pred - y|| / ||y|| in L2: over all channels and points, which count alike.

    Called with y_pred and y [B, channels, *grid] of any floating dtype.

    Raises:
        ValueError: when called, shapes differ, or have no grid.

    Source: Li et al., "Fourier Neural Operator for Parametric Partial Differential Equations" (ICLR 2021).

    Example:
        >>> RelativeL2()(torch.full((2, 1, 8), 1.1), torch.ones(2, 1, 8))
        tensor(0.1000)
    """

    def _norm(self, v: Tensor) -> Tensor:
        norm: Tensor = torch.linalg.vector_norm(v.flatten(1), dim=1)
        return norm


class RelativeH1(RelativeNorm):
    """Mean over the batch of ||y_pred - y|| / ||y|| in H1: ||v||^2 = the sum of v^2 + |grad v|^2 over channels, points.

    Derivatives are central differences, at the edges one-sided, or across them where the grid is periodic. Called with
    y_pred and y [B, channels, *grid] of any floating dtype.

    Args:
        side: of the box that the grid covers, in the unit of length, one number or one for each axis: neighbours are
            side / (n - 1) apart, on a periodic grid side / n. The longer, the less slopes weigh beside values, so that
            only errors by one side can be compared. That of 2 pi, where waves have whole numbers, is the field's habit.
        periodic: whether every axis is.

    Raises:
        ValueError: a side is not positive; when called, also where there is not one for each axis, an axis has less
            than 2 points, or shapes differ.

    Source: He, Liu, Xu, "MgNO: Efficient Parameterization of Linear Operators via Multigrid" (ICLR 2024), who train
    with this norm.
    """

    def __init__(self, side: float | Sequence[float] = 2 * math.pi, *, periodic: bool = False) -> None:
        super().__init__()
        if not all(length > 0 for length in ([side] if isinstance(side, int | float) else side)):
            raise ValueError(f"side must be positive, got {side}")
        self.side, self.periodic = side, periodic

    def _norm(self, v: Tensor) -> Tensor:
        squares = v.square().flatten(1).sum(1)
        for axis, h in enumerate(self._spacings(tuple(v.shape[2:])), start=2):
            squares = squares + self._slope(v, axis, h).square().flatten(1).sum(1)
        return squares.sqrt()

    def _spacings(self, grid: tuple[int, ...]) -> list[float]:
        if min(grid) < 2:
            raise ValueError(f"every axis of the grid must have at least 2 points, got {grid}")
        sides = [self.side] * len(grid) if isinstance(self.side, int | float) else list(self.side)
        if len(sides) != len(grid):
            raise ValueError(f"side must be one number, or one for each of {len(grid)} axes, got {self.side}")
        return [side / (n if self.periodic else n - 1) for side, n in zip(sides, grid, strict=True)]

    def _slope(self, v: Tensor, axis: int, h: float) -> Tensor:
        if self.periodic:
            return (v.roll(-1, axis) - v.roll(1, axis)) / (2 * h)
        (slope,) = torch.gradient(v, spacing=h, dim=axis)
        return slope

    def extra_repr(self) -> str:
        return f"side={self.side}, periodic={self.periodic}"
