"""`PoissonSolver`: one Poisson problem, solved for any number of right-hand sides, differentiably."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import ldexp
from time import perf_counter
from typing import Any, cast, get_args

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator
from torch import Tensor

from fastsciml.ops.fast_poisson import Transform
from fastsciml.solvers.arrays import (
    ArrayLike,
    Coefficient,
    like,
    moved,
    to_alpha,
    to_coefficient,
    to_device,
    to_guess,
    to_mask,
    to_tensor,
)
from fastsciml.solvers.boundary import BoundaryConditions, boundary_source, kind_of, parse_conditions
from fastsciml.solvers.direct import Direct, all_fast, transforms_of
from fastsciml.solvers.discretisation import Discretisation
from fastsciml.solvers.fills import Batch, places
from fastsciml.solvers.grid import CENTERINGS, Centering, Grid, boundary_gaps, make_grid, parse_spacing
from fastsciml.solvers.inverse import inverse
from fastsciml.solvers.iteration import Iteration, Progress
from fastsciml.solvers.learned import LearnedDirections, LearnedIteration
from fastsciml.solvers.linear_operators import apply_operator, cycle_operator
from fastsciml.solvers.result import ArrayT, PoissonResult
from fastsciml.solvers.run import Callback, Method, NullSpaceMode, Run, Solving, Stopping
from fastsciml.solvers.system import COEFFICIENT_REACH, SPACING_REACH, power_of_two
from fastsciml.solvers.traced import name_solver, solve_traced


class PoissonSolver:
    """Solves -div(k grad u) + alpha u = f on one box, again and again: hierarchy and work arrays are made once.

    Args:
        shape: unknowns per axis, one to three.
        spacing: in the unit of length; like all up to `method` as in `solve_poisson`: a number, or one entry per axis.
        boundary: one entry for all faces, or one per axis, each a condition or a pair (lower, upper).
        centering: "cell" or "vertex", where unknowns are.
        solid: bool, [*shape] or [*batch, *shape]; True where there is no fluid.
        fixed: likewise; True where the solution is given.
        coefficient: k at the unknowns, [*shape] or [*batch, *shape], or a list with the faces' k for each axis.
        alpha: at least 0, a number or an array [*shape] or [*batch, *shape].
        method: how to solve, "auto" by default.
        dtype: torch.float32 or torch.float64, that of the right-hand sides.
        device: the CPU or a CUDA device, likewise. Arrays given here may be on the CPU or there.

    Raises:
        TypeError: an array or dtype is of an unusable kind.
        ValueError: a shape, name or number does not fit, the masks leave no unknown, alpha or the coefficient is
            negative, or "fft" does not apply.
        RuntimeError: the device is CUDA, and fastsciml's CUDA library is not loaded.

    Source of the method: Trottenberg, Oosterlee, Schueller, Multigrid (2001), ch. 2 and 5.

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
        spacing: Any = 1.0,
        boundary: BoundaryConditions = "dirichlet",
        centering: Centering = "cell",
        solid: ArrayLike | None = None,
        fixed: ArrayLike | None = None,
        coefficient: Coefficient = 1.0,
        alpha: float | ArrayLike = 0.0,
        method: Method | LearnedDirections = "auto",
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        self.shape = tuple(shape)
        if not 1 <= len(self.shape) <= 3 or min(self.shape) < 1:
            raise ValueError(f"shape must be one to three positive extents, got {self.shape}")
        if dtype not in (torch.float32, torch.float64):
            raise TypeError(f"dtype must be torch.float32 or torch.float64, got {dtype}")
        if centering not in CENTERINGS:
            raise ValueError(f"centering must be one of {', '.join(CENTERINGS)}, got {centering!r}")
        if not isinstance(method, LearnedDirections) and method not in get_args(Method):
            raise ValueError(f"method must be one of {', '.join(get_args(Method))}, got {method!r}")
        self.learned = _learned(method, len(self.shape))
        self.method: Method = "learned" if isinstance(method, LearnedDirections) else method
        self.dtype, self.device, self.centering = dtype, to_device(device), centering
        self._name = name_solver(self)
        self.conditions = parse_conditions(boundary, len(self.shape))
        self._kinds = [(kind_of(lower), kind_of(upper)) for lower, upper in self.conditions]
        self.spacing = parse_spacing(spacing, self.shape, self._kinds, centering)
        self._unit = power_of_two(min(float(np.min(h)) for h in self.spacing), SPACING_REACH)
        self._grid = self._make_grid()
        # The set-up is the CPU's.
        self._solid = to_mask(solid, "solid", self.shape, self.device)
        self._fixed = to_mask(fixed, "fixed", self.shape, self.device)
        self.coefficient = to_coefficient(coefficient, self.shape, dtype, self.device)
        self.alpha = to_alpha(alpha, self.shape, dtype, self.device)
        # The kernels' coefficients are smaller than the caller's by 2**_coefficient_unit, lengths by 2**_unit.
        self._coefficient_unit = power_of_two(self._largest_coefficient(), COEFFICIENT_REACH)
        self._power = self._coefficient_unit - 2 * self._unit
        self._check_alpha()
        self._samples = self._make_samples()
        self._works: list[Solving | None] = [None] * len(self._samples)
        self._transforms = self._find_transforms()
        if method == "fft" and self._transforms is None:
            raise ValueError(
                'method="fft" solves boxes of one medium with uniform spacing and no Robin face: '
                'use "multigrid" or "auto"'
            )

    @property
    def unknowns(self) -> int:
        """Of one right-hand side; of the whole batch where samples have masks or coefficients of their own."""
        return sum(sample.unknowns for sample in self._samples)

    @cached_property
    def batch(self) -> tuple[int, ...]:
        """Leading axes of the masks, coefficient and alpha; () where all samples share them.

        Raises:
            ValueError: they do not fit together.
        """
        given = [self._solid, self._fixed, self.alpha if self.alpha is not None and self.alpha.numel() > 1 else None]
        coefficient = self.coefficient
        given += coefficient if isinstance(coefficient, list) else [coefficient]
        dims = len(self.shape)
        leading = [tuple(tensor.shape[: tensor.ndim - dims]) for tensor in given if tensor is not None]
        try:
            return tuple(np.broadcast_shapes(*leading))
        except ValueError:
            shapes = ", ".join(map(str, leading))
            raise ValueError(f"the batches of solid, fixed, coefficient and alpha do not fit: {shapes}") from None

    def solve(
        self,
        rhs: ArrayT,
        *,
        fixed_value: float | ArrayLike = 0.0,
        tol: float = 1e-8,
        max_iterations: int | None = None,
        initial_guess: ArrayLike | None = None,
        nullspace: NullSpaceMode = "project",
        progress: bool | Progress = False,
        callback: Callback | None = None,
    ) -> PoissonResult[ArrayT]:
        """Solve for one right-hand side, or a batch; arguments as in `solve_poisson`.

        Args:
            rhs: [*batch, *shape], of the solver's dtype and on its device.
            fixed_value: the solution in fixed cells, a number or an array that broadcasts to rhs.
            tol: relative to the right-hand side with the boundary's and the fixed cells' values in it.
            max_iterations: per right-hand side.
            initial_guess: where to start, of rhs's shape, for example the solution of the time step before.
            nullspace: "project" or "raise".
            progress: True, or a function of the iteration and the relative residual.
            callback: a function of the iteration, the relative residual and the iterate.

        Returns:
            The solution, of rhs's kind, shape and dtype, and how it came about.

        Raises:
            TypeError: rhs or another array is of an unusable kind or dtype.
            ValueError: rhs has another shape, dtype, device or batch, or NaN or Inf; another argument does not fit; or
                (nullspace="raise") f has a mean.
        """
        stopping = Stopping(tol, max_iterations)
        if torch.compiler.is_compiling() and not progress and callback is None:
            options = {"fixed_value": fixed_value, "initial_guess": initial_guess, "nullspace": nullspace}
            return solve_traced(rhs, options, self._made_of(), len(self.shape), stopping, self._name)
        return self._solve(rhs, stopping, fixed_value, initial_guess, nullspace, progress, callback, stacklevel=3)

    def as_linear_operator(self, *, by_volume: bool = False) -> LinearOperator:
        """A as a SciPy LinearOperator on flat arrays of one right-hand side; 0 in cells without an unknown.

        Args:
            by_volume: times each cell's volume, in units of the largest. That makes A symmetric on stretched and
                vertex-centred grids, too (`solver.volumes` for the right-hand side); on others it changes nothing.

        Raises:
            ValueError: the solver is on a CUDA device, or has a batch of masks, coefficients or alphas.
        """
        return apply_operator(self._only_sample(), self.shape, ldexp(1.0, self._power), by_volume)

    def preconditioner(self, *, by_volume: bool = False) -> LinearOperator:
        """A symmetric V-cycle, about A^-1, as a SciPy LinearOperator: M= of scipy.sparse.linalg.cg.

        Args:
            by_volume: for the operator of the same name.

        Raises:
            ValueError: as for `as_linear_operator`.
        """
        return cycle_operator(self._only_sample(), self.shape, ldexp(1.0, -self._power), by_volume)

    @property
    def volumes(self) -> Tensor:
        """[*shape] in the solver's dtype, on its device: of the cells around the unknowns, in units of the largest."""
        volumes = torch.from_numpy(self._grid.volumes()).to(self.device, self.dtype)
        return volumes.reshape(self.shape)

    def __str__(self) -> str:
        lines = [
            f"PoissonSolver {' x '.join(map(str, self.shape))}, {self.unknowns:,} unknowns, {self.centering}-centred"
        ]
        work = self._works[0]
        if work is None or isinstance(work, Direct):
            return f"{lines[0]}, by {self._method()}"
        hierarchy = work.hierarchy
        lines += [
            f"  level {l}: {' x '.join(str(axis.extent) for axis in axes)}" for l, axes in enumerate(hierarchy.levels)
        ]
        scratch = 4 * sum(t.numel() for t in work.arrays)
        return "\n".join([*lines, f"  {hierarchy.nbytes:,} bytes of operators, {scratch:,} of work arrays"])

    def _solve(
        self,
        rhs: ArrayT,
        stopping: Stopping,
        fixed_value: float | ArrayLike,
        initial_guess: ArrayLike | None,
        nullspace: NullSpaceMode,
        progress: bool | Progress,
        callback: Callback | None,
        stacklevel: int,
    ) -> PoissonResult[ArrayT]:
        start = perf_counter()
        if nullspace not in ("project", "raise"):
            raise ValueError(f'nullspace must be "project" or "raise", got {nullspace!r}')
        f = to_tensor(rhs, "rhs")
        dims = len(self.shape)
        batch = tuple(f.shape[: f.ndim - dims])
        if tuple(f.shape[f.ndim - dims :]) != self.shape or f.dtype != self.dtype:
            raise ValueError(
                f"rhs must have shape [*batch, {', '.join(map(str, self.shape))}] and dtype {self.dtype}, "
                f"got {tuple(f.shape)} and {f.dtype}"
            )
        if f.device != self.device:
            raise ValueError(f"rhs is on {f.device} and the solver on {self.device}: move it there, or make another")
        if self.batch and batch != self.batch:
            raise ValueError(f"rhs must have the batch {self.batch} of the masks and coefficients, got {batch}")
        guess = None if initial_guess is None else to_guess(initial_guess, f)
        run = Run(self, stopping, nullspace, progress, callback, start)
        result = run.result(like(rhs, self._solution(f, fixed_value, guess, run)))
        run.warn(result, stacklevel + 1)
        return result

    def _solution(self, f: Tensor, fixed_value: float | ArrayLike, guess: Tensor | None, run: Run) -> Tensor:
        """As a differentiable function of f, the boundary's and fixed cells' values, the coefficient and alpha."""
        given = self._given_values(fixed_value, f)
        u = inverse(self._with_values(f, given), guess, run, self._parameters())
        return u if given is None or self._where_fixed is None else torch.where(self._where_fixed, given, u)

    def _made_of(self) -> dict[str, Any]:
        """The arguments that make this solver again, beside shape and dtype."""
        return {
            "spacing": self.spacing,
            "boundary": self.conditions,
            "centering": self.centering,
            "solid": self._solid,
            "fixed": self._fixed,
            "coefficient": 1.0 if self.coefficient is None else self.coefficient,
            "alpha": 0.0 if self.alpha is None else self.alpha,
            "method": self.learned or self.method,
        }

    def _work(self, sample: int) -> Solving:
        """What solves a sample, made at the first use."""
        made = self._works[sample]
        if made is None:
            of = self._samples[sample]
            if self._method() == "fft":
                assert self._transforms is not None
                made = Direct(of, self._transforms, [float(h) * 2.0**-self._unit for h in self.spacing])
            elif self.learned is not None:
                made = LearnedIteration(self.learned, self, sample)
            else:
                hierarchy, placed = of.hierarchy().to(self.device), of.placed
                made = Iteration(hierarchy, placed.operator, placed.volumes, diagonal=self.method == "cg")
            self._works[sample] = made
        return made

    def _method(self) -> str:
        """The one that "auto" chooses, or the one that was asked for."""
        if self.method != "auto":
            return self.method
        # Other devices transform by dense matrices.
        fast = self.device.type == "cpu" and self._transforms is not None and all_fast(self.shape, self._transforms)
        return "fft" if fast else "multigrid"

    @cached_property
    def _where_fixed(self) -> Tensor | None:
        """The fixed cells of all samples, on the device."""
        return None if self._fixed is None else self._fixed.to(self.device)

    def _make_samples(self) -> list[Discretisation]:
        """In the kernels' units."""
        k, alpha, scale = self.coefficient, self.alpha, ldexp(1.0, -self._coefficient_unit)
        if k is not None and scale != 1:
            k = [face * scale for face in k] if isinstance(k, list) else k * scale
        scaled = None if alpha is None else alpha * ldexp(1.0, -self._power)
        fills = Batch(self.shape, self.batch, self._grid).fills(self._solid, self._fixed, k, scaled)
        return [Discretisation(self._grid, fill, self.dtype, self.device) for fill in fills]

    def _find_transforms(self) -> list[Transform] | None:
        if not all(sample.is_box for sample in self._samples):
            return None
        return transforms_of(self.spacing, self._kinds, self.centering)

    def _make_grid(self) -> Grid:
        """The grid in lengths of 2**_unit, in which float32 holds 1/h^2."""
        scale = 2.0**-self._unit
        # Of a Robin condition a u + b du/dn, b counts lengths.
        scaled = [tuple((k[0], k[1] * scale) if isinstance(k, tuple) else k for k in pair) for pair in self._kinds]
        return make_grid(self.shape, [h * scale for h in self.spacing], cast(Any, scaled), self.centering)

    def _largest_coefficient(self) -> float:
        if self.coefficient is None:
            return 1.0
        given = self.coefficient if isinstance(self.coefficient, list) else [self.coefficient]
        return max(float(k.detach().max()) for k in given) or 1.0

    def _check_alpha(self) -> None:
        if self.alpha is None:
            return
        largest = float(self.alpha.detach().max())
        try:
            scaled = ldexp(largest, -self._power)
        except OverflowError:
            scaled = np.inf
        if not scaled <= float(torch.finfo(torch.float32).max) / 1e6:
            raise ValueError(f"alpha {largest} times the spacing squared is out of range")

    def _parameters(self) -> list[Tensor]:
        """What gradients may be asked of beside the right-hand side: the faces and alpha of every sample."""
        operators = [sample.placed.given for sample in self._samples]
        return [t for a in operators for t in [*(a.coefficient or []), a.alpha] if t is not None]

    def _with_values(self, f: Tensor, given: Tensor | None) -> Tensor:
        """F with what the boundary's and the fixed cells' values bring to it."""
        ends = [
            boundary_gaps(n, h, pair, self.centering)
            for n, h, pair in zip(self.shape, self.spacing, self._kinds, strict=True)
        ]
        b = boundary_source(f, self.conditions, ends, self._faces_along())
        if given is None or self._fixed is None:
            return b
        fields = given.expand(f.shape).reshape(len(self._samples), -1, *self._grid.extents)
        brought = []
        for sample, field in zip(self._samples, fields, strict=True):
            of = sample.placed
            assert of.fixed is not None
            brought.append(of.given(torch.where(of.fixed, field, 0)))
        return b - ldexp(1.0, self._power) * torch.stack(brought).reshape(f.shape)

    def _faces_along(self) -> list[Tensor] | None:
        """What the faces across each given axis conduct, in the caller's units, [*batch, ...]."""
        of_samples = [sample.placed.given.coefficient or [] for sample in self._samples]
        if not of_samples[0]:
            return None
        scale = ldexp(1.0, self._coefficient_unit)
        along = []
        for axis, place in enumerate(places(len(self.shape))):
            own = [n + (a == axis) for a, n in enumerate(self.shape)]
            faces = torch.stack([of[place] for of in of_samples]) if self.batch else of_samples[0][place]
            faces = faces.reshape(*self.batch, *own)
            along.append(faces if scale == 1 else scale * faces)
        return along

    def _given_values(self, fixed_value: float | ArrayLike, f: Tensor) -> Tensor | None:
        if isinstance(fixed_value, Tensor | np.ndarray):
            value = moved(fixed_value, "fixed_value", self.device, self.device).to(self.dtype)
        else:
            value = torch.tensor(float(fixed_value), dtype=self.dtype, device=self.device)
            if fixed_value == 0:
                return None
        try:
            value.expand(f.shape)
        except RuntimeError:
            raise ValueError(
                f"fixed_value must broadcast to rhs's shape {tuple(f.shape)}, got {tuple(value.shape)}"
            ) from None
        if self._where_fixed is None:
            raise ValueError("fixed_value needs fixed cells: give fixed=")
        if not torch.isfinite(torch.where(self._where_fixed, value.detach(), 0)).all():
            raise ValueError("fixed_value has NaN or Inf in a fixed cell")
        return value

    def _only_sample(self) -> Discretisation:
        if self.device.type != "cpu":
            raise ValueError(f"SciPy's linear operators are on the CPU, the solver is on {self.device}")
        if len(self._samples) > 1:
            raise ValueError("a linear operator is one sample's: give masks and coefficients without a batch")
        return self._samples[0]


def _learned(method: Method | LearnedDirections, dims: int) -> LearnedDirections | None:
    """How directions are learned, where they are."""
    if isinstance(method, LearnedDirections) or method != "learned":
        return method if isinstance(method, LearnedDirections) else None
    # Networks are built on solvers.
    from fastsciml.directions.weights import load_direction

    if dims == 1:
        raise ValueError('method="learned" has weights for 2 and 3 dimensions: give LearnedDirections(network)')
    return LearnedDirections(load_direction(f"multigrid-{dims}d", dims=dims), memory=1)
