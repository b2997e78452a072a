"""What fills the boxes of a batch, from what the caller gave for all of it: one `Fill` per sample."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from fastsciml.solvers.discretisation import Fill
from fastsciml.solvers.grid import Grid
from fastsciml.solvers.medium import face_coefficients


@dataclass(frozen=True)
class Batch:
    """Samples that have media of their own, or one sample for all right-hand sides.

    Attributes:
        shape: unknowns per given axis.
        leading: of the batch, () for one sample.
        grid: of each, on three axes.
    """

    shape: tuple[int, ...]
    leading: tuple[int, ...]
    grid: Grid

    def fills(
        self,
        solid: Tensor | None,
        fixed: Tensor | None,
        coefficient: Tensor | list[Tensor] | None,
        alpha: Tensor | None,
    ) -> list[Fill]:
        """One per sample; faces and alpha carry gradients."""
        count = prod(self.leading)
        fixed = fixed if fixed is None or solid is None else fixed & ~solid
        solids, fixeds = (self._spread(mask) for mask in (solid, fixed))
        alphas = self._spread(alpha) if alpha is not None and alpha.numel() > 1 else [alpha] * count
        if isinstance(coefficient, list):
            faces: list[Any] = self._spread_faces(coefficient)
        else:
            cells = self._spread(coefficient)
            faces = [None if k is None else [*face_coefficients(k, self.grid.axes)] for k in cells]
        return [Fill(*of) for of in zip(solids, fixeds, faces, alphas, strict=True)]

    def _spread(self, tensor: Tensor | None) -> list[Any]:
        count = prod(self.leading)
        if tensor is None:
            return [None] * count
        samples = tensor.expand(*self.leading, *self.shape).reshape(count, *self.grid.extents)
        return [sample.contiguous() for sample in samples]

    def _spread_faces(self, faces: list[Tensor]) -> list[list[Tensor]]:
        count, along = prod(self.leading), places(len(self.shape))
        spread = []
        for axis in range(3):
            extents = [n + (a == axis) for a, n in enumerate(self.grid.extents)]
            if axis in along:
                given = along.index(axis)
                own = [n + (a == given) for a, n in enumerate(self.shape)]
                spread.append(faces[given].expand(*self.leading, *own).reshape(count, *extents))
            else:
                spread.append(torch.ones(count, *extents, dtype=faces[0].dtype))
        return [[face[number].contiguous() for face in spread] for number in range(count)]


def places(dims: int) -> tuple[int, ...]:
    """Where the given axes stand among the kernels' three."""
    return {1: (2,), 2: (0, 2), 3: (0, 1, 2)}[dims]
