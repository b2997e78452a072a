"""Complete solvers on the kernels of fastsciml.ops."""

from fastsciml.solvers.boundary import Dirichlet, Neumann, Robin
from fastsciml.solvers.poisson import solve_poisson
from fastsciml.solvers.poisson_solver import NotConvergedWarning, PoissonSolver, RemovedMeanWarning
from fastsciml.solvers.result import PoissonResult, StopReason

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
