"""One call of `PoissonSolver.solve`: what it was asked, the work, and what became of it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import inf, ldexp
from numbers import Integral, Real
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastsciml.progress import ResidualBar
from fastsciml.solvers.direct import Direct
from fastsciml.solvers.discretisation import Placed
from fastsciml.solvers.iteration import Iteration, Progress, Watch
from fastsciml.solvers.learned import LearnedIteration
from fastsciml.solvers.result import (
    ArrayT,
    NotConvergedWarning,
    PoissonResult,
    RemovedMeanWarning,
    Seconds,
    StopReason,
)
from fastsciml.solvers.scratch import give, take_for_the_caller
from fastsciml.solvers.system import System, prepare

if TYPE_CHECKING:
    from fastsciml.solvers.poisson_solver import PoissonSolver

_log = logging.getLogger(__name__)

NullSpaceMode = Literal["project", "raise"]
Method = Literal["auto", "multigrid", "fmg", "cg", "fft", "learned"]
# Called with the iteration, the true relative residual, and the iterate, which the next iteration overwrites.
Callback = Callable[[int, float, Tensor], object]
History = tuple[list[float], StopReason]
# What solves a sample.
Solving = Iteration | Direct | LearnedIteration

MAX_ITERATIONS = 200
# Plain conjugate gradients: times the longest axis.
MAX_ITERATIONS_PLAIN = 20


@dataclass(frozen=True)
class Stopping:
    """When a solve ends; max_iterations of None leaves it to the method."""

    tol: float
    max_iterations: int | None

    def __post_init__(self) -> None:
        if not isinstance(self.tol, Real):
            raise TypeError(f"tol must be a positive number, got {self.tol!r}")
        if not 0 < self.tol < inf:
            raise ValueError(f"tol must be a positive number, got {self.tol}")
        if self.max_iterations is None:
            return
        if not isinstance(self.max_iterations, Integral):
            raise TypeError(f"max_iterations must be a whole number or None, got {self.max_iterations!r}")
        if self.max_iterations < 0:
            raise ValueError(f"max_iterations must not be negative, got {self.max_iterations}")

    def limit(self, method: str, shape: tuple[int, ...]) -> int:
        if self.max_iterations is not None:
            return self.max_iterations
        return MAX_ITERATIONS if method != "cg" else MAX_ITERATIONS_PLAIN * max(10, *shape)


class Run:
    """The solve of one batch; `histories` has what became of each right-hand side."""

    def __init__(
        self,
        solver: PoissonSolver,
        stopping: Stopping,
        nullspace: NullSpaceMode,
        progress: bool | Progress,
        callback: Callback | None,
        start: float,
    ) -> None:
        self.solver, self.stopping, self.nullspace = solver, stopping, nullspace
        self.progress, self.callback, self.start = progress, callback, start
        self.method = solver._method()
        # The means taken from the right-hand sides, and whether each was rounding.
        self.means: list[tuple[float, bool]] = []
        self.histories: list[History] = []
        self.seconds = Seconds(0.0, 0.0)
        self.bytes_moved = self.cycles = self.learned = 0
        # The solution, where it is at hand already and only its gradient is wanted.
        self.known: Tensor | None = None
        self.batch: tuple[int, ...] = ()
        # Whether a gradient is solved for: it goes to the tolerance whatever the method.
        self.is_adjoint = False

    def adjoint(self) -> Run:
        """A and the projection are self-adjoint by volume: gradients come from the same solve."""
        run = Run(self.solver, self.stopping, "project", False, None, perf_counter())
        run.is_adjoint = True
        return run

    def solve(self, b: Tensor, guess: Tensor | None) -> Tensor:
        """The solutions, [*batch, *shape]."""
        solver = self.solver
        if self.known is not None:
            return self.known if solver._where_fixed is None else torch.where(solver._where_fixed, 0, self.known)
        if guess is not None and not torch.isfinite(guess).all():
            raise ValueError("initial_guess has NaN or Inf")
        self.batch = tuple(b.shape[: b.ndim - len(solver.shape)])
        samples = b.contiguous().reshape(-1, *solver._grid.extents)
        # Under `torch.func.vmap`, each sample may have several right-hand sides.
        own = [number * len(solver._samples) // len(samples) for number in range(len(samples))]
        systems = [self._prepare(sample, number) for sample, number in zip(samples, own, strict=True)]
        self.means = [(system.mean, system.solvable) for system in systems]
        works = [solver._work(number) for number in dict.fromkeys(own)]
        before = [_cost(work) for work in works]
        middle = perf_counter()
        solution = take_for_the_caller(*samples.shape, dtype=b.dtype, device=b.device)
        if guess is not None:
            solution.copy_(guess.reshape(samples.shape))
        with ExitStack() as stack:
            report = self._reporter(stack)
            for place, (number, system) in enumerate(zip(own, systems, strict=True)):
                u = self._solve_one(number, system, solution[place], guess is None, report)
                if len(solution) == 1:
                    solution = u[None]
                elif u.data_ptr() != solution[place].data_ptr():
                    solution[place].copy_(u)
        end = perf_counter()
        give(*[s.b for s, sample in zip(systems, samples, strict=True) if s.b.data_ptr() != sample.data_ptr()])
        spent = [np.subtract(_cost(work), cost) for work, cost in zip(works, before, strict=True)]
        cycles, in_cycles, in_steps, moved, learned = np.sum(spent, axis=0) if spent else (0, 0.0, 0.0, 0, 0)
        self.seconds = Seconds(middle - self.start, end - middle, float(in_cycles), float(in_steps))
        self.cycles = int(cycles)
        self.bytes_moved, self.learned = int(moved), int(learned)
        return solution.reshape(b.shape)

    def energy(self, v: Tensor, u: Tensor, parameters: list[Tensor]) -> Tensor:
        """<v, A(parameters) u>, the sum over the batch, differentiable in the parameters."""
        solver = self.solver
        left = iter(parameters)
        count = len(solver._samples)
        vs, us = (t.contiguous().reshape(count, -1, *solver._grid.extents) for t in (v, u))
        total = u.new_zeros(())
        for sample, v_of, u_of in zip(solver._samples, vs, us, strict=True):
            a = sample.placed.operator
            coefficient = None if a.coefficient is None else [next(left) for _ in range(3)]
            alpha = None if a.alpha is None else next(left)
            total = total + (v_of * replace(a, coefficient=coefficient, alpha=alpha)(u_of)).sum()
        return ldexp(1.0, solver._power) * total

    def result(self, solution: ArrayT) -> PoissonResult[ArrayT]:
        failed = [reason for _, reason in self.histories if reason is not StopReason.CONVERGED]
        result = PoissonResult(
            solution=solution,
            converged=not failed,
            iterations=max((len(history) for history, _ in self.histories), default=1) - 1,
            residuals=_table([history for history, _ in self.histories], self.batch),
            reason=failed[0] if failed else StopReason.CONVERGED,
            method=self.method,
            seconds=self.seconds,
            cycles=self.cycles,
            bytes_moved=self.bytes_moved,
            removed_mean=max((mean for mean, _ in self.means), key=abs, default=0.0),
            unknowns=self.solver.unknowns * len(self.histories) // len(self.solver._samples),
            learned=self.learned,
        )
        _log.info("%s", result)
        return result

    def warn(self, result: PoissonResult[Any], stacklevel: int) -> None:
        for mean, is_rounding in self.means:
            if not is_rounding:
                text = f"solve_poisson: removed the mean {mean:.6g} of rhs, with which there is no solution"
                warnings.warn(text, RemovedMeanWarning, stacklevel=stacklevel)
        if not result.converged and result.reason is not StopReason.ONE_PASS:
            warnings.warn(f"solve_poisson: {result}", NotConvergedWarning, stacklevel=stacklevel)

    def _prepare(self, sample: Tensor, number: int) -> System:
        of = self.solver._samples[number].placed
        width = min(float(axis.widths.min()) for axis in self.solver._grid.given)
        system = prepare(sample, of.unknown, of.null_space, width, -self.solver._power)
        if self.nullspace == "raise" and not system.solvable:
            raise ValueError(
                f"rhs has the mean {system.mean:.6g} where nothing fixes the solution, so there is none; "
                f'nullspace="project" removes it'
            )
        return system

    def _solve_one(self, number: int, system: System, u: Tensor, from_zero: bool, report: Progress) -> Tensor:
        if system.norm == 0:
            self.histories.append(([0.0], StopReason.CONVERGED))
            return u.zero_()
        of, work = self.solver._samples[number].placed, self.solver._work(number)
        if not from_zero:
            _multiply(u, -system.exponent)
            if of.unknown is not None:
                u.mul_(of.unknown)
        u, history, reason = self._improve(of, work, system, u, from_zero, self._watch(report, system.exponent))
        self.histories.append((history, reason))
        _multiply(u, system.exponent)
        return u

    def _improve(
        self, of: Placed, work: Solving, system: System, u: Tensor, from_zero: bool, watch: Watch
    ) -> tuple[Tensor, list[float], StopReason]:
        tol, limit = self.stopping.tol, self.stopping.limit(self.method, self.solver.shape)
        if self.method == "fmg" and isinstance(work, Iteration) and not self.is_adjoint:
            u, history, reason = work.pass_once(system.b, u, system.norm, tol, watch, from_zero=from_zero)
        else:
            u, history, reason = work.solve(system.b, u, system.norm, tol, limit, watch, from_zero=from_zero)
        if from_zero and len(history) == 1:
            u.zero_()
        of.null_space.project(u)
        if of.null_space.empty or reason is not StopReason.CONVERGED:
            return u, history, reason
        # The means are gone, and what that has rounded off counts at a tight tolerance.
        history[-1] = of.operator.residual_norm(u, system.b) / system.norm
        if history[-1] > tol:
            left = limit + 1 - len(history)
            u, more, reason = work.solve(system.b, u, system.norm, tol, left, watch, from_zero=False)
            of.null_space.project(u)
            history += more[1:]
            history[-1] = of.operator.residual_norm(u, system.b) / system.norm
            if history[-1] > tol and reason is StopReason.CONVERGED:
                reason = StopReason.ROUNDING
        return u, history, reason

    def _watch(self, report: Progress, exponent: int) -> Watch:
        def watch(iteration: int, residual: float, u: Tensor) -> None:
            report(iteration, residual)
            _log.debug("iteration %d: relative residual %.3e", iteration, residual)
            if self.callback is not None:
                iterate = u if exponent == 0 else u * 2.0**exponent
                self.callback(iteration, residual, iterate.reshape(self.solver.shape))

        return watch

    def _reporter(self, stack: ExitStack) -> Progress:
        if callable(self.progress):
            return self.progress
        if self.progress:
            return stack.enter_context(ResidualBar(self.stopping.tol))
        return lambda iteration, residual: None


def _cost(work: Solving) -> tuple[int, float, float, int, int]:
    w = work.work
    return w.cycles, w.cycle_seconds, w.step_seconds, work.bytes_moved, w.learned


def _multiply(u: Tensor, exponent: int) -> None:
    if exponent:
        u.mul_(2.0**exponent)


def _table(histories: list[list[float]], batch: tuple[int, ...]) -> npt.NDArray[np.float64]:
    table = np.full((max(map(len, histories), default=1), len(histories)), np.nan)
    for column, history in enumerate(histories):
        table[: len(history), column] = history
    return table.reshape(-1, *batch)
