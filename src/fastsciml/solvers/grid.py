"""The grid of a Poisson problem: the unknowns along each axis, the volumes they stand for and what couples them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
from torch import Tensor

from fastsciml.solvers.boundary import AXIS_NAMES, KindPair, robin_coefficients

Array = npt.NDArray[np.float64]
Centering = Literal["cell", "vertex"]
CENTERINGS: tuple[Centering, ...] = ("cell", "vertex")
# A uniform spacing, or one entry per cell (between vertices: per interval).
Spacing = float | Array


@dataclass(frozen=True, eq=False)
class Axis:
    """Unknowns along one axis.

    Attributes:
        widths: [n], of the control volumes.
        positions: [n], of the unknowns.
        distances: [n + 1], from each unknown to the one before it. First and last reach to where u = 0 beyond the ends:
            the boundary for Dirichlet, infinity for Neumann, in between for Robin. On a periodic axis both cross the
            seam.
        periodic: whether the first unknown follows the last.
    """

    widths: Array
    positions: Array
    distances: Array
    periodic: bool

    @property
    def extent(self) -> int:
        return len(self.widths)

    @property
    def fixes_constants(self) -> bool:
        return not self.periodic and bool(np.isfinite(self.distances[[0, -1]]).any())

    def face_couplings(self) -> tuple[Array, Array]:
        """1 / (width * distance) across each unknown's lower and upper face; past an end, the coupling to u = 0."""
        # A single periodic cell is its own neighbour and has no coupling.
        faces = np.zeros(2) if self.periodic and self.extent == 1 else 1.0 / self.distances
        return faces[:-1] / self.widths, faces[1:] / self.widths

    def off_diagonals(self) -> tuple[Array, Array]:
        """Couplings to unknown i - 1 and i + 1: the faces', but 0 at a non-periodic end, where there is none."""
        lower, upper = (c.copy() for c in self.face_couplings())
        if not self.periodic:
            lower[0] = upper[-1] = 0.0
        return lower, upper


@dataclass(frozen=True)
class Grid:
    """A grid of one to three axes, as the kernels see it: always three.

    A plane problem stands as (nx, 1, ny) and a line as (1, 1, n), so that the last axis stays contiguous and the
    first one is what threads share.
    """

    given: tuple[Axis, ...]

    @cached_property
    def axes(self) -> tuple[Axis, Axis, Axis]:
        flat = Axis(np.ones(1), np.zeros(1), np.full(2, np.inf), periodic=False)
        *first, z = self.given
        x, y = (*first, flat, flat)[:2] if first else (flat, flat)
        return x, y, z

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
        """Whether some end does."""
        return any(axis.fixes_constants for axis in self.given)

    @cached_property
    def uniform(self) -> bool:
        """Whether every volume is the same, so that A is symmetric as it stands."""
        return all(bool((axis.widths == axis.widths[0]).all()) for axis in self.given)

    def volumes(self) -> Array:
        """[nx, ny, nz], in units of the largest."""
        x, y, z = (axis.widths / axis.widths.max() for axis in self.axes)
        return np.asarray(x[:, None, None] * y[:, None] * z)


def make_grid(
    shape: Sequence[int], spacing: Sequence[Spacing], kinds: Sequence[KindPair], centering: Centering = "cell"
) -> Grid:
    """The grid of unknowns; spacings as `parse_spacing` returns them."""
    make = cell_axis if centering == "cell" else vertex_axis
    return Grid(tuple(make(n, h, pair) for n, h, pair in zip(shape, spacing, kinds, strict=True)))


def boundary_gaps(n: int, spacing: Spacing, pair: KindPair, centering: Centering) -> tuple[tuple[float, float], ...]:
    """(gap, width) of the lower and the upper end: how far the boundary is from the last unknown, and its width."""
    if centering == "vertex":
        steps = _intervals(n, spacing, pair)
        dirichlet = [robin_coefficients(kind)[1] == 0 for kind in pair]
        widths = _vertex_widths(steps, pair)
        return tuple((float(steps[end]) if dirichlet[end] else 0.0, float(widths[end])) for end in (0, -1))
    widths = np.broadcast_to(spacing, n)
    return tuple((float(widths[end]) / 2, float(widths[end])) for end in (0, -1))


def cell_axis(n: int, spacing: Spacing, pair: KindPair) -> Axis:
    """Unknowns at the centres of n cells of the given widths."""
    widths = np.broadcast_to(np.asarray(spacing, dtype=np.float64), n).copy()
    positions = np.cumsum(widths) - widths / 2
    if pair[0] == "periodic":
        seam = (widths[0] + widths[-1]) / 2
        return Axis(widths, positions, np.concatenate([[seam], np.diff(positions), [seam]]), periodic=True)
    return _with_ends(widths, positions, boundary_gaps(n, spacing, pair, "cell"), pair)


def vertex_axis(n: int, spacing: Spacing, pair: KindPair) -> Axis:
    """Unknowns at the vertices between intervals of the given lengths, those on Dirichlet ends left out."""
    steps = _intervals(n, spacing, pair)
    widths = _vertex_widths(steps, pair)
    if pair[0] == "periodic":
        positions = np.cumsum(steps) - steps
        return Axis(widths, positions, np.concatenate([steps[-1:], steps]), periodic=True)
    inner = steps[int(_is_dirichlet(pair[0])) : len(steps) - int(_is_dirichlet(pair[1]))]
    positions = np.concatenate([[0.0], np.cumsum(inner)])
    return _with_ends(widths, positions, boundary_gaps(n, spacing, pair, "vertex"), pair)


def interval_count(n: int, pair: KindPair, centering: Centering) -> int:
    """Entries a spacing array must have along an axis of n unknowns."""
    if centering == "cell" or pair[0] == "periodic":
        return n
    return n - 1 + sum(map(_is_dirichlet, pair))


def parse_spacing(
    spacing: object, shape: Sequence[int], kinds: Sequence[KindPair] | None = None, centering: Centering = "cell"
) -> tuple[Spacing, ...]:
    """One number for all axes, or one entry per axis, each a number or an array of lengths along it.

    Raises:
        TypeError, ValueError: something else, not positive, not finite, or an array of the wrong length.
    """
    dims = len(shape)
    wanted = f"spacing must be one number or one per axis ({dims})"
    if isinstance(spacing, str) or spacing is None:
        raise TypeError(f"{wanted}, got {spacing!r}")
    many = isinstance(spacing, Sequence) or (isinstance(spacing, np.ndarray | Tensor) and spacing.ndim == 1)
    entries: list[Any] = list(cast(Any, spacing)) if many else [spacing]
    if dims == 1 and len(entries) > 1:
        entries = [entries]
    if len(entries) not in (1, dims):
        raise ValueError(f"{wanted}, got {len(entries)} entries")
    entries = entries * dims if len(entries) == 1 else entries
    pairs = kinds or [("neumann", "neumann")] * dims
    return tuple(
        _axis_spacing(entry, interval_count(n, pair, centering), name)
        for entry, n, pair, name in zip(entries, shape, pairs, AXIS_NAMES, strict=False)
    )


def _axis_spacing(entry: object, count: int, name: str) -> Spacing:
    if count == 0:
        raise ValueError(f"axis {name} has no width: a single vertex needs a Dirichlet or a periodic end")
    try:
        lengths = np.asarray(entry, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"spacing must be positive numbers, got {entry!r} on axis {name}") from None
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise ValueError(f"spacing must be positive and finite, got {entry!r} on axis {name}")
    if lengths.ndim == 0:
        return float(lengths)
    if lengths.shape != (count,):
        raise ValueError(f"spacing of axis {name} must have {count} entries, got shape {lengths.shape}")
    return float(lengths[0]) if (lengths == lengths[0]).all() else lengths


def _is_dirichlet(kind: object) -> bool:
    return kind == "dirichlet"


def _intervals(n: int, spacing: Spacing, pair: KindPair) -> Array:
    count = interval_count(n, pair, "vertex")
    return np.broadcast_to(np.asarray(spacing, dtype=np.float64), count).copy()


def _vertex_widths(steps: Array, pair: KindPair) -> Array:
    """Half of each interval belongs to the vertex at either end of it."""
    if pair[0] == "periodic":
        return (steps + np.roll(steps, 1)) / 2
    below = steps if _is_dirichlet(pair[0]) else np.concatenate([[0.0], steps])
    above = steps if _is_dirichlet(pair[1]) else np.concatenate([steps, [0.0]])
    n = len(steps) + 1 - sum(map(_is_dirichlet, pair))
    widths: Array = (below[:n] + above[len(above) - n :]) / 2
    # A single vertex between two Neumann ends stands for a volume of its own.
    return widths if widths.any() else np.ones(n)


def _with_ends(widths: Array, positions: Array, gaps: tuple[tuple[float, float], ...], pair: KindPair) -> Axis:
    reach = []
    for (gap, _), kind in zip(gaps, pair, strict=True):
        a, b = robin_coefficients(kind)
        reach.append(gap + b / a if a > 0 else np.inf)
    return Axis(widths, positions, np.concatenate([[reach[0]], np.diff(positions), [reach[1]]]), periodic=False)
