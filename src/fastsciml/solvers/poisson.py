"""`solve_poisson`: -div(k grad u) + alpha u = f on a box, whatever fills it."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Any

import torch

from fastsciml.solvers.arrays import ArrayLike, Coefficient, to_tensor
from fastsciml.solvers.boundary import BoundaryConditions
from fastsciml.solvers.grid import Centering
from fastsciml.solvers.iteration import Progress
from fastsciml.solvers.learned import LearnedDirections
from fastsciml.solvers.poisson_solver import PoissonSolver
from fastsciml.solvers.result import ArrayT, PoissonResult
from fastsciml.solvers.run import Callback, Method, NullSpaceMode, Stopping
from fastsciml.solvers.traced import solve_traced


def solve_poisson(
    rhs: ArrayT,
    *,
    spacing: Any = 1.0,
    boundary: BoundaryConditions = "dirichlet",
    centering: Centering = "cell",
    solid: ArrayLike | None = None,
    fixed: ArrayLike | None = None,
    fixed_value: float | ArrayLike = 0.0,
    coefficient: Coefficient = 1.0,
    alpha: float | ArrayLike = 0.0,
    dims: int | None = None,
    method: Method | LearnedDirections = "auto",
    tol: float = 1e-8,
    max_iterations: int | None = None,
    initial_guess: ArrayLike | None = None,
    nullspace: NullSpaceMode = "project",
    progress: bool | Progress = False,
    callback: Callback | None = None,
) -> PoissonResult[ArrayT]:
    """Solve -div(k grad u) + alpha u = f.

    The matrix A is the 5- or 7-point one with 1/h^2 in it, positive (semi)definite, and symmetric on uniform
    cell-centred grids; on others it is so once its rows are multiplied by the cells' volumes. Memory beyond rhs and
    solution: about 18 bytes an unknown, 40 with a mask, 110 with a coefficient (float64).

    Args:
        rhs: f, float32 or float64, [*batch, nx, ny, nz], [*batch, nx, ny] or [*batch, n]; a torch tensor on the
            CPU or a CUDA device, or a NumPy array. Values in solid and fixed cells are ignored. Other arrays may be on
            the CPU, too, whatever its device.
        spacing: in the unit of length; one number, or one entry per axis: a number, or an array of the cells' widths
            along it (`centering="vertex"`: of the intervals between vertices, those to Dirichlet ends included).
        boundary: "dirichlet", "neumann" or "periodic" for all faces, or one entry per axis, each a name or a pair
            (lower, upper). A name stands for the value 0; `Dirichlet(value)`, `Neumann(value)` and `Robin(a, b, value)`
            in its place carry one, a number or an array [*batch, other axes].
        centering: "cell": unknowns are at cell centres, the boundary lies half a cell outside the first one. "vertex":
            they are at vertices, Dirichlet ends one interval outside (their vertices hold no unknown), Neumann and
            Robin ends on the first and last one.
        solid: bool, [*shape] or [*batch, *shape]; True where there is no fluid. No flow crosses a solid face (Neumann).
        fixed: likewise; True where the solution is given: `fixed_value`, at the cell's centre.
        fixed_value: a number, or an array that broadcasts to rhs; read in fixed cells only.
        coefficient: k > 0, at the unknowns, [*shape] or [*batch, *shape], with harmonic means at the faces between
            them and the cell's own k at a boundary; or k >= 0 at the faces, a list with one array per axis, that axis
            having one more entry, the lower face of cell i standing at i (on a periodic axis, first and last must
            agree).
        alpha: at least 0 (screened Poisson; 1 / time step in implicit diffusion): a number, a tensor of one, or an
            array [*shape] or [*batch, *shape].
        dims: how many trailing axes are spatial, 1 to 3; all by default. The leading ones are a batch.
        method: "multigrid": to the tolerance, with conjugate gradients where needed. "fft": a direct solve of
            boxes with uniform spacing and one medium. "auto": "fft" where it applies and its lengths suit it, else
            "multigrid". "fmg": one pass of full multigrid, whose error is about the discretisation's; tol only decides
            about `converged`. "cg": conjugate gradients over the diagonal, for comparison. "learned": directions of a
            trained V-cycle, which is a symmetric one, and of multigrid where those fail; another network's with
            `LearnedDirections(network)`.
        tol: stop at ||b - A u|| <= tol ||b||, the true residual in rhs's dtype, where b is f with the values of the
            boundary and of fixed cells in it. float32 can rarely reach the default.
        max_iterations: per right-hand side; by default 200, and 20 times the longest axis for "cg".
        initial_guess: of rhs's shape; zero by default.
        nullspace: what to do where nothing fixes the solution of a connected region and f has a mean (by volume) there,
            so that there is no solution: "project" removes it (and warns where it is more than rounding), "raise"
            raises. The solution then has mean zero.
        progress: True shows a bar on stderr; a function is called as progress(iteration, relative_residual).
        callback: called after each iteration as callback(iteration, relative_residual, iterate); the iterate is
            overwritten by the next.

    Raises:
        TypeError: rhs or another array is of an unusable kind or dtype.
        ValueError: a shape, name or number does not fit, rhs has NaN or Inf, the masks leave no unknown, alpha or the
            coefficient is negative, "fft" does not apply, (nullspace="raise") f has a mean, or an array is on another
            device than rhs and the CPU.
        RuntimeError: rhs is on a CUDA device, and fastsciml's CUDA library is not loaded.

    Differentiable in rhs, the boundary's and fixed cells' values, the coefficient and alpha, to any order; a gradient
    is one more solve to the same tolerance.

    Source of the smoothing and of the coarse operators: Trottenberg, Oosterlee, Schueller, Multigrid (2001), ch. 2
    and 5.

    Example:
        >>> result = solve_poisson(torch.randn(64, 64, 64, dtype=torch.float64), spacing=1 / 64)
        >>> result.converged
        True
    """
    made_of: dict[str, Any] = {
        "spacing": spacing,
        "boundary": boundary,
        "centering": centering,
        "solid": solid,
        "fixed": fixed,
        "coefficient": coefficient,
        "alpha": alpha,
        "method": method,
    }
    if torch.compiler.is_compiling() and not progress and callback is None:
        options = {"fixed_value": fixed_value, "initial_guess": initial_guess, "nullspace": nullspace}
        spatial = rhs.ndim if dims is None else dims
        return solve_traced(rhs, options, made_of, spatial, Stopping(tol, max_iterations))
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
    solver = PoissonSolver(tuple(f.shape[f.ndim - dims :]), dtype=f.dtype, device=f.device, **made_of)
    made = perf_counter() - start
    result = solver._solve(rhs, stopping, fixed_value, initial_guess, nullspace, progress, callback, stacklevel=3)
    return replace(result, seconds=replace(result.seconds, setup=made + result.seconds.setup))
