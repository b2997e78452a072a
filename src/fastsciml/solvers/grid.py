"""The grid of a Poisson problem: extents, spacing and boundaries, checked, and one axis's couplings and transfer
weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from fastsciml.solvers.boundary import FaceKind, KindPair, robin_coefficients

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """Cells along one axis: their widths, and what lies beyond the first and the last one."""

    widths: tuple[float, ...]
    boundary: KindPair

    @property
    def extent(self) -> int:
        return len(self.widths)

    @property
    def periodic(self) -> bool:
        return self.boundary[0] == "periodic"

    def face_couplings(self) -> tuple[Array, Array]:
        """1 / (cell width * distance) across each cell's lower and upper face.

        At a domain end, where a u + b du/dn = 0, it is 2 a / (width (a width + 2 b)): Dirichlet's has the half cell to
        the boundary as its distance, Neumann's is 0. A single periodic cell is its own neighbour and has none.
        """
        w = np.asarray(self.widths)
        between = (w + np.roll(w, 1)) / 2
        distance = np.concatenate([between, between[:1]])
        faces = 1.0 / distance
        if self.periodic:
            if self.extent == 1:
                faces[:] = 0.0
        else:
            for end, kind in ((0, self.boundary[0]), (-1, self.boundary[1])):
                a, b = robin_coefficients(kind)
                faces[end] = 2.0 * a / (a * w[end] + 2.0 * b)
        return faces[:-1] / w, faces[1:] / w

    def off_diagonals(self) -> tuple[Array, Array]:
        """Couplings to cell i - 1 and i + 1: the faces', but 0 at a non-periodic end, where there is no cell."""
        lower, upper = (c.copy() for c in self.face_couplings())
        if not self.periodic:
            lower[0] = upper[-1] = 0.0
        return lower, upper

    def coarsened(self) -> Axis:
        """Cells merged in pairs; the last one of an odd number stays as wide as it is."""
        w = np.asarray(self.widths)
        merged = np.add.reduceat(w, np.arange(0, len(w), 2))
        return Axis(tuple(merged), self.boundary)

    def share_of(self, coarse: Axis) -> Array:
        """Each cell's share of its coarse cell's width: the weights of restriction."""
        if coarse.extent == self.extent:
            return np.ones(self.extent)
        share: Array = np.asarray(self.widths) / np.repeat(coarse.widths, 2)[: self.extent]
        return share

    def interpolation_from(self, coarse: Axis) -> tuple[Array, Array]:
        """Weights (own, next) of linear interpolation from the cell's coarse cell and the one beyond its nearer face.

        Past a boundary stands the mirror of the last coarse cell, negative for Dirichlet, smaller for Robin, so `own`
        holds both.
        """
        if coarse.extent == self.extent:
            return np.ones(self.extent), np.zeros(self.extent)
        fine, wide = np.asarray(self.widths), np.asarray(coarse.widths)
        i = np.arange(self.extent)
        parent, upward = i // 2, i % 2 == 1
        centre = np.cumsum(wide) - wide / 2
        offset = np.abs(np.cumsum(fine) - fine / 2 - centre[parent])
        neighbour = np.where(upward, parent + 1, parent - 1)
        beyond = (neighbour < 0) | (neighbour >= coarse.extent)
        mirrored = beyond & (not self.periodic)
        other = np.where(mirrored, wide[parent], wide[neighbour % coarse.extent])
        toward = offset / ((wide[parent] + other) / 2)
        lower, upper = (_mirror(kind, wide[end]) for end, kind in zip((0, -1), self.boundary, strict=True))
        own = 1 - toward + np.where(mirrored, np.where(upward, upper, lower) * toward, 0.0)
        return own, np.where(mirrored, 0.0, toward)


def _mirror(kind: FaceKind, width: float) -> float:
    """The value beyond a face, in units of the one inside, that satisfies a u + b du/dn = 0 on it."""
    a, b = robin_coefficients(kind)
    return (2 * b - a * width) / (2 * b + a * width)


@dataclass(frozen=True)
class Grid:
    """A uniform cell-centred grid of one to three dimensions, as the kernels see it: always three axes.

    A plane problem stands as (nx, 1, ny) and a line as (1, 1, n), so that the last axis stays contiguous and the
    first one is what threads share.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    boundary: tuple[KindPair, ...]

    @property
    def axes(self) -> tuple[Axis, Axis, Axis]:
        given: list[Axis] = [
            Axis((h,) * n, pair) for n, h, pair in zip(self.shape, self.spacing, self.boundary, strict=True)
        ]
        flat = Axis((1.0,), ("neumann", "neumann"))
        first = given[:-1] + [flat] * (3 - len(given)) if len(given) > 1 else [flat, flat]
        return cast(tuple[Axis, Axis, Axis], (*first, given[-1]))

    @property
    def extents(self) -> tuple[int, int, int]:
        x, y, z = self.axes
        return x.extent, y.extent, z.extent

    @property
    def periodic(self) -> tuple[bool, bool, bool]:
        x, y, z = self.axes
        return x.periodic, y.periodic, z.periodic

    @property
    def fixes_constants(self) -> bool:
        """Whether some face does."""
        return any(fixes_constants(kind) for pair in self.boundary for kind in pair)


def fixes_constants(kind: FaceKind) -> bool:
    """Whether the operator sees a constant at such a face: where a u + b du/dn = 0 with a > 0."""
    return robin_coefficients(kind)[0] > 0


def parse_spacing(spacing: float | Sequence[float], dims: int) -> tuple[float, ...]:
    """One number for all axes or one per axis, positive and finite; TypeError or ValueError otherwise."""
    try:
        values = np.atleast_1d(np.asarray(spacing, dtype=np.float64))
    except (TypeError, ValueError):
        raise TypeError(f"spacing must be one number or one per axis ({dims}), got {spacing!r}") from None
    if values.ndim != 1 or values.size not in (1, dims):
        raise ValueError(f"spacing must be one number or one per axis ({dims}), got {spacing!r}")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(f"spacing must be positive and finite, got {spacing!r}")
    return tuple(float(h) for h in np.broadcast_to(values, dims))
