"""Complete solvers on the kernels of fastsciml.ops."""

from fastsciml.solvers.boundary import Dirichlet, Neumann, Robin
from fastsciml.solvers.poisson import solve_poisson
from fastsciml.solvers.poisson_solver import PoissonSolver
from fastsciml.solvers.result import NotConvergedWarning, PoissonResult, RemovedMeanWarning, StopReason

__all__ = [
    "Dirichlet",
    "Neumann",
    "NotConvergedWarning",
    "PoissonResult",
    "PoissonSolver",
    "RemovedMeanWarning",
    "Robin",
    "StopReason",
    "solve_poisson",
]
