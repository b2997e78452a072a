"""Complete solvers on the kernels of fastsciml.ops."""

from fastsciml.solvers.boundary import Dirichlet, Neumann, Robin
from fastsciml.solvers.conjugate_directions import DirectionsResult, conjugate_directions
from fastsciml.solvers.learned import LearnedDirections
from fastsciml.solvers.poisson import solve_poisson
from fastsciml.solvers.poisson_solver import PoissonSolver
from fastsciml.solvers.result import NotConvergedWarning, PoissonResult, RemovedMeanWarning, StopReason

__all__ = [
    "DirectionsResult",
    "Dirichlet",
    "LearnedDirections",
    "Neumann",
    "NotConvergedWarning",
    "PoissonResult",
    "PoissonSolver",
    "RemovedMeanWarning",
    "Robin",
    "StopReason",
    "conjugate_directions",
    "solve_poisson",
]
