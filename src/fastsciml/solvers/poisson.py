"""`solve_poisson`: -div(grad u) = f on a box with solid cells, by multigrid-preconditioned conjugate gradients."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import frexp, isfinite
from numbers import Integral, Real
from time import perf_counter
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastsciml.ops.huge_pages import empty_in_huge_pages
from fastsciml.progress import ResidualBar
from fastsciml.solvers.faces import open_faces, pack_faces
from fastsciml.solvers.grid import Boundary, Grid, parse_boundary, parse_spacing
from fastsciml.solvers.hierarchy import box_hierarchy, masked_hierarchy
from fastsciml.solvers.multigrid_iteration import MultigridIteration, Operator, Progress
from fastsciml.solvers.nullspace import NullSpace, find_null_space
from fastsciml.solvers.result import ArrayT, PoissonResult, Seconds, StopReason

ArrayLike = Tensor | npt.NDArray[Any]

# Powers of two: a spacing, and a norm of rhs, within these the kernels take as they are; others are scaled first, so
# that float32 holds 1/h^2 and float64 the squares. A solution past the last ones is
# refused.
SPACING_REACH = 40
NORM_REACH = {torch.float32: 60, torch.float64: 400}
SOLUTION_REACH = {torch.float32: 110, torch.float64: 960}


class NotConvergedWarning(UserWarning):
    """A solve ended above its tolerance; the result says why."""


class RemovedMeanWarning(UserWarning):
    """A right-hand side without a solution was made solvable by removing its mean."""


def solve_poisson(
    rhs: ArrayT,
    *,
    spacing: float | Sequence[float] = 1.0,
    boundary: Boundary = "dirichlet",
    solid: ArrayLike | None = None,
    dims: int | None = None,
    tol: float = 1e-8,
    max_iterations: int = 100,
    initial_guess: ArrayLike | None = None,
    nullspace: Literal["project", "raise"] = "project",
    progress: bool | Progress = False,
) -> PoissonResult[ArrayT]:
    """Solve -div(grad u) = f with zero boundary values.

    Unknowns are cell-centred: the boundary lies half a cell outside the first one. The matrix is the 5- or 7-point
    one with 1/h^2 in it, symmetric and positive (semi)definite. Memory beyond rhs and solution: about 18 bytes an
    unknown, 40 with a mask.

    Args:
        rhs: f, float32 or float64, [*batch, nx, ny, nz], [*batch, nx, ny] or [*batch, n]; a torch CPU tensor or a
            NumPy array. Values in solid cells are ignored.
        spacing: cell width, one number or one per axis.
        boundary: "dirichlet", "neumann" or "periodic" for all faces, or one entry per axis, each a name or a pair
            (lower, upper).
        solid: bool, shape of one right-hand side; True where there is no fluid. No flow crosses a solid face
            (Neumann).
        dims: how many trailing axes are spatial, 1 to 3; all by default. The leading ones are a batch.
        tol: stop at ||f - A u|| <= tol ||f||, the true residual in rhs's dtype. float32 can rarely reach the default.
        max_iterations: per right-hand side.
        initial_guess: of rhs's shape; zero by default.
        nullspace: what to do where no Dirichlet face fixes the solution of a connected region and f has a mean there,
            so that there is no solution: "project" removes it (and warns where it is more than rounding), "raise"
            raises. The solution then has mean zero.
        progress: True shows a bar on stderr; a function is called as progress(iteration, relative_residual).

    Raises:
        TypeError: rhs or another array is of an unusable kind or dtype.
        ValueError: a shape, name or number does not fit, rhs has NaN or Inf, the mask leaves no fluid, or
            (nullspace="raise") f has a mean.

    Source of the smoothing and of the coarse operators: Trottenberg, Oosterlee, Schueller, Multigrid (2001), ch. 2
    and 5.

    Example:
        >>> result = solve_poisson(torch.randn(64, 64, 64, dtype=torch.float64), spacing=1 / 64)
        >>> result.converged
        True
    """
    start = perf_counter()
    f = _to_tensor(rhs, "rhs")
    dims = f.ndim if dims is None else dims
    if not isinstance(dims, int) or dims not in (1, 2, 3) or dims > f.ndim:
        raise ValueError(
            f"rhs must have 1 to 3 spatial axes, got shape {tuple(f.shape)} and dims={dims}; "
            "dims= sets them apart from a batch"
        )
    if f.numel() == 0:
        raise ValueError(f"rhs is empty: its shape is {tuple(f.shape)}")
    if not isinstance(tol, Real):
        raise TypeError(f"tol must be a positive number, got {tol!r}")
    if not (isfinite(tol) and tol > 0):
        raise ValueError(f"tol must be a positive number, got {tol}")
    if not isinstance(max_iterations, Integral):
        raise TypeError(f"max_iterations must be a whole number, got {max_iterations!r}")
    if max_iterations < 0:
        raise ValueError(f"max_iterations must not be negative, got {max_iterations}")
    if nullspace not in ("project", "raise"):
        raise ValueError(f'nullspace must be "project" or "raise", got {nullspace!r}')
    shape = tuple(f.shape[f.ndim - dims :])
    widths = parse_spacing(spacing, dims)
    unit = _exponent(min(widths), SPACING_REACH)
    grid = Grid(shape, tuple(h / 2.0**unit for h in widths), parse_boundary(boundary, dims))
    fluid = _fluid_cells(solid, shape, grid.extents)
    guess = None if initial_guess is None else _guess(initial_guess, f)

    samples = f.reshape(-1, *grid.extents)
    null_space = find_null_space(grid, fluid)
    systems = []
    for sample in samples:
        system = _prepare(sample, fluid, null_space, nullspace)
        size = frexp(system.norm)[1] + system.exponent + 2 * frexp(min(widths))[1]
        if system.norm > 0 and abs(size) > SOLUTION_REACH[f.dtype]:
            raise ValueError(f"the solution is out of {f.dtype}'s range: scale rhs, or spacing {spacing!r}")
        systems.append(replace(system, exponent=system.exponent + 2 * unit))
    solver = _make_solver(grid, fluid, f.dtype)
    setup = perf_counter() - start

    start = perf_counter()
    solution = empty_in_huge_pages(*samples.shape, dtype=f.dtype)
    solution.copy_(guess.reshape(samples.shape)) if guess is not None else solution.zero_()
    runs: list[tuple[list[float], StopReason]] = []
    with ExitStack() as stack:
        report = _reporter(progress, tol, stack)
        for system, u in zip(systems, solution, strict=True):
            if system.norm == 0:
                u.zero_()
                runs.append(([0.0], StopReason.CONVERGED))
                continue
            if guess is not None:
                _multiply(u, -system.exponent)
                if fluid is not None:
                    u.mul_(fluid)
            runs.append(solver.solve(system.b, u, system.norm, tol, max_iterations, report, from_zero=guess is None))
            null_space.project(u)
            _multiply(u, system.exponent)
    solve = perf_counter() - start

    failed = [reason for _, reason in runs if reason is not StopReason.CONVERGED]
    result = PoissonResult(
        solution=_like(rhs, solution.reshape(f.shape)),
        converged=not failed,
        iterations=max(len(history) for history, _ in runs) - 1,
        residuals=_histories([history for history, _ in runs], tuple(f.shape[: f.ndim - dims])),
        reason=failed[0] if failed else StopReason.CONVERGED,
        seconds=Seconds(setup, solve),
        removed_mean=max((system.mean for system in systems), key=abs),
        unknowns=len(samples) * (samples[0].numel() if fluid is None else int(fluid.sum())),
    )
    if failed:
        warnings.warn(f"solve_poisson: {result}", NotConvergedWarning, stacklevel=2)
    return result


def _to_tensor(array: ArrayLike, name: str) -> Tensor:
    if isinstance(array, np.ndarray):
        if array.dtype not in (np.float32, np.float64):
            raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            return torch.from_numpy(np.asarray(array, order="C"))
    if not isinstance(array, Tensor):
        raise TypeError(f"{name} must be a torch tensor or a NumPy array, got {type(array).__name__}")
    if array.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")
    if array.layout != torch.strided:
        raise TypeError(f"{name} must be dense, got {array.layout}")
    _check_device(array, name)
    return array.detach().contiguous()


def _check_device(tensor: Tensor, name: str) -> None:
    if tensor.device.type != "cpu":
        raise ValueError(f"{name} is on {tensor.device}, and this version solves on the CPU only: pass {name}.cpu()")


def _guess(initial_guess: ArrayLike, f: Tensor) -> Tensor:
    guess = _to_tensor(initial_guess, "initial_guess")
    if guess.shape != f.shape or guess.dtype != f.dtype:
        raise ValueError(
            f"initial_guess must have rhs's shape {tuple(f.shape)} and dtype {f.dtype}, "
            f"got {tuple(guess.shape)} and {guess.dtype}"
        )
    if not torch.isfinite(guess).all():
        raise ValueError("initial_guess has NaN or Inf")
    return guess


def _fluid_cells(solid: ArrayLike | None, shape: tuple[int, ...], extents: tuple[int, int, int]) -> Tensor | None:
    """Bool [nx, ny, nz], or None where every cell is fluid."""
    if solid is None:
        return None
    mask = torch.as_tensor(np.ascontiguousarray(solid) if isinstance(solid, np.ndarray) else solid)
    if mask.dtype != torch.bool:
        raise TypeError(f"solid must be bool, got {mask.dtype}")
    _check_device(mask, "solid")
    if tuple(mask.shape) != shape:
        raise ValueError(f"solid must have the shape of one right-hand side {shape}, got {tuple(mask.shape)}")
    if mask.all():
        raise ValueError("solid leaves no fluid cell")
    return ~mask.reshape(extents).contiguous() if mask.any() else None


def _make_solver(grid: Grid, fluid: Tensor | None, dtype: torch.dtype) -> MultigridIteration:
    couplings = np.concatenate([c for axis in grid.axes for c in axis.face_couplings()])
    packed = None
    if fluid is None:
        hierarchy = box_hierarchy(grid)
    else:
        faces = open_faces(fluid, grid.periodic)
        hierarchy = masked_hierarchy(grid, faces)
        packed = pack_faces(fluid, faces)
    operator = Operator(torch.from_numpy(couplings).to(dtype), hierarchy.periodic, packed)
    return MultigridIteration(hierarchy, operator)


@dataclass(frozen=True)
class _System:
    """What is solved for one sample.

    Attributes:
        b: the right-hand side, 0 in solid cells, without the means of free regions, in a unit of its own.
        norm: of b.
        mean: what was taken from the caller's right-hand side.
        exponent: the caller's solution is 2**exponent times that of b.
    """

    b: Tensor
    norm: float
    mean: float
    exponent: int


def _prepare(sample: Tensor, fluid: Tensor | None, null_space: NullSpace, mode: str) -> _System:
    b = sample if fluid is None else torch.where(fluid, sample, 0)
    norm = _norm(b)
    exponent = 0
    if not 2.0 ** -NORM_REACH[b.dtype] < norm < 2.0 ** NORM_REACH[b.dtype]:
        largest = float(torch.linalg.vector_norm(b, torch.inf))
        if not isfinite(largest):
            raise ValueError("rhs has NaN or Inf")
        exponent = max(_exponent(largest, 0), -1000)
        b = b * 2.0**-exponent
        norm = _norm(b)
    if null_space.empty or norm == 0:
        return _System(b, norm, 0.0, exponent)
    b = b.clone() if b is sample else b
    root_mean_square = norm / b.numel() ** 0.5
    projected = null_space.project(b)
    mean = projected * 2.0**exponent
    if abs(projected) > 100 * torch.finfo(b.dtype).eps * root_mean_square:
        if mode == "raise":
            raise ValueError(
                f"rhs has the mean {mean:.6g} where no Dirichlet face fixes the solution, so there is none; "
                f'nullspace="project" removes it'
            )
        warnings.warn(
            f"solve_poisson: removed the mean {mean:.6g} of rhs, with which there is no solution",
            RemovedMeanWarning,
            stacklevel=3,
        )
    remaining = _norm(b)
    return _System(b, 0.0 if remaining <= torch.finfo(b.dtype).eps * norm else remaining, mean, exponent)


def _norm(b: Tensor) -> float:
    return float(torch.linalg.vector_norm(b, dtype=torch.float64))


def _exponent(value: float, reach: int) -> int:
    """Of the power of two next to a positive value; 0 within 2**-reach to 2**reach."""
    exponent = frexp(value)[1]
    return exponent if abs(exponent) > reach else 0


def _multiply(u: Tensor, exponent: int) -> None:
    if exponent:
        u.mul_(2.0**exponent)


def _reporter(progress: bool | Progress, tol: float, stack: ExitStack) -> Progress:
    if callable(progress):
        return progress
    if progress:
        return stack.enter_context(ResidualBar(tol))
    return lambda iteration, residual: None


def _histories(histories: list[list[float]], batch: tuple[int, ...]) -> npt.NDArray[np.float64]:
    table = np.full((max(len(h) for h in histories), len(histories)), np.nan)
    for column, history in enumerate(histories):
        table[: len(history), column] = history
    return table.reshape(-1, *batch)


def _like(given: ArrayT, solution: Tensor) -> ArrayT:
    converted: ArrayT = cast(Any, solution.numpy() if isinstance(given, np.ndarray) else solution)
    return converted
