import numpy as np
import pytest
import torch

from fastsciml import PoissonSolver, solve_poisson

PROBLEM = {"boundary": [("neumann", "dirichlet"), "periodic"], "spacing": (0.5, 0.25)}


@pytest.mark.parametrize("masked", [False, True])
def test_solves_as_the_function_does_again_and_again(masked):
    solid = np.random.rand(20, 24) < 0.2 if masked else None
    solver = PoissonSolver((20, 24), solid=solid, **PROBLEM)
    for _ in range(3):
        rhs = np.random.randn(20, 24)
        expected = solve_poisson(rhs, solid=solid, **PROBLEM)
        result = solver.solve(rhs)
        np.testing.assert_array_equal(result.solution, expected.solution)
        np.testing.assert_array_equal(result.residuals, expected.residuals)


def test_a_warm_start_begins_nearer():
    solver = PoissonSolver((32, 32, 32), method="multigrid")
    rhs = torch.randn(32, 32, 32, dtype=torch.float64)
    first = solver.solve(rhs, tol=1e-10)
    change = 1e-3 * torch.randn(32, 32, 32, dtype=torch.float64)
    again = solver.solve(rhs + change, tol=1e-10, initial_guess=first.solution)
    assert again.converged
    # An iteration takes as many cycles as it needs, up to three: what counts is how near it begins.
    assert again.residuals[0] < 1e-2
    assert again.iterations <= first.iterations


def test_follows_a_change_of_the_number_of_threads():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        solver = PoissonSolver((48, 48, 48))
        rhs = torch.randn(48, 48, 48, dtype=torch.float64)
        solver.solve(rhs)
        torch.set_num_threads(3)
        assert solver.solve(rhs).converged
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"shape": (0, 3)}, ValueError, "shape must be"),
        ({"shape": (2, 2, 2, 2)}, ValueError, "shape must be"),
        ({"shape": (3, 3), "dtype": torch.float16}, TypeError, "dtype must be"),
        (
            {"shape": (3, 3), "device": "meta"},
            ValueError,
            "the solver is on meta, and fastsciml solves on CPU and CUDA",
        ),
        ({"shape": (3, 3), "device": "gpu"}, ValueError, "device must be the CPU or a CUDA device, got 'gpu'"),
        ({"shape": (3, 3), "spacing": -1}, ValueError, "spacing must be positive"),
    ],
)
def test_refuses_what_does_not_fit(arguments, kind, message):
    with pytest.raises(kind, match=message):
        PoissonSolver(**arguments)


def test_refuses_a_right_hand_side_of_another_problem():
    solver = PoissonSolver((4, 5))
    for rhs in (torch.ones(5, 4, dtype=torch.float64), torch.ones(4, 5), torch.ones(5, dtype=torch.float64)):
        with pytest.raises(ValueError, match=r"rhs must have shape \[\*batch, 4, 5\]"):
            solver.solve(rhs)
