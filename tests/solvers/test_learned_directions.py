"""Directions that networks propose, good ones and useless ones."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fastsciml import LearnedDirections, NotConvergedWarning, PoissonSolver, StopReason, solve_poisson
from fastsciml.directions import DCDM, MultigridDirection

N = 24
AXES = np.meshgrid(*[(np.arange(N) + 0.5) / N - 0.5] * 3, indexing="ij")
BALL = sum(x * x for x in AXES) < 0.2**2
PROBLEM = {
    "spacing": 1 / N,
    "boundary": ["neumann", ("neumann", "dirichlet"), "periodic"],
    "solid": BALL,
}


class Map(nn.Module):
    """A network that is a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, r):
        return self.function(r)


def after(calls, function, otherwise):
    """`function` for so many calls, then `otherwise`."""
    count = iter(range(10**6))
    return lambda r: (function if next(count) < calls else otherwise)(r)


def right_hand_side(*batch, dtype=torch.float64):
    return torch.randn(*batch, N, N, N, dtype=dtype)


def cycle_of(network):
    solver = PoissonSolver((N, N, N), **PROBLEM, method="multigrid", dtype=torch.float32)
    return network.bound_to(solver)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("memory", [0, 1, 2, 8])
def test_converges_to_the_solution(dtype, memory):
    f, tol = right_hand_side(dtype=dtype), 1e-5 if dtype == torch.float32 else 1e-10
    result = solve_poisson(f, **PROBLEM, method=LearnedDirections(MultigridDirection(3), memory), tol=tol)
    assert result.converged
    assert result.method == "learned"
    assert result.learned == result.iterations > 0
    assert f"({result.learned} of learned directions)" in str(result)
    reference = solve_poisson(f, **PROBLEM, method="multigrid", tol=tol).solution
    assert float((result.solution - reference).norm()) < 100 * tol * float(reference.norm())


def test_memory_makes_conjugate_gradients_of_steepest_descent():
    f, left = right_hand_side(), []
    for memory in (0, 1):
        learned = LearnedDirections(nn.Identity(), memory, fallback=None)
        with pytest.warns(NotConvergedWarning):
            result = solve_poisson(f, **PROBLEM, method=learned, tol=1e-9, max_iterations=100)
        left.append(result.residuals[-1])
    assert left[1] < 0.2 * left[0]


def test_a_convolutional_network_may_propose():
    f = right_hand_side(dtype=torch.float32)
    result = solve_poisson(f, **PROBLEM, method=LearnedDirections(DCDM(3)), tol=1e-5)
    assert result.converged
    assert result.learned >= 1


@pytest.mark.parametrize(
    "useless",
    [torch.zeros_like, torch.randn_like, lambda r: r * torch.nan, lambda r: torch.full_like(r, torch.inf)],
    ids=["zero", "noise", "nan", "inf"],
)
def test_multigrid_takes_over_from_a_useless_network(useless):
    f = right_hand_side()
    plain = solve_poisson(f, **PROBLEM, method="multigrid", tol=1e-10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = solve_poisson(f, **PROBLEM, method=LearnedDirections(Map(useless)), tol=1e-10)
    assert result.converged
    multigrid = result.iterations - result.learned
    assert result.learned <= 2 * multigrid
    assert multigrid <= plain.iterations + 1


def test_says_in_which_iteration_a_network_gave_nan():
    cycle = cycle_of(MultigridDirection(3))
    learned = LearnedDirections(Map(after(2, cycle, lambda r: r * torch.nan)))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert solve_poisson(right_hand_side(), **PROBLEM, method=learned, tol=1e-10).converged
    assert str(told[0].message) == "direction 3 of the network is not finite: multigrid takes its place"


@pytest.mark.parametrize(
    ("otherwise", "reason"),
    [
        (lambda r: r * torch.nan, StopReason.BAD_PROPOSAL),
        (torch.zeros_like, StopReason.BREAKDOWN),
    ],
    ids=["nan", "no energy"],
)
def test_without_a_fallback_the_solution_so_far_stays(otherwise, reason):
    cycle = cycle_of(MultigridDirection(3))
    learned = LearnedDirections(Map(after(2, cycle, otherwise)), fallback=None)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        result = solve_poisson(right_hand_side(), **PROBLEM, method=learned, tol=1e-10)
    assert "2 iterations" in str(told[-1].message)
    assert told[-1].category is NotConvergedWarning
    assert result.reason is reason
    assert result.iterations == 2
    assert result.residuals[-1] < 0.05


def test_without_a_fallback_a_useless_network_ends_the_solve():
    learned = LearnedDirections(Map(torch.randn_like), fallback=None)
    with pytest.warns(NotConvergedWarning):
        result = solve_poisson(right_hand_side(), **PROBLEM, method=learned, tol=1e-10)
    assert not result.converged


@pytest.mark.parametrize(
    ("function", "told"),
    [(lambda r: r[..., 1:], "24, 23"), (lambda r: r.double(), "float64")],
    ids=["shape", "dtype"],
)
def test_says_which_direction_is_of_another_shape_or_dtype(function, told):
    learned = LearnedDirections(Map(after(2, cycle_of(MultigridDirection(3)), function)), fallback=None)
    named = f"direction 3 of the network is .*{told}.*: the solve ends"
    with pytest.warns(NotConvergedWarning, match="2 iterations"), pytest.warns(UserWarning, match=named):
        result = solve_poisson(right_hand_side(), **PROBLEM, method=learned, tol=1e-10)
    assert result.reason is StopReason.BAD_PROPOSAL
    assert result.residuals[-1] < 0.05


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"network": 3}, TypeError, "network must be a torch.nn.Module"),
        ({"memory": 9}, ValueError, "memory must be 0 to 8"),
        ({"fallback": "cg"}, ValueError, "fallback must be"),
        ({"enough": 0.0}, ValueError, "enough must be a share"),
    ],
)
def test_refuses_other_arguments(arguments, error, told):
    with pytest.raises(error, match=told):
        LearnedDirections(**{"network": nn.Identity(), **arguments})


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (MultigridDirection(2), "a network for 2 dimensions does not fit a problem of shape"),
        (DCDM(2), "a network for 2 dimensions does not fit a problem of shape"),
        (DCDM(3).double(), "must be float32, as residuals are, and stem.weight is torch.float64"),
        (nn.Conv3d(1, 1, 3, device="meta"), "the network is on meta and the problem on cpu"),
    ],
    ids=["dimensions", "convolutions", "dtype", "device"],
)
def test_refuses_a_network_that_does_not_fit(network, told):
    with pytest.raises(ValueError, match=told):
        solve_poisson(right_hand_side(), **PROBLEM, method=LearnedDirections(network))


def test_batches_guesses_and_a_solver_kept():
    f = right_hand_side(2)
    solver = PoissonSolver((N, N, N), **PROBLEM, method=LearnedDirections(MultigridDirection(3)))
    first = solver.solve(f, tol=1e-9)
    again = solver.solve(f, tol=1e-9, initial_guess=first.solution)
    assert first.converged
    assert again.converged
    assert again.iterations <= 1
    assert torch.equal(solver.solve(f, tol=1e-9).solution, first.solution)
    seen = []
    solver.solve(f[0], tol=1e-9, callback=lambda k, residual, u: seen.append((k, residual)))
    assert [k for k, _ in seen] == list(range(1, len(seen) + 1))


def test_a_batch_of_masks_and_a_network_that_knows_the_problem():
    masks = np.stack([BALL, np.roll(BALL, 5, 0)])
    f = right_hand_side(2)
    problem = {**PROBLEM, "solid": masks}
    result = solve_poisson(f, **problem, method="learned", tol=1e-9, dims=3)
    assert result.converged
    torch.testing.assert_close(
        result.solution, solve_poisson(f, **problem, tol=1e-9, dims=3).solution, rtol=0, atol=1e-6
    )

    class Bound(nn.Module):
        def bound_to(self, solver):
            return MultigridDirection(3).bound_to(solver)

    assert solve_poisson(f[0], **PROBLEM, method=LearnedDirections(Bound()), tol=1e-9).converged


def test_is_differentiable():
    f = right_hand_side().requires_grad_()
    gradients = []
    for method in (LearnedDirections(MultigridDirection(3)), "multigrid"):
        solution = solve_poisson(f, **PROBLEM, method=method, tol=1e-11).solution
        gradients.append(torch.autograd.grad(solution[3].square().sum(), f)[0])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-6, atol=1e-9 * float(gradients[1].abs().max()))


def test_a_free_constant_is_projected_out():
    problem = {"spacing": 1 / N, "boundary": "neumann"}
    f = right_hand_side()
    result = solve_poisson(f - f.mean(), **problem, method=LearnedDirections(MultigridDirection(3)), tol=1e-9)
    assert result.converged
    assert abs(float(result.solution.mean())) < 1e-12


@pytest.mark.parametrize("dims", [2, 3])
def test_the_shipped_weights_need_fewer_directions(dims):
    """Than the untrained cycle, of the same cost, on a mask that nobody trained on."""
    shape = (48,) * dims
    axes = np.meshgrid(*[(np.arange(48) + 0.5) / 48] * dims, indexing="ij")
    solid = sum((x - 0.3) ** 2 for x in axes) < 0.12**2
    solid |= (abs(axes[0] - 0.7) < 0.03) & (axes[1] > 0.3)
    problem = {"spacing": 1 / 48, "boundary": ["neumann", ("neumann", "dirichlet"), "neumann"][:dims], "solid": solid}
    f = torch.randn(shape, dtype=torch.float64)
    trained = solve_poisson(f, **problem, method="learned", tol=1e-9)
    plain = solve_poisson(f, **problem, method=LearnedDirections(MultigridDirection(dims), 1), tol=1e-9)
    assert trained.converged
    assert trained.learned == trained.iterations < plain.iterations


def test_the_shipped_weights_are_for_planes_and_volumes():
    with pytest.raises(ValueError, match="weights for 2 and 3 dimensions"):
        solve_poisson(torch.randn(64), method="learned")


def test_a_kept_direction_has_its_network():
    learned = LearnedDirections(MultigridDirection(3))
    assert replace(learned, memory=1).network is learned.network
