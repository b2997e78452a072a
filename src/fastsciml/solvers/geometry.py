"""The levels of a grid without what fills it: one-dimensional arrays, made once for each of the last few grids.

A solver of moving obstacles meets the same grid at every step, and making these arrays would cost it more than all
that the obstacles change.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from fastsciml.ops.split_rows import half_of, split_rows_definition
from fastsciml.solvers.coarsening import Axes, Indices, Transfer, coarsening, transfer
from fastsciml.solvers.grid import Array, Axis, Grid

Transfers = tuple[Transfer, Transfer, Transfer]

# Over-relaxation for 1, 2 and 3 coupled axes.
RELAXATION = {0: 1.0, 1: 1.0, 2: 1.2, 3: 1.25}

# Grids whose levels are kept. The arrays of one take about 200 bytes per cell along each axis.
GRIDS_KEPT = 8


@dataclass(frozen=True, eq=False)
class LevelGeometry:
    """One level and its transfer to the next; csrc/multigrid/tensors.h and csrc/medium/operators.h tell the layouts.

    Attributes:
        axes: of the level.
        transfers: to the next, that of the last level being to itself.
        relaxation: over-relaxation of the smoother.
        packed_axes: float32.
        transfer_maps: int32, the maps without the rows.
        couplings: float32 [2 (nx + ny + nz)], across each cell's faces.
        z_couplings: float32 [2, 1, 2 half].
        parents: int32 [nx + ny + nz].
        shares: float32, likewise.
        boxes: by alpha, the maps and the diagonals of the last box on this level, where few of its rows differ.
    """

    axes: Axes
    transfers: Transfers
    relaxation: float
    packed_axes: Tensor
    transfer_maps: Tensor
    couplings: Tensor
    z_couplings: Tensor
    parents: Tensor
    shares: Tensor
    boxes: dict[float, tuple[Tensor, Tensor]] = field(default_factory=dict)

    @property
    def extents(self) -> tuple[int, int, int]:
        x, y, z = self.axes
        return x.extent, y.extent, z.extent

    def maps(self, stored: Tensor) -> Tensor:
        """With where each row's diagonal stands, int32 [nx ny]."""
        return torch.cat([stored, self.transfer_maps])


_kept: OrderedDict[tuple[object, ...], list[LevelGeometry]] = OrderedDict()


def level_geometry(grid: Grid, constant: bool) -> list[LevelGeometry]:
    """The levels of a grid, finest first, with linear interpolation between them or piecewise constant. Shared between
    hierarchies: not to be changed.
    """
    key = (constant, *(part for axis in grid.axes for part in _identity(axis)))
    made = _kept.pop(key, None)
    if made is None:
        levels, transfers = _levels(grid, constant)
        made = [_geometry(axes, moves) for axes, moves in zip(levels, transfers, strict=True)]
    _kept[key] = made
    # Another thread may be the one that drops the oldest.
    while len(_kept) > GRIDS_KEPT:
        _kept.popitem(last=False)
    return made


def float32(values: Array) -> Tensor:
    """As a tensor."""
    return torch.from_numpy(values.astype(np.float32))


def _relaxation(axes: Axes) -> float:
    return RELAXATION[sum(axis.extent > 1 for axis in axes)]


def _identity(axis: Axis) -> tuple[bytes, bytes, bytes, bool]:
    return axis.widths.tobytes(), axis.positions.tobytes(), axis.distances.tobytes(), axis.periodic


def _geometry(axes: Axes, moves: Transfers) -> LevelGeometry:
    return LevelGeometry(
        axes=axes,
        transfers=moves,
        relaxation=_relaxation(axes),
        packed_axes=_pack_axes(axes, moves),
        transfer_maps=_transfer_maps(moves),
        couplings=float32(np.concatenate([c for axis in axes for c in axis.face_couplings()])),
        z_couplings=z_couplings_of(axes[2]),
        parents=torch.from_numpy(np.concatenate([move.parent for move in moves])),
        shares=float32(np.concatenate([move.share for move in moves])),
    )


def _levels(grid: Grid, constant: bool) -> tuple[list[Axes], list[Transfers]]:
    """The levels, and the transfer from each to the next, that of the last being to itself."""
    levels = coarsening(grid.axes)
    transfers = []
    for fine, coarse in zip(levels, levels[1:] + levels[-1:], strict=True):
        x, y, z = (transfer(a, b, constant) for a, b in zip(fine, coarse, strict=True))
        transfers.append((x, y, z))
    return levels, transfers


def _pack_axes(axes: Axes, moves: Transfers) -> Tensor:
    arrays: list[Array] = []
    for axis, move in zip(axes[:2], moves[:2], strict=True):
        arrays += [*axis.off_diagonals(), move.share, move.own, move.next, axis.widths / axis.widths.max()]
    z, move = axes[2], moves[2]
    rows = np.stack([move.share, move.own, move.next, z.widths / z.widths.max()])
    packed = split_rows_definition(float32(rows)).flatten()
    return torch.cat([float32(np.concatenate(arrays)), packed, torch.tensor([_relaxation(axes)])])


def _transfer_maps(moves: Transfers) -> Tensor:
    arrays: list[Indices] = []
    for move in moves[:2]:
        arrays += [move.parent, move.beyond, _first_children(move)]
    if not moves[2].in_pairs:
        arrays += _z_maps(moves[2])
    return torch.from_numpy(np.concatenate(arrays).astype(np.int32))


def _first_children(move: Transfer) -> Indices:
    coarse = int(move.parent[-1]) + 1
    return np.searchsorted(move.parent, np.arange(coarse + 1)).astype(np.int32)


def _z_maps(move: Transfer) -> list[Indices]:
    """Rows in halves: the coarse cells of each fine one, in the order of k, and the fine cells of each coarse one, as
    indices into a fine row in halves, -1 where there is no second.
    """
    first = _first_children(move)
    half, children = half_of(len(move.parent)), np.diff(first)
    k = np.arange(len(move.parent) + 1)
    place = k // 2 + k % 2 * half
    second = np.where(children > 1, place[first[:-1] + 1], -1)
    fine = split_rows_definition(torch.from_numpy(np.stack([move.parent, move.beyond])))
    coarse = split_rows_definition(torch.from_numpy(np.stack([place[first[:-1]], second]) + 1)) - 1
    return [fine.flatten().numpy(), coarse.flatten().numpy()]


def z_couplings_of(z: Axis) -> Tensor:
    """[2, 1, 2 half]: the coupling of a cell to its neighbour with the same index in the other half, which is the upper
    one for even cells, and to the other neighbour.
    """
    lower, upper = z.off_diagonals()
    even = np.arange(z.extent) % 2 == 0
    rows = np.stack([np.where(even, upper, lower), np.where(even, lower, upper)])
    return split_rows_definition(float32(rows[:, None]))
