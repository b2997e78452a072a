"""What fills the grid: which cells hold unknowns and how well their faces conduct."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fastsciml.ops.packed_medium import Faces, along, sides
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
        faces: float32 or float64, what each face conducts per unit of its coupling, 0 where it is closed. Those between
            an unknown and a fixed cell are open.
        reaction: faces' dtype [nx, ny, nz], what stands on the diagonal beside the faces, or None.
    """

    unknown: Tensor
    faces: Faces
    reaction: Tensor | None = None


def open_faces(passable: Tensor, periodic: tuple[bool, bool, bool]) -> Faces:
    """Where both cells of a face are passable; a face at a non-periodic end is open if its one cell is.

    Args:
        passable: bool [nx, ny, nz].
        periodic: per axis.
    """
    x, y, z = (torch.logical_and(*sides(passable, axis, periodic[axis])) for axis in range(3))
    return x, y, z


def face_coefficients(cells: Tensor, axes: Axes) -> Faces:
    """A coefficient given at the unknowns, at the faces between them: the harmonic mean by widths, so that flow and
    resistance are those of the two halves in series. Faces at the ends have their one cell's. Differentiable.
    """
    x, y, z = (
        _harmonic(cells, a, torch.from_numpy(axis.widths).to(cells), axis.periodic) for a, axis in enumerate(axes)
    )
    return x, y, z


def _harmonic(cells: Tensor, axis: int, widths: Tensor, periodic: bool) -> Tensor:
    n = cells.shape[axis]
    w = along(widths, axis)
    resistance = w / cells
    inner = (w.narrow(axis, 0, n - 1) + w.narrow(axis, 1, n - 1)) / (
        resistance.narrow(axis, 0, n - 1) + resistance.narrow(axis, 1, n - 1)
    )
    first, last = cells.narrow(axis, 0, 1), cells.narrow(axis, n - 1, 1)
    if periodic:
        seam = (widths[0] + widths[-1]) / (resistance.narrow(axis, 0, 1) + resistance.narrow(axis, n - 1, 1))
        first = last = seam
    return torch.cat([first, inner, last], dim=axis)
