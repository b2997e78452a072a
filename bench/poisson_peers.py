"""Other people's solvers of the same problems."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dstn, idstn

from fastsciml.data import poisson_matrix

from .measure import DisagreementError
from .poisson_problems import Array, Outcome, Problem, grid_name


class SineTransform:
    """Direct solve of a Dirichlet box by SciPy's type 2 discrete sine transform, which diagonalises the matrix.

    The eigenvalues are made here, outside the time, to the peer's advantage.
    """

    def __init__(self, problem: Problem, threads: int) -> None:
        self.problem, self.threads = problem, threads
        self.eigenvalues: Array = np.zeros(())
        for n, h in zip(problem.shape, problem.spacing, strict=True):
            of_axis = (2 / h * np.sin(np.pi * np.arange(1, n + 1) / (2 * n))) ** 2
            self.eigenvalues = self.eigenvalues[..., None] + of_axis

    def solve(self) -> Outcome:
        spectrum = dstn(self.problem.rhs, type=2, workers=self.threads)
        spectrum /= self.eigenvalues
        return Outcome(idstn(spectrum, type=2, workers=self.threads, overwrite_x=True))

    def check_agreement(self, u: Array, exact: Array, tolerance: float) -> None:
        """||u - exact|| cannot exceed the residual over the smallest eigenvalue; two solvers, two residuals."""
        bound = 2 * tolerance * float(np.linalg.norm(self.problem.rhs)) / float(self.eigenvalues.min())
        difference = float(np.linalg.norm(u - exact))
        if not difference <= bound:
            raise DisagreementError(
                f"fastsciml and the sine transform differ by {difference:.2e} at {grid_name(self.problem.shape)}, "
                f"where their residuals allow {bound:.2e}, so no time is reported"
            )


class RugeStuben:
    """PyAMG's classical algebraic multigrid, accelerated by conjugate gradients, on the fluid cells' matrix.

    The matrix is assembled here, outside the time, to the peer's advantage.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        matrix = poisson_matrix(problem.shape, problem.spacing, problem.boundary, problem.solid)
        fluid = problem.fluid.ravel()
        self.matrix = matrix[fluid][:, fluid].tocsr()
        # PyAMG's kernels take 32-bit indices only.
        self.matrix.indices = self.matrix.indices.astype(np.int32)
        self.matrix.indptr = self.matrix.indptr.astype(np.int32)
        self.rhs: NDArray[np.float64] = problem.rhs.ravel()[fluid]

    def solve(self, tolerance: float) -> Outcome:
        """The values in the fluid cells; `on_grid` puts them in their places."""
        import pyamg

        residuals: list[float] = []
        hierarchy = pyamg.ruge_stuben_solver(self.matrix)
        u: Array = hierarchy.solve(self.rhs, tol=tolerance, accel="cg", maxiter=100, residuals=residuals)
        return Outcome(u, len(residuals) - 1)

    def on_grid(self, u: Array) -> Array:
        whole = np.zeros(self.problem.shape)
        whole[self.problem.fluid] = u
        return whole
