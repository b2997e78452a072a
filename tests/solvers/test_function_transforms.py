"""`torch.func.vmap` and `grad` over right-hand sides."""

import pytest
import torch
from torch.func import grad, vmap

from fastsciml import PoissonSolver, solve_poisson


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("method", ["multigrid", "fft", "cg"])
def test_vmap_is_a_batch(method, dim):
    rhs = torch.randn(3, 8, 6, dtype=torch.float64)
    mapped = vmap(lambda f: solve_poisson(f, method=method, tol=1e-11).solution, in_dims=dim, out_dims=dim)
    expected = solve_poisson(rhs, dims=2, method=method, tol=1e-11)
    torch.testing.assert_close(mapped(rhs.movedim(0, dim)), expected.solution.movedim(0, dim), rtol=0, atol=0)


def test_vmap_of_vmap():
    rhs = torch.randn(2, 3, 8, 6, dtype=torch.float64)
    mapped = vmap(vmap(lambda f: solve_poisson(f, method="multigrid").solution))(rhs)
    torch.testing.assert_close(mapped, solve_poisson(rhs, dims=2, method="multigrid").solution, rtol=0, atol=0)


def test_what_became_of_every_right_hand_side_is_told():
    results = []

    def solution(f):
        results.append(solve_poisson(f, method="multigrid", tol=1e-5))
        return results[-1].solution

    rhs = torch.randn(4, 8, 6)
    rhs[2] = 0
    vmap(solution)(rhs)
    expected = solve_poisson(rhs, dims=2, method="multigrid", tol=1e-5)
    assert results[0].residuals.shape == expected.residuals.shape == (expected.iterations + 1, 4)
    assert results[0].unknowns == expected.unknowns


@pytest.mark.parametrize("mapped_guess", [False, True])
def test_with_a_guess(mapped_guess):
    rhs, guess = torch.randn(3, 8, 6, dtype=torch.float64), torch.randn(3, 8, 6, dtype=torch.float64)
    solver = PoissonSolver((8, 6), method="multigrid")
    if not mapped_guess:
        guess = guess[:1]
    found = vmap(lambda f, u: solver.solve(f, initial_guess=u).solution, (0, 0 if mapped_guess else None))(
        rhs, guess if mapped_guess else guess[0]
    )
    torch.testing.assert_close(found, solver.solve(rhs, initial_guess=guess.expand(3, 8, 6)).solution, rtol=0, atol=0)


def test_over_samples_with_media_of_their_own():
    coefficient = torch.rand(2, 8, 6, dtype=torch.float64) + 0.5
    rhs = torch.randn(3, 2, 8, 6, dtype=torch.float64, requires_grad=True)
    solver = PoissonSolver((8, 6), coefficient=coefficient)
    mapped = vmap(lambda f: solver.solve(f, tol=1e-12).solution)(rhs)
    for number in range(3):
        torch.testing.assert_close(mapped[number], solver.solve(rhs[number], tol=1e-12).solution)
    mapped.sum().backward()
    expected = solver.solve(torch.ones(2, 8, 6, dtype=torch.float64), tol=1e-12).solution
    torch.testing.assert_close(rhs.grad, expected.expand(3, 2, 8, 6))


def test_gradients_of_samples():
    rhs = torch.randn(3, 8, 6, dtype=torch.float64)
    solver = PoissonSolver((8, 6), boundary=["neumann", ("dirichlet", "neumann")], spacing=[0.5, [1, 2, 1, 2, 1, 1]])

    def energy(f):
        return (solver.solve(f, tol=1e-12).solution ** 2).sum()

    each = vmap(grad(energy))(rhs)
    for number in range(3):
        torch.testing.assert_close(each[number], grad(energy)(rhs[number]))
    leaf = rhs[0].clone().requires_grad_()
    torch.testing.assert_close(each[0], torch.autograd.grad(energy(leaf), leaf)[0])


def test_a_mapped_coefficient_is_refused_by_name():
    def solution(k):
        return solve_poisson(torch.ones(4, 4), coefficient=k).solution

    with pytest.raises(ValueError, match="coefficient is mapped by torch"):
        vmap(solution)(torch.ones(3, 4, 4))
