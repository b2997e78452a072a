"""Other people's solvers of the same problems, in this process. PETSc's are in `petsc.py`."""

from __future__ import annotations

import numpy as np
from scipy.fft import dstn, idstn

from .measure import DisagreementError
from .poisson_problems import Array, Outcome, Problem
from .poisson_systems import System


class SineTransform:
    """Direct solve of a Dirichlet box by SciPy's discrete sine transform, which diagonalises the matrix.

    Type 1 for vertices, type 2 for cells. The eigenvalues are made here, outside the time, to the peer's advantage.
    """

    def __init__(self, problem: Problem, threads: int) -> None:
        self.problem, self.threads = problem, threads
        self.type = 1 if problem.centering == "vertex" else 2
        self.eigenvalues: Array = np.zeros(())
        for n, h in zip(problem.shape, problem.spacing, strict=True):
            of_axis = (2 / h * np.sin(np.pi * np.arange(1, n + 1) * h / 2)) ** 2
            self.eigenvalues = self.eigenvalues[..., None] + of_axis

    def solve(self) -> Outcome:
        spectrum = dstn(self.problem.rhs, type=self.type, workers=self.threads)
        spectrum /= self.eigenvalues
        return Outcome(idstn(spectrum, type=self.type, workers=self.threads, overwrite_x=True))

    def check_agreement(self, u: Array, exact: Array, tolerance: float) -> None:
        """||u - exact|| cannot exceed the residual over the smallest eigenvalue; two solvers, two residuals."""
        bound = 2 * tolerance * float(np.linalg.norm(self.problem.rhs)) / float(self.eigenvalues.min())
        difference = float(np.linalg.norm(u - exact))
        if not difference <= bound:
            raise DisagreementError(
                f"fastsciml and the sine transform differ by {difference:.2e} at {self.problem.name}, "
                f"where their residuals allow {bound:.2e}, so no time is reported"
            )


class RugeStuben:
    """PyAMG's classical algebraic multigrid, accelerated by conjugate gradients, on the fluid cells' matrix.

    The matrix is assembled before, outside the time, to the peer's advantage.
    """

    def __init__(self, system: System) -> None:
        self.system = system

    def solve(self, tolerance: float) -> Outcome:
        """The values in the fluid cells."""
        import pyamg

        residuals: list[float] = []
        hierarchy = pyamg.ruge_stuben_solver(self.system.matrix)
        u: Array = hierarchy.solve(self.system.rhs, tol=tolerance, accel="cg", maxiter=100, residuals=residuals)
        return Outcome(u, len(residuals) - 1)
