"""Fast kernels for scientific machine learning in PyTorch, and the published methods built on them."""

import logging

from fastsciml import (
    _library,  # the operators must be in torch before anything names them
    nn,
    ops,
    solvers,
)
from fastsciml.config import package_version, show_config
from fastsciml.solvers import (
    Dirichlet,
    LearnedDirections,
    Neumann,
    NotConvergedWarning,
    PoissonResult,
    PoissonSolver,
    Robin,
    StopReason,
    solve_poisson,
)

__version__ = package_version()

# Silent unless the application asks: logging.getLogger("fastsciml").
logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "Dirichlet",
    "LearnedDirections",
    "Neumann",
    "NotConvergedWarning",
    "PoissonResult",
    "PoissonSolver",
    "Robin",
    "StopReason",
    "nn",
    "ops",
    "show_config",
    "solve_poisson",
    "solvers",
]

del _library
