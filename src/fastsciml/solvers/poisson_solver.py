"""`PoissonSolver`: one Poisson problem, solved for any number of right-hand sides, differentiably."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import isfinite, ldexp
from numbers import Integral, Real
from time import perf_counter
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastsciml.ops.huge_pages import empty_in_huge_pages
from fastsciml.progress import ResidualBar
from fastsciml.solvers.arrays import ArrayLike, like, to_fluid, to_guess, to_tensor
from fastsciml.solvers.boundary import BoundaryConditions, kind_of, parse_conditions, with_boundary_values
from fastsciml.solvers.faces import open_faces, pack_faces
from fastsciml.solvers.grid import Grid, parse_spacing
from fastsciml.solvers.hierarchy import box_hierarchy, masked_hierarchy
from fastsciml.solvers.multigrid_iteration import MultigridIteration, Operator, Progress
from fastsciml.solvers.nullspace import find_null_space
from fastsciml.solvers.result import ArrayT, PoissonResult, Seconds, StopReason
from fastsciml.solvers.system import SPACING_REACH, System, power_of_two, prepare

NullSpaceMode = Literal["project", "raise"]
History = tuple[list[float], StopReason]


class NotConvergedWarning(UserWarning):
    """A solve ended above its tolerance; the result says why."""


class RemovedMeanWarning(UserWarning):
    """A right-hand side without a solution was made solvable by removing its mean."""


@dataclass(frozen=True)
class Stopping:
    """When a solve ends."""

    tol: float
    max_iterations: int

    def __post_init__(self) -> None:
        if not isinstance(self.tol, Real):
            raise TypeError(f"tol must be a positive number, got {self.tol!r}")
        if not (isfinite(self.tol) and self.tol > 0):
            raise ValueError(f"tol must be a positive number, got {self.tol}")
        if not isinstance(self.max_iterations, Integral):
            raise TypeError(f"max_iterations must be a whole number, got {self.max_iterations!r}")
        if self.max_iterations < 0:
            raise ValueError(f"max_iterations must not be negative, got {self.max_iterations}")


class PoissonSolver:
    """Solves -div(grad u) + alpha u = f on one box, again and again: the hierarchy and the work arrays are made once.

    Args:
        shape: cells per axis, one to three.
        spacing, boundary, solid, alpha: as in `solve_poisson`.
        dtype: torch.float32 or torch.float64, that of the right-hand sides.

    Raises:
        TypeError, ValueError: as `solve_poisson`, for these arguments.

    Example:
        >>> solver = PoissonSolver((32, 32, 32), spacing=1 / 32)
        >>> f = torch.randn(32, 32, 32, dtype=torch.float64)
        >>> first = solver.solve(f)
        >>> solver.solve(1.01 * f, initial_guess=first.solution).converged
        True
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        spacing: float | Sequence[float] = 1.0,
        boundary: BoundaryConditions = "dirichlet",
        solid: ArrayLike | None = None,
        alpha: float | Tensor = 0.0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        self.shape = tuple(shape)
        if not 1 <= len(self.shape) <= 3 or min(self.shape) < 1:
            raise ValueError(f"shape must be one to three positive extents, got {self.shape}")
        if dtype not in (torch.float32, torch.float64):
            raise TypeError(f"dtype must be torch.float32 or torch.float64, got {dtype}")
        self.dtype = dtype
        self.spacing = parse_spacing(spacing, len(self.shape))
        self._unit = power_of_two(min(self.spacing), SPACING_REACH)
        self.conditions = parse_conditions(boundary, len(self.shape))
        self._grid = self._make_grid()
        self._fluid = to_fluid(solid, self.shape, self._grid.extents)
        self.unknowns = int(np.prod(self.shape) if self._fluid is None else self._fluid.sum())
        self.alpha = alpha
        self._alpha = _checked_alpha(alpha, self._unit)
        self._null_space = find_null_space(self._grid, self._fluid, self._alpha)
        self._iteration: MultigridIteration | None = None

    def _make_grid(self) -> Grid:
        """The grid in lengths of 2**unit, in which float32 holds 1/h^2."""
        scale = 2.0**-self._unit
        kinds = [(kind_of(lower), kind_of(upper)) for lower, upper in self.conditions]
        # Of a Robin condition a u + b du/dn, b counts lengths.
        scaled = [tuple((k[0], k[1] * scale) if isinstance(k, tuple) else k for k in pair) for pair in kinds]
        return Grid(self.shape, tuple(h * scale for h in self.spacing), cast(Any, tuple(scaled)))

    def solve(
        self,
        rhs: ArrayT,
        *,
        tol: float = 1e-8,
        max_iterations: int = 100,
        initial_guess: ArrayLike | None = None,
        nullspace: NullSpaceMode = "project",
        progress: bool | Progress = False,
    ) -> PoissonResult[ArrayT]:
        """Solve for one right-hand side, or a batch; arguments and errors as in `solve_poisson`.

        Args:
            rhs: [*batch, *shape], of the solver's dtype.
            tol: relative to the right-hand side with the boundary's values in it.
            max_iterations: per right-hand side.
            initial_guess: where to start, for example the solution of the time step before.
            nullspace: "project" or "raise".
            progress: True, or a function of the iteration and the relative residual.
        """
        return self._solve(rhs, Stopping(tol, max_iterations), initial_guess, nullspace, progress, stacklevel=3)

    def _solve(
        self,
        rhs: ArrayT,
        stopping: Stopping,
        initial_guess: ArrayLike | None,
        nullspace: NullSpaceMode,
        progress: bool | Progress,
        stacklevel: int,
    ) -> PoissonResult[ArrayT]:
        start = perf_counter()
        if nullspace not in ("project", "raise"):
            raise ValueError(f'nullspace must be "project" or "raise", got {nullspace!r}')
        f = to_tensor(rhs, "rhs")
        dims = len(self.shape)
        if tuple(f.shape[f.ndim - dims :]) != self.shape or f.dtype != self.dtype:
            raise ValueError(
                f"rhs must have shape [*batch, {', '.join(map(str, self.shape))}] and dtype {self.dtype}, "
                f"got {tuple(f.shape)} and {f.dtype}"
            )
        guess = None if initial_guess is None else to_guess(initial_guess, f)
        b = with_boundary_values(f, self.conditions, self.spacing)
        task = _Task(self, stopping, nullspace, guess, progress, start)
        solution = cast(Tensor, _Solve.apply(b, self.alpha if isinstance(self.alpha, Tensor) else None, task))  # type: ignore[no-untyped-call]
        result = task.result(like(rhs, solution), tuple(f.shape[: f.ndim - dims]))
        task.warn(result, stacklevel + 1)
        return result

    def _ready(self) -> MultigridIteration:
        """The iteration, made at the first use."""
        if self._iteration is None:
            couplings = np.concatenate([c for axis in self._grid.axes for c in axis.face_couplings()])
            packed = None
            if self._fluid is None:
                hierarchy = box_hierarchy(self._grid, self._alpha)
            else:
                faces = open_faces(self._fluid, self._grid.periodic)
                hierarchy = masked_hierarchy(self._grid, self._fluid, faces, self._alpha)
                packed = pack_faces(self._fluid, faces)
            operator = Operator(torch.from_numpy(couplings).to(self.dtype), hierarchy.periodic, packed, self._alpha)
            self._iteration = MultigridIteration(hierarchy, operator)
        return self._iteration

    def _prepare(self, samples: Tensor) -> list[System]:
        return [prepare(sample, self._fluid, self._null_space, min(self.spacing), self._unit) for sample in samples]


class _Task:
    """One call of `solve`: what it was asked, and what became of it."""

    def __init__(
        self,
        solver: PoissonSolver,
        stopping: Stopping,
        nullspace: NullSpaceMode,
        guess: Tensor | None,
        progress: bool | Progress,
        start: float,
    ) -> None:
        self.solver, self.stopping, self.nullspace = solver, stopping, nullspace
        self.guess, self.progress, self.start = guess, progress, start
        self.systems: list[System] = []
        self.runs: list[History] = []
        self.seconds = Seconds(0.0, 0.0)

    def adjoint(self) -> _Task:
        """The operator and the projection are symmetric: gradients come from the same solve."""
        return _Task(self.solver, self.stopping, "project", None, False, perf_counter())

    def run(self, b: Tensor) -> Tensor:
        """The solutions, [*batch, *shape]."""
        solver = self.solver
        samples = b.contiguous().reshape(-1, *solver._grid.extents)
        self.systems = solver._prepare(samples)
        for system in self.systems:
            if self.nullspace == "raise" and not system.solvable:
                raise ValueError(
                    f"rhs has the mean {system.mean:.6g} where no face fixes the solution, so there is none; "
                    f'nullspace="project" removes it'
                )
        iteration = solver._ready()
        middle = perf_counter()
        solution = empty_in_huge_pages(*samples.shape, dtype=b.dtype)
        solution.zero_() if self.guess is None else solution.copy_(self.guess.reshape(samples.shape))
        with ExitStack() as stack:
            report = self._reporter(stack)
            for system, u in zip(self.systems, solution, strict=True):
                self.runs.append(self._run_one(iteration, system, u, report))
        self.seconds = Seconds(middle - self.start, perf_counter() - middle)
        return solution.reshape(b.shape)

    def _run_one(self, iteration: MultigridIteration, system: System, u: Tensor, report: Progress) -> History:
        if system.norm == 0:
            u.zero_()
            return [0.0], StopReason.CONVERGED
        from_zero = self.guess is None
        if not from_zero:
            _multiply(u, -system.exponent)
            if self.solver._fluid is not None:
                u.mul_(self.solver._fluid)
        run = iteration.solve(
            system.b, u, system.norm, self.stopping.tol, self.stopping.max_iterations, report, from_zero=from_zero
        )
        self.solver._null_space.project(u)
        _multiply(u, system.exponent)
        return run

    def _reporter(self, stack: ExitStack) -> Progress:
        if callable(self.progress):
            return self.progress
        if self.progress:
            return stack.enter_context(ResidualBar(self.stopping.tol))
        return lambda iteration, residual: None

    def result(self, solution: ArrayT, batch: tuple[int, ...]) -> PoissonResult[ArrayT]:
        failed = [reason for _, reason in self.runs if reason is not StopReason.CONVERGED]
        return PoissonResult(
            solution=solution,
            converged=not failed,
            iterations=max((len(history) for history, _ in self.runs), default=1) - 1,
            residuals=_table([history for history, _ in self.runs], batch),
            reason=failed[0] if failed else StopReason.CONVERGED,
            seconds=self.seconds,
            removed_mean=max((system.mean for system in self.systems), key=abs, default=0.0),
            unknowns=len(self.runs) * self.solver.unknowns,
        )

    def warn(self, result: PoissonResult[Any], stacklevel: int) -> None:
        for system in self.systems:
            if not system.solvable:
                text = f"solve_poisson: removed the mean {system.mean:.6g} of rhs, with which there is no solution"
                warnings.warn(text, RemovedMeanWarning, stacklevel=stacklevel)
        if not result.converged:
            warnings.warn(f"solve_poisson: {result}", NotConvergedWarning, stacklevel=stacklevel)


class _Solve(torch.autograd.Function):
    """u = A^-1 b. The gradient of b is A^-1 of u's, v, a solve like the first: memory does not grow with the
    iterations, and gradients of any order follow. That of alpha is -<v, u>.
    """

    @staticmethod
    def forward(ctx: Any, b: Tensor, alpha: Tensor | None, task: _Task) -> Tensor:
        u = task.run(b.detach())
        ctx.task = task
        ctx.save_for_backward(u, alpha)
        return u

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:
        u, alpha = ctx.saved_tensors
        task = ctx.task.adjoint()
        v = cast(Tensor, _Solve.apply(grad, alpha, task))  # type: ignore[no-untyped-call]
        if any(reason is not StopReason.CONVERGED for _, reason in task.runs):
            text = "solve_poisson: the solve for the gradient ended above the tolerance"
            warnings.warn(text, NotConvergedWarning, stacklevel=2)
        return v, -(v * u).sum().to(alpha).reshape(alpha.shape) if ctx.needs_input_grad[1] else None, None


def _checked_alpha(alpha: float | Tensor, unit: int) -> float:
    """As a number, in the units in which lengths are 2**unit."""
    if isinstance(alpha, Tensor) and alpha.numel() == 1 and alpha.is_floating_point():
        alpha = float(alpha.detach())
    if not isinstance(alpha, Real):
        raise TypeError(f"alpha must be a number, or a floating tensor of one, got {type(alpha).__name__}")
    if not (isfinite(alpha) and alpha >= 0):
        raise ValueError(f"alpha must be finite and not negative, which would leave A indefinite, got {alpha}")
    try:
        return ldexp(float(alpha), 2 * unit)
    except OverflowError:
        raise ValueError(f"alpha {alpha} times the spacing squared is out of range") from None


def _multiply(u: Tensor, exponent: int) -> None:
    if exponent:
        u.mul_(2.0**exponent)


def _table(histories: list[list[float]], batch: tuple[int, ...]) -> npt.NDArray[np.float64]:
    table = np.full((max(map(len, histories), default=1), len(histories)), np.nan)
    for column, history in enumerate(histories):
        table[: len(history), column] = history
    return table.reshape(-1, *batch)
