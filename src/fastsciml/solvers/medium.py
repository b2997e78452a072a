"""What fills the grid: which cells hold unknowns and how well their faces conduct."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fastsciml.ops.face_coefficients import face_coefficients as between_cells
from fastsciml.ops.packed_medium import Faces, sides
from fastsciml.solvers.coarsening import Axes


@dataclass(frozen=True, eq=False)
class UniformMedium:
    """A medium that conducts the same, 1, through every open face.

    Attributes:
        bits: uint8 [nx, ny, nz] of `pack_faces`.
        fixed: whether open faces may lead to fixed cells.
        alpha: what stands on the diagonal of every unknown beside the faces.
        reaction: float32 [nx, ny, nz], likewise, or None.
    """

    bits: Tensor
    fixed: bool = False
    alpha: float = 0.0
    reaction: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Medium:
    """A medium whose faces differ.

    Attributes:
        unknown: bool [nx, ny, nz], where there is an unknown.
        faces: float32 or float64, what each face conducts per unit of its coupling, 0 where it is closed.
        reaction: faces' dtype [nx, ny, nz], what stands on the diagonal beside the faces, or None.
        passable: bool [nx, ny, nz], unknowns and fixed cells: no face of another cell conducts. None: every cell.
    """

    unknown: Tensor
    faces: Faces
    reaction: Tensor | None = None
    passable: Tensor | None = None


def open_faces(passable: Tensor, periodic: tuple[bool, bool, bool]) -> Faces:
    """Where both cells of a face are passable; a face at a non-periodic end is open if its one cell is.

    Args:
        passable: bool [nx, ny, nz].
        periodic: per axis.
    """
    x, y, z = (torch.logical_and(*sides(passable, axis, periodic[axis])) for axis in range(3))
    return x, y, z


def face_coefficients(cells: Tensor, axes: Axes) -> Faces:
    """A coefficient given at the unknowns, at the faces between them. Differentiable."""
    widths = torch.from_numpy(np.concatenate([axis.widths for axis in axes]))
    return between_cells(cells.contiguous(), widths.to(cells.dtype), [int(axis.periodic) for axis in axes])
