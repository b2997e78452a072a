"""Model problems, shared by the tests, the benchmarks, the examples and the command line."""

from .manufactured import manufactured
from .poisson_matrix import poisson_matrix
from .smoke_plume import SmokePlume, smoke_plume
from .staggered import divergence, project

__all__ = ["SmokePlume", "divergence", "manufactured", "poisson_matrix", "project", "smoke_plume"]
