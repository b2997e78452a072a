"""A coefficient at the faces of a grid from one at its cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastsciml.ops.packed_medium import Faces, along, sides


def face_coefficients_definition(cells: Tensor, widths: Tensor, periodic: Sequence[int]) -> Faces:
    """Face = (w_a + w_b) / (w_a / k_a + w_b / k_b), the two halves in series; that of an end, its one cell's k."""
    faces = []
    for axis, width in enumerate(torch.split_with_sizes(widths, list(cells.shape))):
        w_a, w_b = (along(side, axis) for side in sides(width, 0, bool(periodic[axis])))
        k_a, k_b = sides(cells, axis, bool(periodic[axis]))
        faces.append((w_a + w_b) / (w_a / k_a + w_b / k_b))
    return faces[0], faces[1], faces[2]


def face_coefficients(cells: Tensor, widths: Tensor, periodic: Sequence[int]) -> Faces:
    """The harmonic mean by widths, so that flow and resistance are those of two halves in series.

    Differentiable in cells, to any order.

    Args:
        cells: float32 or float64 [nx, ny, nz], contiguous, positive.
        widths: cells' dtype [nx + ny + nz], along x, then y, then z.
        periodic: three flags. The faces at other ends have their one cell's coefficient.

    Returns:
        Across x, y and z, cells' shape with one more entry along the axis; face i is the lower one of cell i.

    Raises:
        RuntimeError: a shape, dtype or memory layout does not fit; the sentence names the tensor.
    """
    x, y, z = torch.ops.fastsciml.face_coefficients(cells, widths, periodic)
    return x, y, z


@torch.library.register_fake("fastsciml::face_coefficients")  # type: ignore[untyped-decorator]
def _fake(cells: Tensor, widths: Tensor, periodic: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    nx, ny, nz = cells.shape
    return cells.new_empty(nx + 1, ny, nz), cells.new_empty(nx, ny + 1, nz), cells.new_empty(nx, ny, nz + 1)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, list[int]], output: Faces) -> None:
    cells, widths, ctx.periodic = inputs
    ctx.save_for_backward(cells, widths)


def _backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
    """D face / d k_a = w_a / (w_a + w_b) * (face / k_a)^2. The faces are made anew, differentiably."""
    cells, widths = ctx.saved_tensors
    faces = face_coefficients(cells, widths, ctx.periodic)
    total = torch.zeros_like(cells)
    for axis, width in enumerate(torch.split_with_sizes(widths, list(cells.shape))):
        grad, n = grads[axis], cells.shape[axis]
        w_a, w_b = sides(width, 0, bool(ctx.periodic[axis]))
        share_a, share_b = w_a / (w_a + w_b), w_b / (w_a + w_b)
        if ctx.periodic[axis]:
            # The faces at both ends are the seam's.
            seam = grad.narrow(axis, 0, 1) + grad.narrow(axis, n, 1)
            grad = torch.cat([seam, grad.narrow(axis, 1, n - 1), seam], axis)
        else:
            share_a[-1] = share_b[0] = 1.0
        for face, share in ((0, share_b), (1, share_a)):
            slope = along(share.narrow(0, face, n), axis) * (faces[axis].narrow(axis, face, n) / cells) ** 2
            total = total + grad.narrow(axis, face, n) * slope
    return total, None, None


torch.library.register_autograd("fastsciml::face_coefficients", _backward, setup_context=_save)
