"""The multigrid hierarchy of a Poisson problem: the levels as the tensors the kernels read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fastsciml.ops.mask_medium import coarsen_mask, mask_diagonals
from fastsciml.ops.packed_medium import coarsen_medium, medium_level, split_medium
from fastsciml.ops.split_rows import half_of, split_rows_definition
from fastsciml.solvers.coarsening import Axes, Indices, Transfer, coarsening, transfer
from fastsciml.solvers.grid import Array, Axis, Grid
from fastsciml.solvers.level import LevelDefinition
from fastsciml.solvers.medium import Medium, UniformMedium

Transfers = tuple[Transfer, Transfer, Transfer]

# Sweeps before and after the coarse correction, and the over-relaxation for 1, 2 and 3 coupled axes. Measured: with
# two sweeps the optimum is flat, and the red-first order on both sides converges better than the symmetric one.
SWEEPS = 2
RELAXATION = {0: 1.0, 1: 1.0, 2: 1.2, 3: 1.25}


@dataclass(frozen=True)
class Hierarchy:
    """Every level's operator and transfers; csrc/multigrid/tensors.h documents the layouts."""

    grid: Grid
    levels: list[Axes]
    transfers: list[Transfers]
    axes: list[Tensor]
    maps: list[Tensor]
    diagonals: list[Tensor]
    z_couplings: list[Tensor]
    faces: list[Tensor]
    sweeps: int = SWEEPS
    symmetric: bool = False

    @property
    def padded_shape(self) -> tuple[int, int, int]:
        """Shape of the finest level's float32 arrays."""
        x, y, z = self.grid.extents
        return x, y, 2 * half_of(z)

    @property
    def extents(self) -> list[int]:
        return [axis.extent for axes in self.levels for axis in axes]

    @property
    def periodic(self) -> list[int]:
        return [int(p) for p in self.grid.periodic]

    @property
    def nbytes(self) -> int:
        lists = (self.axes, self.maps, self.diagonals, self.z_couplings, self.faces)
        return sum(t.numel() * t.element_size() for tensors in lists for t in tensors)

    def level(self, l: int, dtype: torch.dtype) -> LevelDefinition:
        """Level l as plain arrays without padding, for definitions and tests."""
        return LevelDefinition.unpacked(self, l, dtype)


def box_hierarchy(grid: Grid, alpha: float = 0.0, symmetric: bool = False) -> Hierarchy:
    """The hierarchy of a box of one medium: everything is a product of one-dimensional arrays.

    Args:
        grid: of the finest level.
        alpha: on the diagonal beside the faces.
        symmetric: makes a cycle that is self-adjoint in the inner product weighted by volumes: the restriction is the
            adjoint of the prolongation, and sweeps after the correction take the colours in the opposite order. It is
            slower. (Where a periodic axis has an odd extent on some level, the order of updates at its seam keeps the
            cycle from being symmetric to rounding.)
    """
    levels, transfers = _levels(grid, constant=False)
    parts = [_box_diagonals(axes, alpha) for axes in levels]
    return Hierarchy(
        grid=grid,
        levels=levels,
        transfers=transfers,
        axes=[_pack_axes(axes, moves) for axes, moves in zip(levels, transfers, strict=True)],
        maps=[_pack_maps(rows, moves) for (rows, _), moves in zip(parts, transfers, strict=True)],
        diagonals=[diagonals for _, diagonals in parts],
        z_couplings=[_box_z_couplings(axes[2]) for axes in levels],
        faces=[torch.empty(0) for _ in levels],
        symmetric=symmetric,
    )


def medium_hierarchy(grid: Grid, medium: UniformMedium | Medium, symmetric: bool = False) -> Hierarchy:
    """The hierarchy of a box with a medium in it.

    The finest level of a uniform medium needs no factors: a neighbour without an unknown is 0 there, and the diagonal
    counts open faces only. Prolongation in any other medium is piecewise constant, which jumps of the coefficient leave
    unharmed: across a ball of a million times the conductivity linear interpolation took 32 iterations where it took
    10.

    Args:
        grid: of the finest level.
        medium: likewise.
        symmetric: as in `box_hierarchy`.
    """
    levels, transfers = _levels(grid, constant=not isinstance(medium, UniformMedium))
    diagonals, z_couplings, faces = [], [], []
    packed = None
    for l, (axes, moves) in enumerate(zip(levels, transfers, strict=True)):
        couplings, relaxation = _face_couplings(axes), _relaxation(axes)
        parents, shares = _parents_and_shares(moves)
        extents = [axis.extent for axis in axes]
        if isinstance(medium, UniformMedium) and l == 0:
            diagonals.append(mask_diagonals(medium.bits, couplings, medium.reaction, medium.alpha, relaxation))
            z_couplings.append(_box_z_couplings(axes[2]))
            faces.append(torch.empty(0))
            if len(levels) > 1:
                packed = coarsen_mask(
                    medium.bits,
                    couplings,
                    medium.reaction,
                    medium.alpha,
                    medium.fixed,
                    grid.periodic,
                    parents,
                    shares,
                )
            continue
        if isinstance(medium, Medium) and l == 0:
            packed = split_medium(medium.faces, medium.unknown, medium.reaction, couplings, grid.periodic)
        assert packed is not None
        diagonal, z = medium_level(packed, couplings, extents, grid.periodic[2], relaxation)
        diagonals.append(diagonal)
        z_couplings.append(z)
        faces.append(packed.faces)
        if l + 1 < len(levels):
            packed = coarsen_medium(packed, extents, parents, shares)
    return Hierarchy(
        grid=grid,
        levels=levels,
        transfers=transfers,
        axes=[_pack_axes(axes, moves) for axes, moves in zip(levels, transfers, strict=True)],
        maps=[_pack_maps(_every_row(axes), moves) for axes, moves in zip(levels, transfers, strict=True)],
        diagonals=diagonals,
        z_couplings=z_couplings,
        faces=faces,
        symmetric=symmetric,
    )


def _face_couplings(axes: Axes) -> Tensor:
    return _float32(np.concatenate([c for axis in axes for c in axis.face_couplings()]))


def _parents_and_shares(moves: Transfers) -> tuple[Tensor, Tensor]:
    parents = np.concatenate([move.parent for move in moves])
    return torch.from_numpy(parents), _float32(np.concatenate([move.share for move in moves]))


def _levels(grid: Grid, constant: bool) -> tuple[list[Axes], list[Transfers]]:
    """The levels, and the transfer from each to the next, that of the last being to itself."""
    levels = coarsening(grid.axes)
    transfers = []
    for fine, coarse in zip(levels, levels[1:] + levels[-1:], strict=True):
        x, y, z = (transfer(a, b, constant) for a, b in zip(fine, coarse, strict=True))
        transfers.append((x, y, z))
    return levels, transfers


def _every_row(axes: Axes) -> tuple[Indices, Indices]:
    nx, ny = axes[0].extent, axes[1].extent
    return np.arange(nx, dtype=np.int32) * ny, np.arange(ny, dtype=np.int32)


def _pack_axes(axes: Axes, moves: Transfers) -> Tensor:
    arrays: list[Array] = []
    for axis, move in zip(axes[:2], moves[:2], strict=True):
        arrays += [*axis.off_diagonals(), move.share, move.own, move.next, axis.widths / axis.widths.max()]
    z, move = axes[2], moves[2]
    rows = np.stack([move.share, move.own, move.next, z.widths / z.widths.max()])
    packed = split_rows_definition(_float32(rows)).flatten()
    return torch.cat([_float32(np.concatenate(arrays)), packed, torch.tensor([_relaxation(axes)])])


def _pack_maps(rows: tuple[Indices, Indices], moves: Transfers) -> Tensor:
    arrays: list[Indices] = [*rows]
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


def _relaxation(axes: Axes) -> float:
    return RELAXATION[sum(axis.extent > 1 for axis in axes)]


def _box_z_couplings(z: Axis) -> Tensor:
    lower, upper = (_float32(values)[None] for values in z.off_diagonals())
    return _near_and_far(lower, upper)


def _near_and_far(lower: Tensor, upper: Tensor) -> Tensor:
    """[2, rows, 2 half]: the coupling of a cell to its neighbour with the same index in the other half, which is the
    upper one for even cells, and to the other neighbour.
    """
    even = torch.arange(lower.shape[-1]) % 2 == 0
    return split_rows_definition(torch.stack([torch.where(even, upper, lower), torch.where(even, lower, upper)]))


def _box_diagonals(axes: Axes, alpha: float) -> tuple[tuple[Indices, Indices], Tensor]:
    """Row indices and the diagonals of the rows that differ."""
    dx, dy, dz = (np.add(*axis.face_couplings()) for axis in axes)
    kinds_x, row_x = np.unique(dx, return_inverse=True)
    kinds_y, row_y = np.unique(dy, return_inverse=True)
    rows = (kinds_x[:, None, None] + kinds_y[None, :, None] + (dz + alpha)).reshape(-1, len(dz))
    indices = ((row_x * len(kinds_y)).astype(np.int32), row_y.astype(np.int32))
    return indices, _diagonal_pair(_float32(rows), _relaxation(axes))


def _diagonal_pair(rows: Tensor, relaxation: float) -> Tensor:
    """[2, rows, 2 half]: the diagonal, and the relaxation over it, 0 where there is no unknown."""
    split = split_rows_definition(rows)
    return torch.stack([split, torch.where(split > 0, relaxation / split, 0)])


def _float32(values: Array) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
