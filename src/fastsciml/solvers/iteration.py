"""Multigrid iteration, accelerated by flexible conjugate gradients where a V-cycle alone converges slowly.

A plain iteration adds the correction of up to three V-cycles: u += B r. It needs no inner product and no earlier
direction, and on a box it is the fastest. Once a cycle lowers the residual by less than ACCELERATE, the iteration keeps
its last direction, makes the next one conjugate to it and searches along it (Notay 2000, truncated to one), which
allows a cycle that is not symmetric and rounded to float32.

Where couplings differ by orders of magnitude and the iteration gets slow, it becomes careful: the cycle is the
symmetric one, and inner products are taken in the caller's dtype. Both cost more than they bring on most problems.

The residual is always recomputed from the solution in the caller's dtype, so its norm is the true one; directions are
float32. The kernels are those of csrc/multigrid and csrc/directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from math import ceil, isfinite, log, sqrt
from time import perf_counter

import torch
from torch import Tensor

from fastsciml.ops.conjugate_direction import conjugate_direction_step, conjugate_line_search
from fastsciml.ops.full_multigrid import full_multigrid
from fastsciml.ops.multigrid_v_cycle import multigrid_workspace
from fastsciml.ops.split_rows import join_rows, split_rows
from fastsciml.solvers.captured import CapturedCycles
from fastsciml.solvers.discretisation import Operator
from fastsciml.solvers.hierarchy import Hierarchy
from fastsciml.solvers.result import StopReason
from fastsciml.solvers.scratch import give, take

Progress = Callable[[int, float], object]
# Called with the iteration, the true relative residual and the iterate [nx, ny, nz].
Watch = Callable[[int, float, Tensor], object]

# A plain iteration whose cycles each leave more than this share of the residual is the last plain one, unless what they
# leave is rounding: less than so many roundings to float32 of the diagonal times the correction. Measured on smooth and
# rough right-hand sides: 0.3 to 1.1 of them where it is rounding, 30 and more where cycles are slow.
ACCELERATE = 0.02
ROUNDED = 2.0
# A plain iteration takes up to so many V-cycles at once, all in float32: three leave of a white-noise residual what is
# rounding, 5e-7 at 256^3, and save two updates.
MOST_CYCLES = 3
# What a cycle is expected to leave of a residual where the last ones have not shown it.
EXPECTED = 0.01
# A solve ends where the best residual does not fall by this factor within so many iterations. Plain conjugate gradients
# wander: theirs is the second number times the longest axis.
PROGRESS = 0.9
PATIENCE = 4
PATIENCE_PLAIN = 2
# Where couplings differ widely, the norm of the residual, led by the strong ones, rises and falls while the error's
# energy falls.
PATIENCE_CAREFUL = 30
# So many accelerated iterations that each leave more than this share of the residual call for care.
SLOW_AFTER, SLOW = 8, 0.5
# Where conjugation leaves less than this share of the proposal's energy, the proposal lies along the last direction
# and the rest is float32 rounding: the iteration starts again from the proposal alone.
PARALLEL = 1e-6
# A residual that grows by more than this, once it is down to the square root of the machine epsilon, may be led by
# rounding (by the constant, where nothing fixes it): the step is taken back and conjugation starts again. If that step
# was not conjugate to an earlier one, it was rounding.
GROWTH = 2.0


@dataclass(frozen=True)
class Step:
    """How far to go along z + beta p, and that direction's energy <., A .>, 0 for a plain iteration's."""

    length: float
    beta: float
    energy: float


def _cycles_to(share: float, rate: float) -> int:
    """How many cycles the next plain iteration needs to leave that share of the residual, each leaving `rate`."""
    if not (share > 0 and isfinite(rate)):  # the residual is past what floating point holds
        return 1
    return min(max(ceil(log(share) / log(min(max(rate, 1e-3), 0.5))), 1), MOST_CYCLES)


@dataclass
class Work:
    """What an iteration has cost so far."""

    cycles: int = 0
    steps: int = 0
    cycle_seconds: float = 0.0
    step_seconds: float = 0.0
    learned: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


class Iteration:
    """The iteration and its work arrays, made once for a hierarchy and used for any number of right-hand sides.

    Args:
        hierarchy: on the device of the right-hand sides.
        operator: A, likewise.
        volumes: likewise [nx, ny, nz], of the cells, in the operator's dtype; None: all the same.
        diagonal: the proposal is the residual over A's diagonal instead of a V-cycle's: plain conjugate gradients.
    """

    def __init__(
        self, hierarchy: Hierarchy, operator: Operator, volumes: Tensor | None = None, *, diagonal: bool = False
    ) -> None:
        self.hierarchy = hierarchy
        self.operator = operator
        self.volumes = volumes
        self.diagonal = diagonal
        self.work = Work()
        self.direction: Tensor | None = None
        self.careful = False
        self.cycle = CapturedCycles()
        self._known: float | None = None
        self.device = operator.couplings.device
        self.residual = take(*hierarchy.padded_shape, device=self.device)
        self.proposal = take(*hierarchy.padded_shape, device=self.device)
        self.workspace = take(0 if diagonal else multigrid_workspace(hierarchy), device=self.device)

    def __del__(self) -> None:
        give(self.residual, self.proposal, self.workspace, self.direction)

    @property
    def arrays(self) -> list[Tensor]:
        """Its work arrays."""
        return [t for t in (self.residual, self.proposal, self.workspace, self.direction) if t is not None]

    @property
    def scale(self) -> float:
        """The residual array is this times the residual."""
        return self._scale

    def start_from(self, residual: float, scale: float, from_zero: bool) -> None:
        """Spare the next `solve` its first residual, of this relative norm: the array holds `scale` times it."""
        self._known, self._scale, self._from_zero = residual, scale, from_zero

    @property
    def bytes_moved(self) -> int:
        """What the work so far must have moved."""
        return self.bytes_of(self.work)

    def bytes_of(self, work: Work) -> int:
        """What some work must move: every array of a level read or written once per fused pass."""
        fields = self.residual.numel()
        cycle = 5 * 4 * sum(math.prod(axis.extent for axis in axes) for axes in self.hierarchy.levels)
        cycle += 2 * self.hierarchy.nbytes
        operator = [self.operator.faces, *(self.operator.coefficient or []), self.operator.alpha]
        step = sum(t.numel() * t.element_size() for t in operator if t is not None)
        step += fields * (8 + 3 * self.operator.couplings.element_size())
        return work.cycles * cycle + work.steps * step

    def solve(
        self,
        f: Tensor,
        u: Tensor,
        norm: float,
        tol: float,
        max_iterations: int,
        watch: Watch,
        *,
        from_zero: bool,
    ) -> tuple[Tensor, list[float], StopReason]:
        """Improve u in place until ||f - A u|| <= tol * norm.

        Args:
            f: [nx, ny, nz], 0 in solid cells.
            u: likewise; from zero it may hold anything, and still does if there was no iteration.
            norm: ||f||, positive.
            tol: relative.
            max_iterations: counted from this call.
            watch: called after every iteration.
            from_zero: start from 0, which saves the first residual.

        Returns:
            u, the true relative residuals, first entry before the first iteration, and why the iteration ended.
        """
        self._make_room()
        history = [self._first_residual(f, u, norm, from_zero)]
        # Jumps of the coefficient can make a plain cycle diverge.
        accelerated, energy, rate = self.diagonal or bool(self.operator.coefficient), 0.0, EXPECTED
        best, mark, stalled, sluggish = history[0], history[0], 0, 0
        while True:
            if history[-1] <= tol:
                return u, history, StopReason.CONVERGED
            if len(history) > max_iterations:
                return u, history, StopReason.MAX_ITERATIONS
            if not (self.diagonal or self.careful) and (
                sluggish >= SLOW_AFTER or (stalled >= self._patience(f) and history[-1] * norm > self._rounding(u))
            ):
                self._become_careful()
                energy, mark, stalled = 0.0, history[-1], 0
            if stalled >= self._patience(f):
                return u, history, StopReason.ROUNDING
            cycles = 1 if accelerated else _cycles_to(tol / history[-1], rate)
            self._propose(cycles)
            step = self._line_search(energy) if accelerated else Step(1 / self._scale, 0.0, 0.0)
            if step is None:
                return u, history, StopReason.BREAKDOWN
            energy = step.energy
            history.append(self._go(step, f, u, norm, history[-1]))
            stalled += 1
            if history[-1] < PROGRESS * mark:
                mark, stalled = history[-1], 0
            sluggish = sluggish + 1 if accelerated and history[-1] > SLOW * history[-2] else 0
            if (
                not (self.diagonal or self.careful)
                and history[-1] > GROWTH * best
                and best < sqrt(torch.finfo(f.dtype).eps)
            ):
                history[-1] = self._take_back(step, f, u, norm)
                stalled = self._patience(f) if step.beta == 0 else stalled
                energy = 0.0
            watch(len(history) - 1, history[-1], u)
            if not accelerated:
                left = history[-1] / history[-2]
                slow = left > ACCELERATE**cycles
                rounded = slow and left < ROUNDED * self._rounding_of(step) / (history[-2] * norm)
                accelerated = slow and not rounded
                rate = EXPECTED if rounded else left ** (1 / cycles)
            best = min(best, history[-1])

    def pass_once(
        self, f: Tensor, u: Tensor, norm: float, tol: float, watch: Watch, *, from_zero: bool
    ) -> tuple[Tensor, list[float], StopReason]:
        """One pass of full multigrid, as `solve` otherwise."""
        self._make_room()
        history = [self._first_residual(f, u, norm, from_zero)]
        if history[-1] > tol:
            start = perf_counter()
            full_multigrid(self.residual, self.proposal, self.hierarchy, self.workspace)
            self.work.cycles += 1
            self.work.cycle_seconds += perf_counter() - start
            history.append(self._go(Step(1 / self._scale, 0.0, 0.0), f, u, norm, history[-1]))
            watch(1, history[-1], u)
        return u, history, StopReason.CONVERGED if history[-1] <= tol else StopReason.ONE_PASS

    def _patience(self, f: Tensor) -> int:
        if self.diagonal:
            return PATIENCE_PLAIN * int(max(64, *f.shape))
        return PATIENCE_CAREFUL if self.careful or self.operator.coefficient else PATIENCE

    def _rounding(self, u: Tensor) -> float:
        """About the norm of a residual that is due to u's rounding."""
        epsilon = torch.finfo(u.dtype).eps
        return epsilon * self.operator.largest_diagonal * float(torch.linalg.vector_norm(u))

    def _rounding_of(self, step: Step) -> float:
        """About the norm of a residual that is due to the rounding of a plain iteration's step to float32."""
        length = step.length * float(torch.linalg.vector_norm(self.proposal))
        return torch.finfo(torch.float32).eps / 2 * self.operator.largest_diagonal * length

    def _become_careful(self) -> None:
        self.careful = True
        self.hierarchy = replace(self.hierarchy, symmetric=True)
        self._make_room()

    def _make_room(self) -> None:
        if not self.diagonal and self.workspace.numel() < (needed := multigrid_workspace(self.hierarchy)):
            self.workspace = take(needed, device=self.device)  # more threads than before

    def _first_residual(self, f: Tensor, u: Tensor, norm: float, from_zero: bool) -> float:
        """Fill the residual array, scaled so that its root mean square is about 1 and float32 holds it."""
        if self._known is not None:
            known, self._known = self._known, None
            return known
        self._from_zero = from_zero
        if from_zero:
            self._scale = sqrt(f.numel()) / norm
            split_rows(f, self._scale, out=self.residual)
            return 1.0
        self.proposal.zero_()
        return self._go(Step(0.0, 0.0, 0.0), f, u, norm, 1.0)

    def _propose(self, cycles: int) -> None:
        start = perf_counter()
        if self.diagonal:
            rows = self.hierarchy.diagonals[0][1]
            torch.mul(self.residual, rows[self.hierarchy.stored_rows(0)], out=self.proposal)
        else:
            self.cycle(self.residual, self.proposal, self.hierarchy, self.workspace, cycles)
            self.work.cycles += cycles
        self.work.cycle_seconds += perf_counter() - start

    def _line_search(self, energy: float) -> Step | None:
        """The step that minimises the error's energy; None where the direction has none. `energy` is the last one's."""
        last = self.proposal if self.direction is None else self.direction
        z_az, r_z, p_az, r_p = self._products(last)
        beta = -p_az / energy if energy > 0 else 0.0
        conjugate = z_az + beta * p_az
        if beta and not conjugate > PARALLEL * z_az:
            beta, conjugate = 0.0, z_az
        if not (isfinite(conjugate) and conjugate > 0):
            return None
        return Step((r_z + beta * r_p if beta else r_z) / conjugate / self._scale, beta, conjugate)

    def _products(self, last: Tensor) -> list[float]:
        """<z, A z>, <r, z>, <p, A z>, <r, p>, weighted by volumes."""
        if not (self.operator.coefficient or self.careful):
            return [*conjugate_line_search(self.proposal, [last], self.residual, self.hierarchy).tolist()]
        # Where couplings differ by a million, float32 loses the energy of the weak ones to the rounding of the strong:
        # differences first, in the caller's dtype.
        z, p, r = (
            join_rows(rows, self.hierarchy.grid.extents[2]).to(self.operator.couplings).contiguous()
            for rows in (self.proposal, last, self.residual)
        )
        az = self.operator(z[None])[0]
        if self.volumes is not None:
            az, r = self.volumes * az, self.volumes * r
        pairs = ((z, az), (r, z), (p, az), (r, p))
        return [*torch.stack([(a * b).sum(dtype=torch.float64) for a, b in pairs]).tolist()]

    def _take_back(self, step: Step, f: Tensor, u: Tensor, norm: float) -> float:
        """Undo a step; returns the relative residual, which is again what it was before, to rounding."""
        if step.energy == 0:
            return self._go(Step(-step.length, 0.0, 0.0), f, u, norm, 1.0)
        self.proposal.zero_()
        return self._go(Step(-step.length, 1.0, step.energy), f, u, norm, 1.0)

    def _go(self, step: Step, f: Tensor, u: Tensor, norm: float, last: float) -> float:
        """One update; returns the relative residual it leaves. `last`, the one before, sets the new scale."""
        start = perf_counter()
        self._scale = sqrt(f.numel()) / (norm * max(last, torch.finfo(torch.float64).tiny))
        absolute = conjugate_direction_step(
            u,
            self.proposal,
            [] if self.direction is None else [self.direction],
            self.residual,
            f,
            self.operator.couplings,
            self.operator.periodic,
            self.operator.faces,
            self.operator.coefficient,
            self.operator.alpha,
            step.length,
            [] if self.direction is None else [step.beta],
            self._scale,
            self._from_zero,
        )
        self._from_zero = False
        if step.energy > 0:
            last_direction = self.direction
            self.direction = self.proposal
            self.proposal = take(*self.proposal.shape, device=self.device) if last_direction is None else last_direction
        self.work.steps += 1
        self.work.step_seconds += perf_counter() - start
        return absolute / norm
