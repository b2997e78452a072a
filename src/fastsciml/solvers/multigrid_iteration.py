"""Multigrid iteration, accelerated by flexible conjugate gradients where a V-cycle alone converges slowly.

A plain iteration adds the V-cycle's correction: u += B r. Its step needs no inner product and no earlier direction,
and on a box it is the fastest. Once one of them lowers the residual by less than ACCELERATE, the iteration keeps its
last direction, makes the next one conjugate to it and searches along it (Notay 2000, truncated to one), which allows
a cycle that is not symmetric and rounded to float32.

Either way the residual is recomputed from the solution in the caller's dtype, so its norm is the true one; directions
are float32. The kernels are those of csrc/multigrid and csrc/directions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, sqrt

import torch
from torch import Tensor

from fastsciml.ops.conjugate_direction import conjugate_direction_step, conjugate_line_search
from fastsciml.ops.huge_pages import empty_in_huge_pages
from fastsciml.ops.multigrid_v_cycle import multigrid_v_cycle, multigrid_workspace
from fastsciml.ops.split_rows import split_rows
from fastsciml.solvers.hierarchy import Hierarchy
from fastsciml.solvers.result import StopReason

Progress = Callable[[int, float], object]

# A plain iteration that leaves more than this share of the residual is the last plain one.
ACCELERATE = 0.04
# An iteration that does not lower the best residual by this factor is one without progress; so many in a row end the
# solve.
PROGRESS = 0.9
PATIENCE = 4
# Where conjugation leaves less than this share of the proposal's energy, the proposal lies along the last direction
# and the rest is float32 rounding: the iteration starts again from the proposal alone.
PARALLEL = 1e-6
# A residual that grows by more than this, once it is down to the square root of the machine epsilon, may be led by
# rounding (by the constant, where nothing fixes it): the step is taken back and conjugation starts again. If that step
# was not conjugate to an earlier one, it was rounding.
GROWTH = 2.0


@dataclass(frozen=True)
class Operator:
    """A on the finest grid, in the caller's dtype: the arguments of `poisson_apply`."""

    couplings: Tensor
    periodic: list[int]
    faces: Tensor | None
    alpha: float = 0.0


@dataclass(frozen=True)
class Step:
    """How far to go along z + beta p, and that direction's energy <., A .>, 0 for a plain iteration's."""

    length: float
    beta: float
    energy: float


class MultigridIteration:
    """The iteration and its work arrays, made once for a hierarchy and used for any number of right-hand sides."""

    def __init__(self, hierarchy: Hierarchy, operator: Operator) -> None:
        self.hierarchy = hierarchy
        self.operator = operator
        self.direction: Tensor | None = None
        self.residual = empty_in_huge_pages(*hierarchy.padded_shape)
        self.proposal = empty_in_huge_pages(*hierarchy.padded_shape)
        self.workspace = empty_in_huge_pages(multigrid_workspace(hierarchy))

    def solve(
        self,
        f: Tensor,
        u: Tensor,
        norm: float,
        tol: float,
        max_iterations: int,
        progress: Progress,
        *,
        from_zero: bool,
    ) -> tuple[list[float], StopReason]:
        """Improve u in place until ||f - A u|| <= tol * norm.

        Args:
            f: [nx, ny, nz], 0 in solid cells.
            u: likewise.
            norm: ||f||, positive.
            tol: relative.
            max_iterations: counted from this call.
            progress: called as progress(iteration, relative_residual).
            from_zero: u is 0, which saves the first residual.

        Returns:
            The true relative residuals, first entry before the first iteration, and why the iteration ended.
        """
        if self.workspace.numel() < (needed := multigrid_workspace(self.hierarchy)):  # more threads than before
            self.workspace = empty_in_huge_pages(needed)
        history = [self._first_residual(f, u, norm, from_zero)]
        accelerated, energy = False, 0.0
        best, stalled = history[0], 0
        while True:
            if history[-1] <= tol:
                return history, StopReason.CONVERGED
            if len(history) > max_iterations:
                return history, StopReason.MAX_ITERATIONS
            if stalled >= PATIENCE:
                return history, StopReason.ROUNDING
            multigrid_v_cycle(self.residual, self.proposal, self.hierarchy, self.workspace)
            step = self._line_search(energy) if accelerated else Step(1 / self._scale, 0.0, 0.0)
            if step is None:
                return history, StopReason.BREAKDOWN
            energy = step.energy
            history.append(self._go(step, f, u, norm, history[-1]))
            stalled = 0 if history[-1] < PROGRESS * best else stalled + 1
            if history[-1] > GROWTH * best and best < sqrt(torch.finfo(f.dtype).eps):
                history[-1] = self._take_back(step, f, u, norm)
                stalled = PATIENCE if step.beta == 0 else stalled
                energy = 0.0
            progress(len(history) - 1, history[-1])
            accelerated = accelerated or history[-1] > ACCELERATE * history[-2]
            best = min(best, history[-1])

    def _first_residual(self, f: Tensor, u: Tensor, norm: float, from_zero: bool) -> float:
        """Fill the residual array, scaled so that its root mean square is about 1 and float32 holds it."""
        if from_zero:
            self._scale = sqrt(f.numel()) / norm
            self.residual = split_rows(f, self._scale)
            return 1.0
        self.proposal.zero_()
        return self._go(Step(0.0, 0.0, 0.0), f, u, norm, 1.0)

    def _line_search(self, energy: float) -> Step | None:
        """The step that minimises the error's energy; None where the direction has none. `energy` is the last one's."""
        last = self.proposal if self.direction is None else self.direction
        z_az, p_az, r_z, r_p = conjugate_line_search(self.proposal, last, self.residual, self.hierarchy).tolist()
        beta = -p_az / energy if energy > 0 else 0.0
        conjugate = z_az + beta * p_az
        if beta and not conjugate > PARALLEL * z_az:
            beta, conjugate = 0.0, z_az
        if not (isfinite(conjugate) and conjugate > 0):
            return None
        return Step((r_z + beta * r_p if beta else r_z) / conjugate / self._scale, beta, conjugate)

    def _take_back(self, step: Step, f: Tensor, u: Tensor, norm: float) -> float:
        """Undo a step; returns the relative residual, which is again what it was before, to rounding."""
        if step.energy == 0:
            return self._go(Step(-step.length, 0.0, 0.0), f, u, norm, 1.0)
        self.proposal.zero_()
        return self._go(Step(-step.length, 1.0, step.energy), f, u, norm, 1.0)

    def _go(self, step: Step, f: Tensor, u: Tensor, norm: float, last: float) -> float:
        """One update; returns the relative residual it leaves. `last`, the one before, sets the new scale."""
        self._scale = sqrt(f.numel()) / (norm * max(last, torch.finfo(torch.float64).tiny))
        absolute = conjugate_direction_step(
            u,
            self.proposal,
            self.direction,
            self.residual,
            f,
            self.operator.couplings,
            self.operator.periodic,
            self.operator.faces,
            self.operator.alpha,
            step.length,
            step.beta,
            self._scale,
        )
        if step.energy > 0:
            last_direction = self.direction
            self.direction = self.proposal
            self.proposal = empty_in_huge_pages(*self.proposal.shape) if last_direction is None else last_direction
        return absolute / norm
