"""Whole solves by the CUDA operators: the CPU's solutions, in as many iterations, or one more."""

import numpy as np
import pytest
import torch
from cuda_on_host import SHIPPED, HostOperators
from pretended_cuda import OPERATORS

from fastsciml import Dirichlet, Neumann, Robin, solve_poisson
from fastsciml.solvers.iteration import Iteration

CUDA = ["cuda-host", *(["cuda"] if torch.cuda.is_available() else [])]
pytestmark = [
    pytest.mark.parametrize("device", CUDA, indirect=True),
    pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning"),
]
MIXED = [("neumann", "dirichlet"), "periodic", (Robin(1.0, 0.5), "neumann")]
SHAPES = [(16, 16, 16), (12, 9, 15), (33,), (20, 17)]


def marked(shape, share):
    return torch.rand(shape) < share


def jumping(shape):
    """A ball that conducts a hundred times as well."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in shape), indexing="ij")
    return torch.where(sum(x**2 for x in axes) < 0.5, 100.0, 1.0).double()


def at_faces(shape):
    return [torch.rand([n + (a == b) for b, n in enumerate(shape)]) + 0.1 for a in range(len(shape))]


def stretched(shape):
    return [np.linspace(0.5, 1.5, shape[0]), *[1.0] * (len(shape) - 1)]


MEDIA = {
    "box": lambda shape: {},
    "solid": lambda shape: {"solid": marked(shape, 0.15)},
    "solid in a stretched free box": lambda shape: {
        "solid": marked(shape, 0.4),
        "spacing": stretched(shape),
        "boundary": "neumann",
    },
    "fixed": lambda shape: {"solid": marked(shape, 0.1), "fixed": marked(shape, 0.1), "fixed_value": 2.0},
    "jump": lambda shape: {"coefficient": jumping(shape)},
    "faces": lambda shape: {"coefficient": at_faces(shape), "alpha": torch.rand(shape)},
    "alpha": lambda shape: {"alpha": torch.rand(shape)},
    "implicit step": lambda shape: {"alpha": 10.0, "boundary": "neumann"},
    "vertices": lambda shape: {"centering": "vertex", "boundary": ["dirichlet", "neumann", "periodic"][: len(shape)]},
    "stretched": lambda shape: {"spacing": stretched(shape)},
    # Without weights in one dimension.
    "learned": lambda shape: {"solid": marked(shape, 0.1), "method": "learned" if len(shape) > 1 else "multigrid"},
}


def assert_as_on_the_cpu(rhs, device, monkeypatch, **problem):
    problem = {"method": "multigrid", **problem}
    result = solve_poisson(rhs.to(device), **problem)
    with monkeypatch.context() as patch:
        patch.setattr(torch.ops, "fastsciml", SHIPPED)
        expected = solve_poisson(rhs, **problem)
    assert result.solution.device.type == device
    assert result.solution.dtype == rhs.dtype
    assert result.reason == expected.reason
    assert result.iterations <= expected.iterations + 1
    away = (result.solution.cpu() - expected.solution).norm() / expected.solution.norm()
    assert away <= 50 * problem.get("tol", 1e-8)
    return result


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic", "mixed"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_boundaries(shape, boundary, device, monkeypatch):
    conditions = MIXED[-len(shape) :] if boundary == "mixed" else boundary
    assert_as_on_the_cpu(torch.randn(shape).double(), device, monkeypatch, boundary=conditions)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("medium", MEDIA)
@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_media(shape, medium, dtype, device, monkeypatch):
    tol = 1e-8 if dtype == torch.float64 else 1e-4
    assert_as_on_the_cpu(torch.randn(shape, dtype=dtype), device, monkeypatch, tol=tol, **MEDIA[medium](shape))


@pytest.mark.parametrize("medium", ["box", "solid", "jump"])
@pytest.mark.parametrize("method", ["fmg", "cg"])
def test_methods(method, medium, device, monkeypatch):
    """One pass of full multigrid is the same pass; plain conjugate gradients take many iterations."""
    rhs, tol = torch.randn(12, 9, 15).double(), 1e-4
    assert_as_on_the_cpu(rhs, device, monkeypatch, method=method, tol=tol, **MEDIA[medium](rhs.shape))


def test_couplings_that_differ_by_a_million_call_for_care(device, monkeypatch):
    """The symmetric cycle, and inner products in the caller's dtype."""
    rhs, k = torch.randn(24, 24).double(), torch.rand(24, 24).double()
    taken, careful = [], Iteration._become_careful
    monkeypatch.setattr(Iteration, "_become_careful", lambda self: [careful(self), taken.append(self)])
    assert_as_on_the_cpu(rhs, device, monkeypatch, coefficient=10 ** (6 * k - 3), spacing=stretched(rhs.shape))
    assert len(taken) == 2


def test_a_batch_with_boundary_values_and_a_guess(device, monkeypatch):
    rhs, guess = torch.randn(2, 2, 9, 12, 10).double()
    boundary = [(Dirichlet(torch.randn(12, 10)), Neumann(0.5)), "dirichlet", Robin(1.0, 2.0, 3.0)]
    result = assert_as_on_the_cpu(rhs, device, monkeypatch, dims=3, boundary=boundary, initial_guess=guess)
    assert result.residuals.shape[1:] == (2,)


def test_every_cuda_operator_takes_part(device):
    if isinstance(torch.ops.fastsciml, HostOperators):
        shape = (9, 8, 10)
        rhs, solid = torch.randn(shape).double(), marked(shape, 0.4)
        solve_poisson(rhs, method="fmg", boundary="neumann", solid=solid)
        solve_poisson(rhs, coefficient=jumping(shape))
        solve_poisson(rhs, solid=solid, method="cg", tol=1e-2)
        solve_poisson(rhs, boundary="neumann", method="multigrid")
        assert {f"fastsciml::{name}" for name in torch.ops.fastsciml.calls} == OPERATORS


def test_gradients(device, monkeypatch):
    fixed, weights = marked((9, 8, 7), 0.1), torch.randn(9, 8, 7).double()
    given = [torch.randn(9, 8, 7), torch.rand(9, 8, 7) + 0.5, torch.rand(9, 8, 7)]

    def gradients(place):
        rhs, k, alpha = (tensor.double().to(place).requires_grad_() for tensor in given)
        solution = solve_poisson(rhs, coefficient=k, alpha=alpha, fixed=fixed, fixed_value=1.0, tol=1e-11).solution
        return [grad.cpu() for grad in torch.autograd.grad(solution, [rhs, k, alpha], weights.to(place))]

    found = gradients(device)
    monkeypatch.setattr(torch.ops, "fastsciml", SHIPPED)
    torch.testing.assert_close(found, gradients("cpu"), rtol=1e-7, atol=1e-9)
