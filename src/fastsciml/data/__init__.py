"""Model problems, shared by the tests, the benchmarks, the examples and the command line."""

from .darcy import DarcyFlow, multiscale_coefficient, solve_darcy
from .gaussian_random_field import GaussianRandomField
from .generate import OperatorProblem, generate
from .helmholtz import Helmholtz, solve_helmholtz
from .manufactured import manufactured
from .navier_stokes import NavierStokes, solve_navier_stokes
from .operator_data import OperatorData, load_inputs, load_operator_data
from .poisson_matrix import poisson_matrix
from .smoke_plume import SmokePlume, smoke_plume
from .staggered import divergence, project

__all__ = [
    "DarcyFlow",
    "GaussianRandomField",
    "Helmholtz",
    "NavierStokes",
    "OperatorData",
    "OperatorProblem",
    "SmokePlume",
    "divergence",
    "generate",
    "load_inputs",
    "load_operator_data",
    "manufactured",
    "multiscale_coefficient",
    "poisson_matrix",
    "project",
    "smoke_plume",
    "solve_darcy",
    "solve_helmholtz",
    "solve_navier_stokes",
]
