"""`solve_poisson`: -div(grad u) + alpha u = f on a box with solid cells, by multigrid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

from torch import Tensor

from fastsciml.solvers.arrays import ArrayLike, to_tensor
from fastsciml.solvers.boundary import BoundaryConditions
from fastsciml.solvers.multigrid_iteration import Progress
from fastsciml.solvers.poisson_solver import NullSpaceMode, PoissonSolver, Stopping
from fastsciml.solvers.result import ArrayT, PoissonResult, Seconds


def solve_poisson(
    rhs: ArrayT,
    *,
    spacing: float | Sequence[float] = 1.0,
    boundary: BoundaryConditions = "dirichlet",
    solid: ArrayLike | None = None,
    alpha: float | Tensor = 0.0,
    dims: int | None = None,
    tol: float = 1e-8,
    max_iterations: int = 100,
    initial_guess: ArrayLike | None = None,
    nullspace: NullSpaceMode = "project",
    progress: bool | Progress = False,
) -> PoissonResult[ArrayT]:
    """Solve -div(grad u) + alpha u = f.

    Unknowns are cell-centred: the boundary lies half a cell outside the first one. The matrix is the 5- or 7-point
    one with 1/h^2 in it, symmetric and positive (semi)definite. Memory beyond rhs and solution: about 18 bytes an
    unknown, 40 with a mask.

    Args:
        rhs: f, float32 or float64, [*batch, nx, ny, nz], [*batch, nx, ny] or [*batch, n]; a torch CPU tensor or a
            NumPy array. Values in solid cells are ignored.
        spacing: cell width, one number or one per axis.
        boundary: "dirichlet", "neumann" or "periodic" for all faces, or one entry per axis, each a name or a pair
            (lower, upper). A name stands for the value 0; `Dirichlet(value)`, `Neumann(value)` and `Robin(a, b, value)`
            in its place carry one, a number or an array [*batch, other axes].
        solid: bool, shape of one right-hand side; True where there is no fluid. No flow crosses a solid face
            (Neumann).
        alpha: a number of at least 0 (screened Poisson; 1 / time step in implicit diffusion), or a tensor of one.
        dims: how many trailing axes are spatial, 1 to 3; all by default. The leading ones are a batch.
        tol: stop at ||b - A u|| <= tol ||b||, the true residual in rhs's dtype, where b is f with the boundary's values
            in it. float32 can rarely reach the default.
        max_iterations: per right-hand side.
        initial_guess: of rhs's shape; zero by default.
        nullspace: what to do where neither a face nor alpha fixes the solution of a connected region and f has a mean
            there, so that there is no solution: "project" removes it (and warns where it is more than rounding),
            "raise" raises. The solution then has mean zero.
        progress: True shows a bar on stderr; a function is called as progress(iteration, relative_residual).

    Raises:
        TypeError: rhs or another array is of an unusable kind or dtype.
        ValueError: a shape, name or number does not fit, rhs has NaN or Inf, the mask leaves no fluid, or
            (nullspace="raise") f has a mean.

    Differentiable in rhs, alpha and the boundary's values, to any order; a gradient is one more solve to the same
    tolerance.

    Source of the smoothing and of the coarse operators: Trottenberg, Oosterlee, Schueller, Multigrid (2001), ch. 2
    and 5.

    Example:
        >>> result = solve_poisson(torch.randn(64, 64, 64, dtype=torch.float64), spacing=1 / 64)
        >>> result.converged
        True
    """
    start = perf_counter()
    f = to_tensor(rhs, "rhs")
    dims = f.ndim if dims is None else dims
    if not isinstance(dims, int) or dims not in (1, 2, 3) or dims > f.ndim:
        raise ValueError(
            f"rhs must have 1 to 3 spatial axes, got shape {tuple(f.shape)} and dims={dims}; "
            "dims= sets them apart from a batch"
        )
    if f.numel() == 0:
        raise ValueError(f"rhs is empty: its shape is {tuple(f.shape)}")
    stopping = Stopping(tol, max_iterations)
    shape = tuple(f.shape[f.ndim - dims :])
    solver = PoissonSolver(shape, spacing=spacing, boundary=boundary, solid=solid, alpha=alpha, dtype=f.dtype)
    made = perf_counter() - start
    result = solver._solve(rhs, stopping, initial_guess, nullspace, progress, stacklevel=3)
    return replace(result, seconds=Seconds(made + result.seconds.setup, result.seconds.solve))
