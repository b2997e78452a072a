"""How the unknowns of an axis merge into those of the next coarser level, and the weights of the transfers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastsciml.solvers.grid import Array, Axis

Axes = tuple[Axis, Axis, Axis]
Indices = npt.NDArray[np.int32]

# Two volumes merge while their coupling is at least this share of the strongest one anywhere: point smoothing handles
# the rest. So an axis of a stretched grid coarsens first where it is fine.
STRONG_COUPLING = 0.3


@dataclass(frozen=True, eq=False)
class Transfer:
    """From an axis to the next coarser one.

    Attributes:
        parent: [n], the coarse volume that each one lies in.
        share: [n], its share of that volume: the weight of restriction.
        beyond: [n], the coarse unknown on the other side of the fine one.
        own, next: [n], weights of interpolation from `parent` and `beyond`. Past an end u falls to 0 as far out as the
            axis says, which `own` holds.
    """

    parent: Indices
    share: Array
    beyond: Indices
    own: Array
    next: Array

    @property
    def coarsens(self) -> bool:
        return bool(self.parent[-1] + 1 < len(self.parent))

    @property
    def in_pairs(self) -> bool:
        """Whether volume i lies in i // 2 throughout, or in i."""
        i = np.arange(len(self.parent))
        return np.array_equal(self.parent, i // 2 if self.coarsens else i)


def coarsening(axes: Axes) -> list[Axes]:
    """Levels of axes down to a single unknown, finest first."""
    levels = [axes]
    while any(axis.extent > 1 for axis in levels[-1]):
        strongest = max(_strengths(axis).max(initial=0.0) for axis in levels[-1])
        x, y, z = (_merged(axis, STRONG_COUPLING * strongest) for axis in levels[-1])
        levels.append((x, y, z))
    return levels


def transfer(fine: Axis, coarse: Axis, constant: bool = False) -> Transfer:
    """The transfer between two neighbouring levels of `coarsening`, with linear interpolation or piecewise constant."""
    n, wide = fine.extent, coarse.extent
    if wide == n:
        same = np.arange(n, dtype=np.int32)
        return Transfer(same, np.ones(n), same, np.ones(n), np.zeros(n))
    ends = np.cumsum(coarse.widths)
    parent = np.searchsorted(ends, np.cumsum(fine.widths) - fine.widths / 2).astype(np.int32)
    offset = fine.positions - coarse.positions[parent]
    upward = offset > 0
    # A volume merged with none lies where its coarse one does.
    toward = np.zeros(n) if constant else np.abs(offset) / coarse.distances[parent + upward]
    beyond = parent + np.where(upward, 1, -1)
    outside = (beyond < 0) | (beyond >= wide)
    following = np.where(outside & (not fine.periodic), 0.0, toward)
    return Transfer(
        parent, fine.widths / coarse.widths[parent], (beyond % wide).astype(np.int32), 1 - toward, following
    )


def _strengths(axis: Axis) -> Array:
    """[n - 1], the coupling of neighbours. The wider one decides: an odd extent leaves a narrow one at the end of every
    level, which does not speak for its axis.
    """
    return np.maximum(axis.widths[1:], axis.widths[:-1]) ** -2


def _merged(axis: Axis, strong: float) -> Axis:
    first = _first_of_pairs(axis, strong)
    if len(first) == axis.extent:
        return axis
    widths = np.add.reduceat(axis.widths, first)
    positions = np.add.reduceat(axis.widths * axis.positions, first) / widths
    lower = axis.distances[0] + positions[0] - axis.positions[0]
    upper = axis.distances[-1] + axis.positions[-1] - positions[-1]
    if axis.periodic:
        lower = upper = axis.distances[0] + (positions[0] - axis.positions[0]) + (axis.positions[-1] - positions[-1])
    return Axis(widths, positions, np.concatenate([[lower], np.diff(positions), [upper]]), axis.periodic)


def _first_of_pairs(axis: Axis, strong: float) -> npt.NDArray[np.int64]:
    """Where each coarse volume begins: pairs from the lower end on, wherever two merge."""
    n, merges = axis.extent, _strengths(axis) >= strong
    if merges[::2].all():
        return np.arange(0, n, 2)
    first, i = [], 0
    while i < n:
        first.append(i)
        i += 2 if i + 1 < n and merges[i] else 1
    return np.array(first)
