import warnings

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from fastsciml import Dirichlet, Neumann, PoissonSolver, Robin, solve_poisson
from fastsciml.solvers import NotConvergedWarning

BOUNDARIES = ["dirichlet", "neumann", ["periodic", ("neumann", Robin(1.0, 0.5))]]


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning")
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
def test_of_the_right_hand_side(boundary, masked):
    solid = torch.rand(5, 4) < 0.3 if masked else None
    rhs = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)

    def solution(f):
        return solve_poisson(f, dims=2, boundary=boundary, solid=solid, spacing=0.7, tol=1e-13).solution

    assert gradcheck(solution, rhs)
    assert gradgradcheck(lambda f: solution(f) ** 2, rhs)


@pytest.mark.parametrize("make", [Dirichlet, Neumann, lambda value: Robin(2.0, 0.3, value)])
def test_of_boundary_values(make):
    rhs = torch.randn(3, 4, 5, dtype=torch.float64)
    value = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)

    def solution(g):
        return solve_poisson(rhs, boundary=[(make(g), "dirichlet"), "neumann", "periodic"], tol=1e-13).solution

    assert gradcheck(solution, value)
    assert gradgradcheck(lambda g: solution(g) ** 2, value)


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
def test_of_alpha(boundary):
    rhs = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)
    alpha = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)

    def solution(f, a):
        return solve_poisson(f, dims=2, boundary=boundary, alpha=a, tol=1e-13).solution

    assert gradcheck(solution, (rhs, alpha))
    assert gradgradcheck(solution, (rhs, alpha))


def test_a_solver_serves_forward_and_backward_of_many_solves():
    solver = PoissonSolver((12, 10), boundary="dirichlet")
    rhs = torch.randn(3, 12, 10, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(3, 12, 10, dtype=torch.float64)
    for f, w in zip(rhs, weights, strict=True):
        (solver.solve(f, tol=1e-12).solution * w).sum().backward()
    torch.testing.assert_close(rhs.grad, solver.solve(weights, tol=1e-12).solution)


def test_numpy_comes_back_without_one():
    value = torch.ones((), dtype=torch.float64, requires_grad=True)
    result = solve_poisson(torch.zeros(4, 4, dtype=torch.float64).numpy(), boundary=Dirichlet(value))
    assert result.converged


def test_nothing_is_followed_where_nothing_asks_for_it():
    assert not solve_poisson(torch.randn(5, 5, dtype=torch.float64)).solution.requires_grad


def test_a_gradient_above_the_tolerance_is_told():
    rhs = torch.randn(16, 16, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)
        solution = solve_poisson(rhs, max_iterations=1).solution
    with pytest.warns(NotConvergedWarning, match="the solve for the gradient"):
        solution.sum().backward()
