import numpy as np
import pytest
import torch

from fastsciml import PoissonSolver, Robin, solve_poisson
from fastsciml.data import smoke_plume

SHAPES = [
    *[(n, n) for n in (32, 33, 64, 65, 128, 129, 257)],
    *[(n, n, n) for n in (17, 32, 33)],
    # An odd extent beside an even one: the narrow cell it leaves must not pass for a strong axis.
    *[(129, 130), (33, 64), (32, 33, 30), (17, 32, 33)],
    *[pytest.param((n, n, n), marks=pytest.mark.slow) for n in (64, 65)],
]
BOUNDARIES = ["dirichlet", "neumann", "periodic", ("dirichlet", "neumann")]
BOUND = 0.15


def ball(shape):
    points = np.meshgrid(*[(np.arange(n) + 0.5) / n - 0.45 for n in shape], indexing="ij", sparse=True)
    return sum(x * x for x in points) < 0.2**2


def convergence_factor(rhs, **problem):
    """Geometric mean over the V-cycles."""
    result = solve_poisson(rhs, tol=1e-10, **problem)
    assert result.converged
    return result.residuals[-1] ** (1 / result.cycles)


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning")
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_is_bounded_whatever_the_size(shape, boundary, masked):
    rhs = torch.randn(shape, dtype=torch.float64)
    solid = ball(shape) if masked else None
    assert convergence_factor(rhs, boundary=[boundary] * len(shape), solid=solid) <= BOUND


@pytest.mark.parametrize("shape", [(128, 128), (127, 190), (32, 32, 48), (33, 40, 47)], ids=str)
def test_is_bounded_for_the_smoke_plume(shape):
    plume = smoke_plume(shape)
    factor = convergence_factor(plume.rhs, spacing=plume.spacing, boundary=plume.boundary, solid=plume.solid)
    assert factor <= BOUND


@pytest.mark.parametrize("spacing", [(1, 1, 4), (5, 1, 1), (1, 30, 1)], ids=str)
def test_is_bounded_for_anisotropic_spacing(spacing):
    assert convergence_factor(torch.randn(32, 24, 20, dtype=torch.float64), spacing=spacing) <= BOUND


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_is_the_same_in_either_precision(dtype):
    result = solve_poisson(torch.randn(32, 32, 32, dtype=dtype), tol=1e-5)
    assert result.converged
    assert result.residuals[-1] ** (1 / result.cycles) <= BOUND


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        # Weak ends beside couplings a thousand times as strong: constants along the strong axes are lost to float32.
        ((12, 37, 6), {"spacing": (0.1, 0.5, 0.5), "boundary": ["periodic", ("neumann", Robin(3, 20)), "periodic"]}),
        ((40, 2), {"spacing": (10, 0.1), "boundary": [(Robin(1, 0.5), Robin(3, 20)), "periodic"]}),
        # A periodic axis that is odd on a coarse level, where the usual cycle is far from symmetric.
        ((35, 3), {"spacing": (10, 1), "boundary": [("dirichlet", Robin(3, 20)), "periodic"], "contrast": 1000}),
    ],
    ids=str,
)
def test_care_is_taken_where_couplings_differ_widely(shape, problem):
    problem = dict(problem)
    problem["coefficient"] = problem.pop("contrast", 1) ** (torch.rand(shape, dtype=torch.float64) - 0.5)
    rhs = PoissonSolver(shape, **problem).as_linear_operator() @ np.random.randn(np.prod(shape))
    result = solve_poisson(rhs.reshape(shape), tol=1e-10, **problem)
    assert result.converged
    assert result.iterations <= 60
