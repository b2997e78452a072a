"""The matrix A of a `PoissonSolver`, as directions are trained with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastsciml.solvers import PoissonSolver

Flat = NDArray[Any]


class Matrix:
    """A up to a positive factor, symmetric, on the cells that hold unknowns; values elsewhere are 0.

    Args:
        solver: of one problem, with uniform spacing.

    Raises:
        ValueError: the solver is of a batch of problems, or of a grid whose A is not symmetric.
    """

    def __init__(self, solver: PoissonSolver) -> None:
        if len(solver._samples) != 1:
            raise ValueError(f"directions are learned for one problem, and the solver is of {len(solver._samples)}")
        self.solver, sample = solver, solver._samples[0]
        if sample.volumes is not None:
            raise ValueError("directions are learned for uniform spacing between cells: A is not symmetric otherwise")
        self.shape, self.unknowns = solver.shape, sample.unknowns
        self._placed = sample.placed
        unknown = self._placed.unknown
        self.unknown: Tensor | None = None if unknown is None else unknown.reshape(self.shape)

    def __call__(self, u: Tensor) -> Tensor:
        """A u for u [batch, 1, *shape] of the solver's dtype and device; differentiable."""
        extents = self._placed.operator.extents
        return self._placed.operator(u.reshape(len(u), *extents).contiguous()).reshape(u.shape)

    def masked(self, u: Tensor) -> Tensor:
        """U [..., *shape] with zeros where there is no unknown."""
        return u if self.unknown is None else torch.where(self.unknown, u, 0)

    def apply_flat(self, x: Flat) -> Flat:
        """A x for a flat array of the solver's dtype, in A's range: without free constants."""
        u = self(torch.from_numpy(x).reshape(1, 1, *self.shape))
        return self._without_constants(u)

    def restrict_flat(self, x: Flat) -> Flat:
        """A flat array's part on the unknowns, without free constants."""
        return self._without_constants(self.masked(torch.from_numpy(x).reshape(1, 1, *self.shape)).clone())

    def _without_constants(self, u: Tensor) -> Flat:
        self._placed.null_space.project(u.view(self._placed.operator.extents))
        return np.asarray(self.masked(u).reshape(-1).numpy())
