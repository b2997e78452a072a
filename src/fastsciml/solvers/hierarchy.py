"""The multigrid hierarchy of a Poisson problem: the levels as the tensors the kernels read."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch import Tensor

from fastsciml.ops.split_rows import half_of, split_rows_definition
from fastsciml.solvers.faces import Faces, coarsen_cells, coarsen_faces
from fastsciml.solvers.grid import Array, Axis, Grid
from fastsciml.solvers.level import LevelDefinition

Axes = tuple[Axis, Axis, Axis]

# Sweeps before and after the coarse correction, and the over-relaxation for 1, 2 and 3 coupled axes. Measured: with
# two sweeps the optimum is flat, and the red-first order on both sides converges better than the symmetric one.
SWEEPS = 2
RELAXATION = {0: 1.0, 1: 1.0, 2: 1.2, 3: 1.25}
# An axis is coarsened while its coupling is at least this share of the strongest one: point smoothing handles the
# rest.
STRONG_COUPLING = 0.3


def coarsening(axes: Axes) -> list[Axes]:
    """Levels of axes down to a single cell, finest first; weakly coupled axes wait until the others have caught
    up.
    """
    levels = [axes]
    while any(axis.extent > 1 for axis in levels[-1]):
        strength = [_coupling(axis) if axis.extent > 1 else 0.0 for axis in levels[-1]]
        strong = [s > 0 and s >= STRONG_COUPLING * max(strength) for s in strength]
        x, y, z = (a.coarsened() if s else a for a, s in zip(levels[-1], strong, strict=True))
        levels.append((x, y, z))
    return levels


def _coupling(axis: Axis) -> float:
    """Of most cells: a narrow last one, left unmerged, does not speak for its axis."""
    return 1.0 / median(axis.widths) ** 2


@dataclass(frozen=True)
class Hierarchy:
    """Every level's operator and transfers; csrc/multigrid/operators.h documents the layouts."""

    grid: Grid
    levels: list[Axes]
    axes: list[Tensor]
    row_indices: list[Tensor]
    diagonals: list[Tensor]
    z_couplings: list[Tensor]
    openness: list[Tensor]
    sweeps: int = SWEEPS

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
        lists = (self.axes, self.row_indices, self.diagonals, self.z_couplings, self.openness)
        return sum(t.numel() * t.element_size() for tensors in lists for t in tensors)

    def level(self, l: int, dtype: torch.dtype) -> LevelDefinition:
        """Level l as plain arrays without padding, for definitions and tests."""
        return LevelDefinition.unpacked(self, l, dtype)


def box_hierarchy(grid: Grid, alpha: float = 0.0) -> Hierarchy:
    """The hierarchy of a box without solid cells: everything is a product of one-dimensional arrays."""
    levels = coarsening(grid.axes)
    parts = [_box_diagonals(axes, alpha) for axes in levels]
    return Hierarchy(
        grid=grid,
        levels=levels,
        axes=[_pack_axes(fine, coarse) for fine, coarse in _with_coarse(levels)],
        row_indices=[rows for rows, _ in parts],
        diagonals=[diagonals for _, diagonals in parts],
        z_couplings=[_z_couplings(axes[2]) for axes in levels],
        openness=[torch.empty(0) for _ in levels],
    )


def masked_hierarchy(grid: Grid, fluid: Tensor, faces: Faces, alpha: float = 0.0) -> Hierarchy:
    """The hierarchy of a box with solid cells, given the fluid cells and open faces of its finest level.

    A coarse face conducts in proportion to its open fraction, and alpha counts in proportion to the
    fluid in a cell. The finest level needs no fractions: a solid neighbour is 0 there, and the diagonal counts open
    faces only.
    """
    levels = coarsening(grid.axes)
    diagonals, z_couplings, openness = [], [], []
    volume = fluid.to(torch.float32)
    for l, (fine, coarse) in enumerate(_with_coarse(levels)):
        diagonals.append(diagonal_pair(_masked_diagonal(fine, faces, alpha * volume), _relaxation(fine)))
        z_couplings.append(_z_couplings(fine[2]) if l == 0 else _open_z_couplings(fine[2], faces[2]))
        openness.append(torch.empty(0) if l == 0 else _openness(fine, faces))
        faces, volume = coarsen_faces(faces, fine, coarse), coarsen_cells(volume, fine, coarse)
    return Hierarchy(
        grid=grid,
        levels=levels,
        axes=[_pack_axes(fine, coarse) for fine, coarse in _with_coarse(levels)],
        row_indices=[_every_row(axes) for axes in levels],
        diagonals=diagonals,
        z_couplings=z_couplings,
        openness=openness,
    )


def _every_row(axes: Axes) -> Tensor:
    nx, ny = axes[0].extent, axes[1].extent
    return torch.cat([torch.arange(nx) * ny, torch.arange(ny)]).to(torch.int32)


def _along(values: Array, axis: int) -> Tensor:
    shape = [1, 1, 1]
    shape[axis] = -1
    return _float32(values).reshape(shape)


def _masked_diagonal(axes: Axes, faces: Faces, alpha: Tensor) -> Tensor:
    diagonal = alpha.clone()
    for a, (axis, open_along) in enumerate(zip(axes, faces, strict=True)):
        for upper, coupling in enumerate(axis.face_couplings()):
            diagonal += open_along.narrow(a, upper, axis.extent) * _along(coupling, a)
    return diagonal.flatten(0, 1)


def _open_z_couplings(z: Axis, open_z: Tensor) -> Tensor:
    rows = [open_z.narrow(2, upper, z.extent) * _along(coupling, 2) for upper, coupling in enumerate(z.off_diagonals())]
    return _near_and_far(*(row.flatten(0, 1) for row in rows))


def _openness(axes: Axes, faces: Faces) -> Tensor:
    upper = [faces[a].narrow(a, 1, axes[a].extent) for a in (0, 1)]
    return split_rows_definition(torch.stack(upper))


def _with_coarse(levels: list[Axes]) -> list[tuple[Axes, Axes]]:
    return list(zip(levels, levels[1:] + levels[-1:], strict=True))


def _pack_axes(fine: Axes, coarse: Axes) -> Tensor:
    arrays: list[Array] = []
    for axis, wider in zip(fine[:2], coarse[:2], strict=True):
        arrays += [*axis.off_diagonals(), axis.share_of(wider), *axis.interpolation_from(wider)]
    z, wider = fine[2], coarse[2]
    transfers = np.stack([z.share_of(wider), *z.interpolation_from(wider)])
    rows = split_rows_definition(_float32(transfers)).flatten()
    return torch.cat([_float32(np.concatenate(arrays)), rows, torch.tensor([_relaxation(fine)])])


def _relaxation(axes: Axes) -> float:
    return RELAXATION[sum(axis.extent > 1 for axis in axes)]


def _z_couplings(z: Axis) -> Tensor:
    lower, upper = (_float32(values)[None] for values in z.off_diagonals())
    return _near_and_far(lower, upper)


def _near_and_far(lower: Tensor, upper: Tensor) -> Tensor:
    """[2, rows, 2 half]: the coupling of a cell to its neighbour with the same index in the other half, which is the
    upper one for even cells, and to the other neighbour.
    """
    even = torch.arange(lower.shape[-1]) % 2 == 0
    return split_rows_definition(torch.stack([torch.where(even, upper, lower), torch.where(even, lower, upper)]))


def _box_diagonals(axes: Axes, alpha: float) -> tuple[Tensor, Tensor]:
    """Row indices and the diagonals of the rows that differ."""
    dx, dy, dz = (np.add(*axis.face_couplings()) for axis in axes)
    kinds_x, row_x = np.unique(dx, return_inverse=True)
    kinds_y, row_y = np.unique(dy, return_inverse=True)
    rows = (kinds_x[:, None, None] + kinds_y[None, :, None] + (dz + alpha)).reshape(-1, len(dz))
    indices = np.concatenate([row_x * len(kinds_y), row_y]).astype(np.int32)
    return torch.from_numpy(indices), diagonal_pair(_float32(rows), _relaxation(axes))


def diagonal_pair(rows: Tensor, relaxation: float) -> Tensor:
    """[2, rows, 2 half]: the diagonal, and the relaxation over it, 0 where there is no unknown."""
    split = split_rows_definition(rows)
    return torch.stack([split, torch.where(split > 0, relaxation / split, 0)])


def _float32(values: Array) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
