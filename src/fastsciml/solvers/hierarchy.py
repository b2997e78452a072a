"""The multigrid hierarchy of a Poisson problem: the levels as the tensors the kernels read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from fastsciml.ops.mask_medium import coarsen_mask, mask_diagonals
from fastsciml.ops.packed_medium import coarsen_medium, diagonal_pair, medium_level, split_medium
from fastsciml.ops.split_rows import half_of
from fastsciml.solvers.coarsening import Axes
from fastsciml.solvers.geometry import LevelGeometry, Transfers, float32, level_geometry
from fastsciml.solvers.grid import Grid
from fastsciml.solvers.level import LevelDefinition
from fastsciml.solvers.medium import Medium, UniformMedium
from fastsciml.solvers.schedule import Schedule, built_in_schedule

# Sweeps before and after the coarse correction. Measured: with two, the optimum of the over-relaxation is flat, and the
# red-first order on both sides converges better than the symmetric one.
SWEEPS = 2

# The diagonals of boxes are kept where no more rows than these differ: on a uniform grid, 9 do.
BOX_ROWS_KEPT = 64


@dataclass(frozen=True)
class Hierarchy:
    """Every level's operator and transfers; csrc/multigrid/tensors.h documents the layouts. `learned` takes the place
    of the built-in schedule.
    """

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
    around_solid: bool = False
    learned: Schedule | None = None
    _definitions: dict[tuple[int, torch.dtype], LevelDefinition] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    @property
    def schedule(self) -> Schedule:
        """How its cycles sweep."""
        return self.learned or built_in_schedule(self.sweeps, self.symmetric, self.faces[0].numel() > 0)

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

    def to(self, device: torch.device) -> Hierarchy:
        """The same with its tensors on a device."""
        lists = (self.axes, self.maps, self.diagonals, self.z_couplings, self.faces)
        axes, maps, diagonals, z_couplings, faces = ([tensor.to(device) for tensor in each] for each in lists)
        return replace(self, axes=axes, maps=maps, diagonals=diagonals, z_couplings=z_couplings, faces=faces)

    def stored_rows(self, l: int) -> Tensor:
        """Int32 [nx, ny], where each row of level l stands in the level's diagonals."""
        x, y, _ = self.levels[l]
        stored = self.maps[l][: x.extent * y.extent].reshape(x.extent, y.extent)
        return torch.where(stored < 0, ~stored, stored)

    def level(self, l: int, dtype: torch.dtype) -> LevelDefinition:
        """Level l as plain arrays without padding, for definitions and tests."""
        if (l, dtype) not in self._definitions:
            self._definitions[l, dtype] = LevelDefinition.unpacked(self, l, dtype)
        return self._definitions[l, dtype]


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
    levels = level_geometry(grid, constant=False)
    parts = [_box_level(level, alpha) for level in levels]
    return _hierarchy(
        grid,
        levels,
        maps=[maps for maps, _ in parts],
        diagonals=[diagonals for _, diagonals in parts],
        z_couplings=[level.z_couplings for level in levels],
        faces=[torch.empty(0) for _ in levels],
        symmetric=symmetric,
    )


def medium_hierarchy(grid: Grid, medium: UniformMedium | Medium, symmetric: bool = False) -> Hierarchy:
    """The hierarchy of a box with a medium in it.

    The finest level of a uniform medium needs no factors: a neighbour without an unknown is 0 there, and the diagonal
    counts open faces only. Where no cell is fixed, corrections are interpolated around the solid ones
    (csrc/multigrid/guess.h). Prolongation in any other medium is piecewise constant, which jumps of the coefficient
    leave unharmed: across a ball of a million times the conductivity linear interpolation took 32 iterations where it
    took 10.

    Args:
        grid: of the finest level.
        medium: likewise.
        symmetric: as in `box_hierarchy`.
    """
    levels = level_geometry(grid, constant=not isinstance(medium, UniformMedium))
    finest = levels[0]
    diagonals, z_couplings, faces, maps = [], [], [], []
    if isinstance(medium, UniformMedium):
        content = (medium.bits, finest.couplings, medium.reaction, medium.alpha)
        diagonal, stored = mask_diagonals(*content, finest.relaxation)
        diagonals.append(diagonal)
        maps.append(finest.maps(stored))
        z_couplings.append(finest.z_couplings)
        faces.append(torch.empty(0))
        packed = coarsen_mask(*content, medium.fixed, grid.periodic, finest.parents, finest.shares)
    else:
        filled = (medium.faces, medium.unknown, medium.passable, medium.reaction)
        packed = split_medium(*filled, finest.couplings, grid.periodic)
    for level in levels[len(diagonals) :]:
        diagonal, z, stored = medium_level(packed, level.couplings, level.extents, grid.periodic[2], level.relaxation)
        diagonals.append(diagonal)
        maps.append(level.maps(stored))
        z_couplings.append(z)
        faces.append(packed.faces)
        if level is not levels[-1]:
            packed = coarsen_medium(packed, level.extents, level.parents, level.shares)
    return _hierarchy(
        grid,
        levels,
        maps=maps,
        diagonals=diagonals,
        z_couplings=z_couplings,
        faces=faces,
        symmetric=symmetric,
        around_solid=isinstance(medium, UniformMedium) and not medium.fixed,
    )


def _hierarchy(
    grid: Grid,
    levels: list[LevelGeometry],
    maps: list[Tensor],
    diagonals: list[Tensor],
    z_couplings: list[Tensor],
    faces: list[Tensor],
    symmetric: bool,
    around_solid: bool = False,
) -> Hierarchy:
    return Hierarchy(
        grid=grid,
        levels=[level.axes for level in levels],
        transfers=[level.transfers for level in levels],
        axes=[level.packed_axes for level in levels],
        maps=maps,
        diagonals=diagonals,
        z_couplings=z_couplings,
        faces=faces,
        symmetric=symmetric,
        around_solid=around_solid,
    )


def _box_level(level: LevelGeometry, alpha: float) -> tuple[Tensor, Tensor]:
    """The maps of a box's level, and the diagonals of the rows that differ."""
    made = level.boxes.get(alpha)
    if made is not None:
        return made
    dx, dy, dz = (np.add(*axis.face_couplings()) for axis in level.axes)
    kinds_x, row_x = np.unique(dx, return_inverse=True)
    kinds_y, row_y = np.unique(dy, return_inverse=True)
    rows = (kinds_x[:, None, None] + kinds_y[None, :, None] + (dz + alpha)).reshape(-1, len(dz))
    stored = (row_x[:, None] * len(kinds_y) + row_y).astype(np.int32).ravel()
    made = level.maps(torch.from_numpy(stored)), diagonal_pair(float32(rows), level.relaxation)
    if len(rows) <= BOX_ROWS_KEPT:
        level.boxes.clear()
        level.boxes[alpha] = made
    return made
