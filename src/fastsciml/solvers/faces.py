"""Open faces between fluid cells: of the mask itself, and their open fractions on coarser levels."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsciml.solvers.grid import Axis

# Faces of one level per axis: an array with one more entry than cells along that axis, face i being the lower one of
# cell i.
Faces = tuple[Tensor, Tensor, Tensor]
FLUID_BIT = 6


def open_faces(fluid: Tensor, periodic: tuple[bool, bool, bool]) -> Faces:
    """Where both cells of a face are fluid; a face at a non-periodic end is open if its one cell is.

    Args:
        fluid: bool [nx, ny, nz].
        periodic: per axis.
    """
    x, y, z = (_open_along(fluid, axis, periodic[axis]) for axis in range(3))
    return x, y, z


def _open_along(fluid: Tensor, axis: int, periodic: bool) -> Tensor:
    first, last = fluid.narrow(axis, 0, 1), fluid.narrow(axis, fluid.shape[axis] - 1, 1)
    inner = fluid.narrow(axis, 0, fluid.shape[axis] - 1) & fluid.narrow(axis, 1, fluid.shape[axis] - 1)
    ends = (first & last, first & last) if periodic else (first, last)
    return torch.cat([ends[0], inner, ends[1]], dim=axis)


def pack_faces(fluid: Tensor, faces: Faces) -> Tensor:
    """One byte a cell: bits 0 to 5 its lower and upper faces along x, y, z, bit 6 the cell itself."""
    packed = fluid.to(torch.uint8) << FLUID_BIT
    for axis, open_along in enumerate(faces):
        n = fluid.shape[axis]
        for upper in (0, 1):
            bit = open_along.narrow(axis, upper, n) & fluid
            packed |= bit.to(torch.uint8) << (2 * axis + upper)
    return packed


def coarsen_faces(faces: Faces, fine: tuple[Axis, Axis, Axis], coarse: tuple[Axis, Axis, Axis]) -> Faces:
    """The open fraction of each coarse face: the mean of the fine faces it is made of, by area."""
    x, y, z = (_coarsen_along(faces[axis], axis, fine, coarse) for axis in range(3))
    return x, y, z


def coarsen_cells(cells: Tensor, fine: tuple[Axis, Axis, Axis], coarse: tuple[Axis, Axis, Axis]) -> Tensor:
    """The mean over each coarse cell, by volume."""
    for axis in range(3):
        if coarse[axis].extent < fine[axis].extent:
            cells = _sum_pairs(cells, axis, fine[axis], coarse[axis])
    return cells


def _coarsen_along(faces: Tensor, axis: int, fine: tuple[Axis, Axis, Axis], coarse: tuple[Axis, Axis, Axis]) -> Tensor:
    if coarse[axis].extent < fine[axis].extent:
        kept = torch.arange(coarse[axis].extent + 1) * 2
        faces = faces.index_select(axis, kept.clamp(max=fine[axis].extent))
    faces = faces.to(torch.float32)
    for across in range(3):
        if across != axis and coarse[across].extent < fine[across].extent:
            faces = _sum_pairs(faces, across, fine[across], coarse[across])
    return faces


def _sum_pairs(faces: Tensor, axis: int, fine: Axis, coarse: Axis) -> Tensor:
    """Sum of share * faces over each coarse cell's one or two cells along the axis."""
    share = torch.from_numpy(fine.share_of(coarse)).to(torch.float32)
    shape = [1, 1, 1]
    shape[axis] = -1

    def part(start: int) -> Tensor:
        cells = torch.arange(start, fine.extent, 2)
        return faces.index_select(axis, cells) * share[cells].reshape(shape)

    even, odd = part(0), part(1)
    even.narrow(axis, 0, odd.shape[axis]).add_(odd)
    return even
