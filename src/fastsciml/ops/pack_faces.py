"""A mask as the kernels read it: one byte a cell."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Bits 0 to 5: the cell's lower and upper face along x, y, z is open; bit 6: it holds an unknown.
UNKNOWN_BIT = 6


def pack_faces_definition(unknown: Tensor, passable: Tensor | None, periodic: Sequence[int]) -> Tensor:
    """A face is open if both its cells are passable; past a non-periodic end every cell is."""
    passable = unknown if passable is None else passable
    packed = unknown.to(torch.uint8) << UNKNOWN_BIT
    for axis, n in enumerate(unknown.shape):
        for upper in (0, 1):
            neighbour = passable.roll(-1 if upper else 1, axis)
            if not periodic[axis]:
                neighbour.select(axis, n - 1 if upper else 0).fill_(True)
            packed |= (unknown & neighbour).to(torch.uint8) << (2 * axis + upper)
    return packed


def pack_faces(unknown: Tensor, passable: Tensor | None, periodic: Sequence[int]) -> Tensor:
    """One byte a cell: bits 0 to 5 its open lower and upper faces along x, y, z, bit 6 whether it holds an unknown.

    A cell without an unknown has the byte 0.

    Args:
        unknown: bool [nx, ny, nz], contiguous.
        passable: likewise: cells whose faces are open, unknowns and fixed ones. None: unknowns only.
        periodic: three flags.

    Returns:
        uint8 [nx, ny, nz].

    Raises:
        RuntimeError: a mask has another dtype, shape or memory layout.
    """
    out: Tensor = torch.ops.fastsciml.pack_faces(unknown, passable, periodic)
    return out


@torch.library.register_fake("fastsciml::pack_faces")  # type: ignore[untyped-decorator]
def _fake(unknown: Tensor, passable: Tensor | None, periodic: list[int]) -> Tensor:
    return torch.empty_like(unknown, dtype=torch.uint8)
