"""Rows in halves, the order in which the multigrid kernels keep float32 arrays (csrc/multigrid/level.h)."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsciml.ops.pages import empty_in_huge_pages

# Halves of rows are padded to this many floats (kRowUnit in csrc/multigrid/level.h).
ROW_UNIT = 16


def half_of(extent: int) -> int:
    """Floats of half a row of so many cells."""
    return -(-((extent + 1) // 2) // ROW_UNIT) * ROW_UNIT


def split_rows_definition(rows: Tensor) -> Tensor:
    """[..., n] -> [..., 2 half]: the even entries, then the odd ones, each padded with zeros to `half_of(n)`."""
    half = half_of(rows.shape[-1])
    halves = rows.new_zeros(*rows.shape[:-1], 2, half)
    for parity in (0, 1):
        cells = rows[..., parity::2]
        halves[..., parity, : cells.shape[-1]] = cells
    return halves.flatten(-2)


def split_rows(rows: Tensor, scale: float = 1.0, out: Tensor | None = None) -> Tensor:
    """Scale * rows as float32, each row in halves.

    Args:
        rows: float32 or float64 [nx, ny, n], contiguous.
        scale: factor applied in rows's dtype.
        out: float32 [nx, ny, 2 half], where to write the result; None: fresh memory.

    Returns:
        float32 [nx, ny, 2 half].

    Raises:
        RuntimeError: rows or out has another dtype, shape or memory layout.
    """
    if out is None:
        shape = (*rows.shape[:-1], 2 * half_of(rows.shape[-1]))
        out = torch.empty(shape, device=rows.device) if rows.is_cuda else empty_in_huge_pages(*shape)
    torch.ops.fastsciml.split_rows_into(rows, scale, out)
    return out


def join_rows(rows: Tensor, extent: int) -> Tensor:
    """The inverse of splitting: [..., 2 half] -> [..., extent].

    Args:
        rows: any dtype, in halves, as `split_rows` gives them.
        extent: entries of a whole row.

    Returns:
        Whole rows, of the same dtype.
    """
    return rows.reshape(*rows.shape[:-1], 2, -1).transpose(-1, -2).flatten(-2)[..., :extent]


@torch.library.register_fake("fastsciml::split_rows_into")  # type: ignore[untyped-decorator]
def _fake(rows: Tensor, scale: float, out: Tensor) -> None:
    return None
