"""Boxes of one medium solved directly, by the transforms that diagonalise their axes."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from fastsciml.ops.fast_poisson import Transform, axis_eigenvalues, fast_poisson, is_fast
from fastsciml.solvers.boundary import KindPair
from fastsciml.solvers.discretisation import Discretisation
from fastsciml.solvers.grid import Centering, Spacing
from fastsciml.solvers.iteration import Watch, Work
from fastsciml.solvers.result import StopReason

TRANSFORMS = {
    ("cell", "dirichlet", "dirichlet"): Transform.DIRICHLET,
    ("cell", "neumann", "neumann"): Transform.NEUMANN,
    ("cell", "dirichlet", "neumann"): Transform.DIRICHLET_NEUMANN,
    ("cell", "neumann", "dirichlet"): Transform.NEUMANN_DIRICHLET,
    ("vertex", "dirichlet", "dirichlet"): Transform.VERTEX_DIRICHLET,
    ("vertex", "neumann", "neumann"): Transform.VERTEX_NEUMANN,
    ("vertex", "dirichlet", "neumann"): Transform.VERTEX_DIRICHLET_NEUMANN,
    ("vertex", "neumann", "dirichlet"): Transform.VERTEX_NEUMANN_DIRICHLET,
    ("cell", "periodic", "periodic"): Transform.PERIODIC,
    ("vertex", "periodic", "periodic"): Transform.PERIODIC,
}
# A direct solve whose residual is above the tolerance solves for what is left, so many times at most.
REFINEMENTS = 3


def transforms_of(
    spacing: Sequence[Spacing], kinds: Sequence[KindPair], centering: Centering
) -> list[Transform] | None:
    """One per axis, or None where some axis has none: a stretched one, or one with a Robin end."""
    found = []
    for h, (lower, upper) in zip(spacing, kinds, strict=True):
        if np.ndim(h) or isinstance(lower, tuple) or isinstance(upper, tuple):
            return None
        found.append(TRANSFORMS[centering, lower, upper])
    return found


def all_fast(shape: Sequence[int], transforms: Sequence[Transform]) -> bool:
    """Whether every axis has a length that its transform takes quickly."""
    return all(is_fast(n, transform) for n, transform in zip(shape, transforms, strict=True))


class Direct:
    """The direct solver of one discretisation; `solve` as `Iteration` has it."""

    def __init__(self, sample: Discretisation, transforms: Sequence[Transform], spacing: Sequence[float]) -> None:
        self.operator = sample.placed.operator
        self.work = Work()
        flat = [Transform.NEUMANN] * (3 - len(transforms))
        first, last = list(transforms[:-1]), transforms[-1]
        self.transforms = [*first, *flat, last]
        widths = [*spacing[:-1], *[1.0] * len(flat), spacing[-1]]
        dtype, device = self.operator.couplings.dtype, self.operator.couplings.device
        self.eigenvalues = [
            axis_eigenvalues(n, h, transform, dtype, device)
            for n, h, transform in zip(sample.grid.extents, widths, self.transforms, strict=True)
        ]
        self.alpha = 0.0 if sample.operator.alpha is None else float(sample.operator.alpha)

    @property
    def bytes_moved(self) -> int:
        """Three passes of the transforms that read and write, and one that reads for the residual."""
        cells = int(np.prod([len(e) for e in self.eigenvalues])) * self.operator.couplings.element_size()
        return cells * (6 * self.work.cycles + 2 * self.work.steps)

    def solve(
        self, f: Tensor, u: Tensor, norm: float, tol: float, max_iterations: int, watch: Watch, *, from_zero: bool
    ) -> tuple[Tensor, list[float], StopReason]:
        """A^-1 f, and once more for what is left while the true residual is above the tolerance."""
        history = [1.0 if from_zero else self._residual(u, f) / norm]
        while history[-1] > tol:
            if len(history) > max_iterations:
                return u, history, StopReason.MAX_ITERATIONS
            if len(history) > REFINEMENTS or (len(history) > 2 and history[-1] > history[-2] / 2):
                return u, history, StopReason.ROUNDING
            start = perf_counter()
            if len(history) == 1 and from_zero:
                u = fast_poisson(f[None], self.transforms, self.eigenvalues, self.alpha)[0]
            else:
                left = torch.sub(f, self.operator(u[None])[0])
                u.add_(fast_poisson(left[None], self.transforms, self.eigenvalues, self.alpha)[0])
            self.work.cycles += 1
            self.work.cycle_seconds += perf_counter() - start
            history.append(self._residual(u, f) / norm)
            watch(len(history) - 1, history[-1], u)
        return u, history, StopReason.CONVERGED

    def _residual(self, u: Tensor, f: Tensor) -> float:
        start = perf_counter()
        norm = self.operator.residual_norm(u, f)
        self.work.steps += 1
        self.work.step_seconds += perf_counter() - start
        return norm
