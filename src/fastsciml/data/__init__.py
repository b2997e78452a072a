"""Model problems, shared by the tests, the benchmarks, the examples and the command line."""

from .gaussian_random_field import GaussianRandomField
from .manufactured import manufactured
from .poisson_matrix import poisson_matrix
from .smoke_plume import SmokePlume, smoke_plume
from .staggered import divergence, project

__all__ = [
    "GaussianRandomField",
    "SmokePlume",
    "divergence",
    "manufactured",
    "poisson_matrix",
    "project",
    "smoke_plume",
]
