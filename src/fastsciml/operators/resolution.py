"""Models on other grids than the one they were trained on, without more training.

The stencils of a multigrid neural operator know nothing of the spacing, so that on a finer grid they stand for another
map. Point values at the training grid's points are what the model was trained on; its output is interpolated.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor, nn

from fastsciml.ops.multigrid_conv import GridBoundary

GridPoints = Literal["vertices", "cells"]

# A cubic spline forgets a point's value by a factor of 0.27 a point: beyond these it is nothing.
MIRRORED = 16


class AtTrainingResolution(nn.Module):
    """A model for any grid, made from one that was trained on a single grid.

    The input is sampled at the points of the training grid, which is exact where they are points of its grid too, and
    linear in between. The output is interpolated by cubic splines that are mirrored at the boundary.

    With `average` and finer grids the model is applied to several samplings instead: along each axis the point, 1/2,
    and its two neighbours, 1/4 each, or the two points on either side where none meets it, by distance; the output is
    their weighted mean, of 2 to 3 runs an axis. It smooths: for inputs that jump or are not resolved by the training
    grid, such as coefficients of two values, it lowers the error; for smooth ones it need not.

    Args:
        model: [B, channels, *extents] -> [B, channels out, *extents], of any floating dtype.
        extents: of the grid that it was trained on, at least 2 along each axis.
        points: "vertices", the first and the last lie on the boundary, or "cells", half a spacing from it. On periodic
            grids the first is at 0 and the last a spacing before the period's end.
        boundary: of the output: "dirichlet" (zero values half a spacing beyond the cells; any values at vertices),
            "neumann" (zero slope) or "periodic".
        average: whether the model is applied to several samplings.

    Raises:
        ValueError: an argument does not fit.

    Example:
        >>> model = AtTrainingResolution(MgNO(width=8), (33, 33))  # trained with grids of 33 x 33
        >>> model(torch.randn(1, 1, 65, 65)).shape
        torch.Size([1, 1, 65, 65])
    """

    def __init__(
        self,
        model: nn.Module,
        extents: Sequence[int],
        *,
        points: GridPoints = "vertices",
        boundary: GridBoundary = "dirichlet",
        average: bool = False,
    ) -> None:
        super().__init__()
        if not 1 <= len(extents) <= 3 or min(extents) < 2:
            raise ValueError(f"extents must be 1 to 3 numbers of at least 2, got {list(extents)}")
        for name, value, choices in (("points", points, GridPoints), ("boundary", boundary, GridBoundary)):
            if value not in get_args(choices):
                raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, got {value!r}")
        self.model, self.extents = model, tuple(extents)
        self.points, self.boundary, self.average = points, boundary, average

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """[B, channels, *grid] -> [B, channels out, *grid], of x's dtype; y is not read, as by `MgNO`.

        Raises:
            ValueError: x has other axes, or fewer than 2 points along one.
        """
        grid = tuple(x.shape[2:])
        if len(grid) != len(self.extents) or min(grid) < 2:
            raise ValueError(f"x must have {len(self.extents)} axes of at least 2 points, got {list(grid)}")
        if grid == self.extents:
            same: Tensor = self.model(x)
            return same
        u = self._averaged(x) if self.average else self.model(self._sampled(x))
        for axis, (n, k) in enumerate(zip(self.extents, grid, strict=True)):
            if n != k:
                u = _along(u, axis + 2, _interpolation(n, k, self.points, self.boundary))
        return u

    def _sampled(self, x: Tensor) -> Tensor:
        for axis, n in enumerate(self.extents):
            if n != x.shape[axis + 2]:
                x = sum(
                    (_weighted(x, axis + 2, tap) for tap in self._neighbours(n, x.shape[axis + 2])), x.new_zeros(())
                )
        return x

    def _averaged(self, x: Tensor) -> Tensor:
        axes = [self._taps(n, k) for n, k in zip(self.extents, x.shape[2:], strict=True)]
        total: Any = 0
        for taps in itertools.product(*axes):
            sampled = x
            for axis, tap in enumerate(taps):
                sampled = sampled.index_select(axis + 2, _on(tap.points, x))
            u = self.model(sampled)
            for axis, tap in enumerate(taps):
                u = u * _on(tap.weights, u).to(u.dtype).view(-1, *[1] * (u.dim() - axis - 3))
            total = total + u
        out: Tensor = total
        return out

    def _neighbours(self, n: int, k: int) -> list[_Tap]:
        return _neighbours(n, k, self.points, self.boundary)

    def _taps(self, n: int, k: int) -> list[_Tap]:
        near, far = self._neighbours(n, k)
        if k <= n or far.weights.any():
            # Where no point meets one of the training grid's; a coarser grid has nothing to average.
            return [tap for tap in (near, far) if tap.weights.any()]
        before, after = (
            (near.points + step) % k if self.boundary == "periodic" else (near.points + step).clamp(0, k - 1)
            for step in (-1, 1)
        )
        quarter = near.weights / 4
        return [_Tap(before, quarter), _Tap(near.points, 2 * quarter), _Tap(after, quarter)]


class _Tap(NamedTuple):
    """A point of the given grid for each of the training grid's, and its weight."""

    points: Tensor
    weights: Tensor


def _positions(n: int, points: str, boundary: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    if boundary == "periodic":
        return np.arange(n) / n
    return (np.arange(n) + 0.5) / n if points == "cells" else np.arange(n) / (n - 1)


def _neighbours(n: int, k: int, points: str, boundary: str) -> list[_Tap]:
    """The points of k on either side of each of n."""
    periodic = boundary == "periodic"
    at = _positions(n, points, boundary) * (k if periodic or points == "cells" else k - 1)
    if points == "cells" and not periodic:
        at = np.clip(at - 0.5, 0, k - 1)
    # Points that meet but for rounding do meet.
    near = np.floor(at + 1e-9).astype(np.int64)
    weight = torch.from_numpy(np.where(at - near < 1e-9, 0.0, at - near))
    far = (near + 1) % k if boundary == "periodic" else np.minimum(near + 1, k - 1)
    return [_Tap(torch.from_numpy(near), 1 - weight), _Tap(torch.from_numpy(far), weight)]


@lru_cache(maxsize=64)
def _interpolation(n: int, k: int, points: str, boundary: str) -> Tensor:
    """[k, n], float64: the cubic spline through n points at k."""
    at, values = _positions(n, points, boundary), np.eye(n)
    if boundary == "periodic":
        m = min(n, MIRRORED)
        at, values = np.r_[at[-m:] - 1, at, at[:m] + 1], np.r_[values[-m:], values, values[:m]]
    else:
        first = 0 if points == "cells" else 1
        m = min(n - first, MIRRORED)
        left, right = slice(first, first + m), slice(n - first - m, n - first)
        before, after = values[left][::-1], values[right][::-1]
        if boundary == "dirichlet":
            # Odd about the value on the boundary, which is 0 beyond the cells.
            on = 2.0 if points == "vertices" else 0.0
            before, after = on * values[:1] - before, on * values[-1:] - after
        at = np.r_[-at[left][::-1], at, 2 - at[right][::-1]]
        values = np.r_[before, values, after]
    return torch.from_numpy(CubicSpline(at, values)(_positions(k, points, boundary)))


def _on(tensor: Tensor, x: Tensor) -> Tensor:
    return tensor.to(x.device)


def _weighted(x: Tensor, axis: int, tap: _Tap) -> Tensor:
    weights = _on(tap.weights, x).to(x.dtype).view(-1, *[1] * (x.dim() - axis - 1))
    return x.index_select(axis, _on(tap.points, x)) * weights


def _along(u: Tensor, axis: int, matrix: Tensor) -> Tensor:
    out: Tensor = torch.tensordot(u, _on(matrix, u).to(u.dtype), dims=([axis], [1])).movedim(-1, axis)
    return out
