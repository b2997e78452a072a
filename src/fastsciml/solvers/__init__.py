"""Complete solvers on the kernels of fastsciml.ops."""

from fastsciml.solvers.poisson import NotConvergedWarning, RemovedMeanWarning, solve_poisson
from fastsciml.solvers.result import PoissonResult, StopReason

__all__ = [
    "NotConvergedWarning",
    "PoissonResult",
    "RemovedMeanWarning",
    "StopReason",
    "solve_poisson",
]
