import numpy as np
import pytest

from fastsciml import solve_poisson

BOUNDARIES = ["dirichlet", "neumann", "periodic", ["periodic", ("neumann", "dirichlet")]]


@pytest.fixture(params=BOUNDARIES, ids=str)
def problem(request):
    return {"boundary": request.param, "spacing": (0.5, 0.8), "solid": np.random.rand(14, 12) < 0.2}


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning")
def test_the_exact_one_needs_no_iteration(direct, problem):
    rhs = np.random.randn(14, 12)
    exact = direct(rhs, **problem).solution
    result = solve_poisson(rhs, initial_guess=exact, **problem)
    assert result.converged
    assert result.iterations == 0
    np.testing.assert_allclose(result.solution, exact, atol=1e-13)


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning")
@pytest.mark.parametrize("size", [1.0, 1e6])
def test_a_random_one_leads_to_the_same_solution(direct, problem, size):
    rhs = np.random.randn(14, 12)
    guess = size * np.random.randn(14, 12)
    kept = guess.copy()
    reference = direct(rhs, **problem)
    result = solve_poisson(rhs, initial_guess=guess, tol=1e-9, **problem)
    assert result.converged
    assert result.residuals[0] > 1
    assert reference.error(result.solution) < 1e-7
    np.testing.assert_array_equal(guess, kept)


def test_a_constant_is_taken_out_where_nothing_fixes_it():
    rhs = np.random.randn(9, 8)
    rhs -= rhs.mean()
    shifted = solve_poisson(rhs, boundary="neumann", initial_guess=np.full((9, 8), 1e3)).solution
    assert abs(shifted.mean()) < 1e-12
    np.testing.assert_allclose(shifted, solve_poisson(rhs, boundary="neumann").solution, atol=1e-6)
