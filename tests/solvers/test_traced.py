"""Under `torch.compile` a solve is one operator, and what it gives is what it gives without."""

import gc

import pytest
import torch

from fastsciml import Dirichlet, Neumann, PoissonSolver, Robin, solve_poisson
from fastsciml.solvers import NotConvergedWarning

SHAPE = (7, 6, 5)
FACES = [("dirichlet", Neumann(0.3)), "periodic", (Robin(1.0, 2.0, 0.5), Dirichlet(-1))]


def arguments():
    """Right-hand side, coefficient, boundary value, alpha, fixed value: all with gradients."""
    given = [torch.randn(2, *SHAPE), torch.rand(SHAPE) + 0.5, torch.randn(6, 5), torch.rand(SHAPE), torch.randn(SHAPE)]
    return [tensor.double().requires_grad_() for tensor in given]


def solved(rhs, coefficient, face, alpha, value, spacing=0.5, **options):
    boundary = [(Dirichlet(face), "neumann"), *FACES[1:]]
    fixed = torch.zeros(SHAPE, dtype=torch.bool)
    fixed[3, 2:4] = True
    return solve_poisson(
        rhs.sin(),
        dims=3,
        spacing=[spacing, 0.5, [0.1, 0.2, 0.3, 0.3, 0.2]],
        boundary=boundary,
        coefficient=coefficient,
        alpha=alpha,
        fixed=fixed,
        fixed_value=value,
        tol=1e-12,
        **options,
    )


@pytest.fixture(autouse=True)
def _anew():
    torch._dynamo.reset()


def assert_close_gradients(made, expected, inputs):
    weights = torch.randn_like(expected)
    found = torch.autograd.grad(made, inputs, weights)
    torch.testing.assert_close(found, torch.autograd.grad(expected, inputs, weights, retain_graph=True))


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_whole_graph_with_the_same_result_and_gradients(backend):
    inputs = arguments()

    def step(*inputs, spacing):
        result = solved(*inputs, spacing=spacing)
        return 2 * result.solution, result.converged, result.iterations, result.residuals

    compiled = torch.compile(step, fullgraph=True, backend=backend)
    for spacing in (0.5, 0.25):
        solution, converged, iterations, residuals = compiled(*inputs, spacing=spacing)
        expected = solved(*inputs, spacing=spacing)
        torch.testing.assert_close(solution, 2 * expected.solution)
        assert converged
        assert iterations == expected.iterations
        torch.testing.assert_close(residuals[: iterations + 1], torch.from_numpy(expected.residuals))
        assert residuals.shape == (201, 2)
        assert residuals[iterations + 1 :].isnan().all()
        assert_close_gradients(solution, 2 * expected.solution, inputs)


@pytest.mark.parametrize("kept", [True, False])
def test_of_a_solver_object(kept):
    rhs, coefficient, face, alpha, _ = arguments()
    solver = PoissonSolver(
        SHAPE, boundary=[(Dirichlet(face), "neumann"), *FACES[1:]], coefficient=coefficient, alpha=alpha
    )
    expected = solver.solve(rhs, tol=1e-12).solution
    compiled = torch.compile(
        lambda solver, f: solver.solve(f, tol=1e-12, initial_guess=torch.ones_like(f)).solution,
        fullgraph=True,
        backend="aot_eager",
    )
    solution = compiled(solver, rhs)
    if not kept:
        del solver
        gc.collect()
    torch.testing.assert_close(solution, expected)
    assert_close_gradients(solution, expected, [rhs, coefficient, face, alpha])


def test_a_new_time_step_as_a_tensor_needs_no_new_graph():
    def solution(f, alpha):
        return solve_poisson(f, alpha=alpha, tol=1e-12).solution

    compiled = torch.compile(solution, fullgraph=True, backend="aot_eager")
    rhs = torch.randn(9, 8, dtype=torch.float64)
    compiled(rhs, torch.tensor(1.5))
    with torch.compiler.set_stance("fail_on_recompile"):
        torch.testing.assert_close(compiled(rhs, torch.tensor(3.5)), solution(rhs, 3.5))


def test_a_solve_that_ends_early_warns_and_has_the_gradient_of_the_full_one():
    rhs = torch.randn(16, 16, dtype=torch.float64, requires_grad=True)
    compiled = torch.compile(
        lambda f: solve_poisson(f, method="cg", max_iterations=20, tol=1e-9), fullgraph=True, backend="aot_eager"
    )
    with pytest.warns(NotConvergedWarning, match="max_iterations"):
        result = compiled(rhs)
    assert not result.converged
    assert result.residuals.shape == (21,)
    assert result.residuals[-1] > 1e-9


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.NotConvergedWarning")
def test_bad_input_is_named():
    compiled = torch.compile(lambda f, k: solve_poisson(f, coefficient=k).solution, backend="aot_eager")
    with pytest.raises(ValueError, match="coefficient must be finite and positive"):
        compiled(torch.randn(5, 5), -torch.ones(5, 5))


def test_mapped_over_right_hand_sides():
    rhs, coefficient, *_ = (tensor.detach() for tensor in arguments())
    compiled = torch.compile(
        lambda b: torch.func.vmap(lambda f: solve_poisson(f, coefficient=coefficient, tol=1e-12).solution)(b),
        fullgraph=True,
        backend="aot_eager",
    )
    expected = solve_poisson(rhs, dims=3, coefficient=coefficient, tol=1e-12).solution
    torch.testing.assert_close(compiled(rhs), expected)
