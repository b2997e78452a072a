"""What a solve reads is where its right-hand sides are: on a pretended CUDA device nothing mixes with the CPU's."""

import gc
from dataclasses import replace

import numpy as np
import pytest
import torch
from pretended_cuda import CPU, CUDA, PretendedCuda

from fastsciml import Dirichlet, LearnedDirections, Neumann, PoissonSolver, Robin, solve_poisson
from fastsciml.solvers import arrays, scratch, traced
from fastsciml.solvers.inverse import Inverse

SHAPE = (12, 9, 15)
STRETCHED = [np.linspace(0.5, 1.5, 12), 1.0, 0.7]


class Useless(torch.nn.Module):
    def forward(self, residual):
        return torch.zeros_like(residual)


def marked(share):
    return torch.rand(SHAPE) < share


PROBLEMS = {
    "box": lambda: {},
    "full multigrid": lambda: {"method": "fmg"},
    "conjugate gradients": lambda: {"method": "cg", "tol": 1e-3},
    "transforms": lambda: {"method": "fft", "boundary": "periodic", "alpha": 0.5},
    "learned directions": lambda: {"method": "learned", "solid": marked(0.1)},
    "learned and fallen back": lambda: {"method": LearnedDirections(Useless())},
    "free constant": lambda: {"boundary": "neumann", "spacing": STRETCHED},
    "free regions": lambda: {"boundary": "neumann", "solid": marked(0.4)},
    "stretched free regions": lambda: {"boundary": "neumann", "solid": marked(0.4), "spacing": STRETCHED},
    "fixed cells": lambda: {"fixed": marked(0.1), "fixed_value": torch.randn(SHAPE).double()},
    "everything": lambda: {
        "solid": marked(0.1),
        "fixed": marked(0.1),
        "fixed_value": 2.0,
        "coefficient": torch.rand(SHAPE).double() + 0.1,
        "alpha": torch.rand(SHAPE).double(),
        "spacing": STRETCHED,
        "boundary": [(Dirichlet(1.0), "neumann"), "periodic", (Robin(1.0, 2.0, 3.0), Neumann(torch.randn(12, 9)))],
        "initial_guess": torch.randn(SHAPE).double(),
    },
    "coefficient at faces, jumping": lambda: {
        "coefficient": [10 ** (6 * torch.rand([n + (a == b) for b, n in enumerate(SHAPE)]) - 3) for a in range(3)],
        "spacing": STRETCHED,
    },
}


@pytest.fixture
def mode(monkeypatch):
    """The pretended device, in the solver's own backward pass as well."""
    monkeypatch.setattr(arrays, "LOADED", replace(arrays.LOADED, cuda=True))
    mode, backward = PretendedCuda(), Inverse.backward

    def on_the_device(ctx, grad):
        mode.mark(grad, CUDA)
        with mode:
            return backward(ctx, grad)

    monkeypatch.setattr(Inverse, "backward", staticmethod(on_the_device))
    return mode


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning")
@pytest.mark.parametrize("beside", [CPU, CUDA], ids=str)
@pytest.mark.parametrize("name", PROBLEMS)
def test_a_solve_is_the_cpus_wherever_the_other_arrays_are(name, beside, mode):
    rhs, problem = torch.randn(SHAPE, dtype=torch.float64), PROBLEMS[name]()
    expected = solve_poisson(rhs, **{"method": "multigrid", **problem})
    with mode:
        moved = {k: v.to(beside) if isinstance(v, torch.Tensor) else v for k, v in problem.items()}
        result = solve_poisson(rhs.to(CUDA), **moved)
        assert result.solution.device == CUDA
        torch.testing.assert_close(result.solution.cpu(), expected.solution)
    assert result.iterations == expected.iterations
    assert result.method == expected.method


def test_a_batch_of_media(mode):
    rhs, k = torch.randn(3, 2, 8, 9), torch.rand(3, 1, 8, 9) + 0.5
    expected = solve_poisson(rhs, dims=2, coefficient=k.expand(3, 2, 8, 9), tol=1e-4).solution
    with mode:
        solution = solve_poisson(rhs.to(CUDA), dims=2, coefficient=k.expand(3, 2, 8, 9), tol=1e-4).solution
        assert torch.equal(solution.cpu(), expected)


def test_a_solver_moves_its_arrays_once(mode):
    problem = PROBLEMS["everything"]()
    guess, value = problem.pop("initial_guess"), problem.pop("fixed_value")
    with mode:
        solver = PoissonSolver(SHAPE, device=CUDA, **problem)
        rhs = torch.randn(SHAPE, dtype=torch.float64).to(CUDA)
        solver.solve(rhs, fixed_value=value)
        before = mode.moves
        solver.solve(rhs, fixed_value=value, initial_guess=guess)
    # The guess and the values of three faces.
    assert mode.moves == before + 4


def test_an_iteration_waits_for_the_device_once(mode):
    reads = []
    with mode:
        rhs = torch.randn(SHAPE, dtype=torch.float64).to(CUDA)
        solve_poisson(rhs, tol=1e-12, callback=lambda *_: reads.append(mode.reads))
        assert set(np.diff(reads)) == {1}
        # One that is accelerated waits for its inner products, too.
        reads.clear()
        solve_poisson(rhs, method="cg", tol=1e-6, callback=lambda *_: reads.append(mode.reads))
        assert set(np.diff(reads)) == {2}


def test_a_devices_memory_is_left_to_torch(mode):
    gc.collect()  # what earlier tests left
    scratch._spare.clear()
    with mode:
        rhs = torch.randn(SHAPE).to(CUDA)
        solve_poisson(rhs, solid=marked(0.1), tol=1e-4)
        gc.collect()
    assert not scratch._spare


@pytest.mark.parametrize("beside", [CPU, CUDA], ids=str)
def test_gradients_reach_the_callers_tensors(beside, mode):
    given = {
        "rhs": torch.randn(SHAPE).double(),
        "coefficient": torch.rand(SHAPE).double() + 0.5,
        "alpha": torch.rand(SHAPE).double(),
        "value": torch.randn(9, 15).double(),
        "fixed_value": torch.randn(SHAPE).double(),
    }
    fixed = marked(0.1)
    weights = torch.randn(SHAPE).double()

    def solved(rhs, coefficient, alpha, value, fixed_value):
        boundary = [(Dirichlet(value), "neumann"), "dirichlet", "periodic"]
        problem = {"coefficient": coefficient, "alpha": alpha, "boundary": boundary, "spacing": STRETCHED}
        return solve_poisson(rhs, fixed=fixed, fixed_value=fixed_value, tol=1e-11, **problem).solution

    leaves = {name: tensor.requires_grad_() for name, tensor in given.items()}
    expected = torch.autograd.grad(solved(**leaves), list(leaves.values()), weights)
    with mode:
        there = {name: t.detach().to(CUDA if name == "rhs" else beside).requires_grad_() for name, t in leaves.items()}
        found = torch.autograd.grad(solved(**there), list(there.values()), weights.to(CUDA))
    torch.testing.assert_close(found, expected)


def test_a_first_solve_without_gradients_takes_none_from_later_ones(mode):
    with mode:
        rhs, k = torch.randn(SHAPE).to(CUDA), (torch.rand(SHAPE) + 0.5).to(CUDA).requires_grad_()
        solver = PoissonSolver(SHAPE, coefficient=k, alpha=1.0, dtype=torch.float32, device=CUDA)
        with torch.inference_mode():
            solver.solve(rhs, tol=1e-4)
        (found,) = torch.autograd.grad(solver.solve(rhs, tol=1e-4).solution.sum(), k)
    assert found.abs().max() > 0


def test_under_torch_compile_the_outputs_are_there(mode):
    """What the operator of a traced graph runs, run alone."""
    assert torch._C._dispatch_has_kernel_for_dispatch_key("fastsciml::poisson_solve", "CUDA")
    assert torch._C._dispatch_has_kernel_for_dispatch_key("fastsciml::poisson_solve_gradient", "CUDA")
    tensors, numbers = [], [1e-4]
    with mode:
        rhs, k = torch.randn(SHAPE).to(CUDA), torch.rand(SHAPE) + 0.5
        options, made_of = {"nullspace": "project", "fixed_value": 0.0}, {"coefficient": k, "method": "auto"}
        arguments = {"rhs": rhs, "options": options, "solver": None, "made_of": made_of}
        problem = traced._describe(arguments, tensors, numbers)
        outputs = traced._solve(tensors, numbers, problem, 3, 50)
        assert [t.device for t in outputs] == [CUDA] * 4
        found = traced._gradient(rhs, outputs[0], tensors, numbers, problem, 3, 50, [True, True])
    assert [t.shape for t in found] == [SHAPE, SHAPE]


OTHER = torch.device("cuda", 1)


@pytest.mark.parametrize("rhs", [CPU, CUDA], ids=str)
@pytest.mark.parametrize(
    "name", ["solid", "fixed", "coefficient", "faces", "alpha", "initial_guess", "fixed_value", "value"]
)
def test_an_array_on_another_device_is_named_with_both(name, rhs, mode):
    with mode:
        f = torch.randn(SHAPE).to(rhs)
        array = torch.ones(SHAPE).to(OTHER)
        named = {"faces": "coefficient", "value": "the value on the lower x face"}.get(name, name)
        arguments = {
            "solid": lambda: {"solid": array > 2},
            "fixed": lambda: {"fixed": array > 2},
            "faces": lambda: {"coefficient": [array] * 3},
            "fixed_value": lambda: {"fixed": marked(0.5), "fixed_value": array},
            "value": lambda: {"boundary": Dirichlet(array[0, 0, 0])},
        }.get(name, lambda: {name: array})()
        with pytest.raises(ValueError, match=f"^{named} is on cuda:1 and rhs on {rhs}: move it there, or to the CPU$"):
            solve_poisson(f, **arguments)


def test_a_solver_takes_right_hand_sides_on_its_device_only(mode):
    with mode:
        solver = PoissonSolver(SHAPE, device="cuda:0", dtype=torch.float32)
        for rhs, place in (
            (torch.ones(SHAPE), "cpu"),
            (np.ones(SHAPE, np.float32), "cpu"),
            (torch.ones(SHAPE).to(OTHER), "cuda:1"),
        ):
            with pytest.raises(ValueError, match=f"rhs is on {place} and the solver on cuda:0"):
                solver.solve(rhs)
        for operator in (solver.as_linear_operator, solver.preconditioner):
            with pytest.raises(ValueError, match="SciPy's linear operators are on the CPU, the solver is on cuda:0"):
                operator()


def test_without_the_cuda_library_the_reason_and_the_remedy_are_named(monkeypatch):
    absent = replace(arrays.LOADED, cuda=False, cuda_absent_because="no nvcc was found when fastsciml was built")
    monkeypatch.setattr(arrays, "LOADED", absent)
    sentence = (
        r" is on cuda:0, but fastsciml's CUDA library is not loaded \(no nvcc was found .*\): install .* to the CPU$"
    )
    with PretendedCuda():
        for solve in (solve_poisson, PoissonSolver(SHAPE).solve):
            with pytest.raises(RuntimeError, match="^rhs" + sentence):
                solve(torch.ones(SHAPE).double().to(CUDA))
    with pytest.raises(RuntimeError, match="^the solver" + sentence):
        PoissonSolver(SHAPE, device="cuda:0")
