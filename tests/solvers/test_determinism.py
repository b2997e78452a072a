import pytest
import torch

from fastsciml import solve_poisson

PROBLEMS = [
    ((300,), "dirichlet", False),
    ((270, 290), "neumann", True),
    ((64, 64), "periodic", False),
    ((44, 50, 41), "dirichlet", False),
    ((33, 20, 28), ["neumann", ("dirichlet", "neumann"), "periodic"], True),
]


@pytest.fixture(params=PROBLEMS, ids=str)
def solve(request):
    shape, boundary, masked = request.param
    rhs = torch.randn(shape, dtype=torch.float64)
    solid = torch.rand(shape) < 0.1 if masked else None
    return lambda: solve_poisson(rhs, boundary=boundary, solid=solid, tol=1e-11)


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning")
def test_the_same_threads_give_the_same_bits(solve, threads):
    first = solve()
    for _ in range(2):
        again = solve()
        assert torch.equal(again.solution, first.solution)
        assert (again.residuals == first.residuals).all()


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning")
def test_the_number_of_threads_changes_rounding_only(solve, threads):
    """Held against one thread; the reductions' order moves the float32 directions, and so what the tolerance leaves."""
    many = solve()
    torch.set_num_threads(1)
    one = solve()
    assert many.iterations == one.iterations
    assert (many.solution - one.solution).norm() <= 1e-10 * one.solution.norm()
