"""`solve_poisson` as one operator of a graph that `torch.compile` or `torch.export` traces.

A traced graph holds tensors, numbers and strings, and cannot look at a tensor's values, which a solver must. So the
whole solve is one operator to it: `problem` is the arguments as JSON, in which {"tensor": i} and {"number": i} stand
for entries of the lists beside it. The gradient is a second operator, which runs the solver's own backward pass.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from fastsciml.solvers.boundary import Condition, Dirichlet, Neumann, Robin
from fastsciml.solvers.result import PoissonResult, Seconds
from fastsciml.solvers.run import Run, Stopping

if TYPE_CHECKING:
    from fastsciml.solvers.poisson_solver import PoissonSolver

CONDITIONS: dict[str, Callable[..., Condition]] = {"dirichlet": Dirichlet, "neumann": Neumann, "robin": Robin}

# Solvers that a graph may name. A name is a string since a graph would take a number for one that varies.
_solvers: WeakValueDictionary[str, PoissonSolver] = WeakValueDictionary()
_names = count()


def name_solver(solver: PoissonSolver) -> str:
    """The name by which a graph finds the solver for as long as it lives."""
    name = f"solver {next(_names)}"
    _solvers[name] = solver
    return name


def solve_traced(
    rhs: Any, options: dict[str, Any], made_of: dict[str, Any], dims: int, stopping: Stopping, solver: str | None = None
) -> PoissonResult[Any]:
    """The result as far as a graph can have it: `PoissonResult` says what is absent.

    Args:
        rhs: as for `solve_poisson`.
        options: of `PoissonSolver.solve`: fixed_value, initial_guess and nullspace.
        made_of: of `PoissonSolver`, all but shape and dtype.
        dims: how many trailing axes of rhs are spatial.
        stopping: when to stop.
        solver: the name of one that is made of these, or None.
    """
    tensors: list[Tensor] = []
    numbers = [float(stopping.tol)]
    # Those of the solver come last, for `_gradient`.
    problem = _describe({"rhs": rhs, "options": options, "solver": solver, "made_of": made_of}, tensors, numbers)
    limit = stopping.limit(made_of["method"], tuple(rhs.shape[rhs.ndim - dims :]))
    outputs = torch.ops.fastsciml.poisson_solve(tensors, numbers, problem, dims, limit)
    solution, converged, iterations, residuals = outputs
    return PoissonResult(
        solution=solution,
        converged=converged,
        iterations=iterations,
        residuals=residuals,
        reason=None,
        method=made_of["method"],
        seconds=Seconds(0.0, 0.0),
        cycles=0,
        bytes_moved=0,
        removed_mean=0.0,
        unknowns=solution.numel(),
    )


def _describe(value: Any, tensors: list[Tensor], numbers: list[float]) -> str:
    """A value as JSON. This is traced, too, and keeps to operations that can be."""
    if isinstance(value, Tensor | np.ndarray):
        tensors.append(torch.as_tensor(value))
        return f'{{"tensor": {len(tensors) - 1}}}'
    if value is None:
        return "null"
    if isinstance(value, int | float):
        numbers.append(float(value))
        return f'{{"number": {len(numbers) - 1}}}'
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, dict):
        entries = [f'"{name}": {_describe(entry, tensors, numbers)}' for name, entry in value.items()]
        return "{" + ", ".join(entries) + "}"
    if isinstance(value, Robin):
        return f'{{"robin": {_describe([value.a, value.b, value.value], tensors, numbers)}}}'
    if isinstance(value, Dirichlet):
        return f'{{"dirichlet": {_describe([value.value], tensors, numbers)}}}'
    if isinstance(value, Neumann):
        return f'{{"neumann": {_describe([value.value], tensors, numbers)}}}'
    if isinstance(value, list | tuple):
        return "[" + ", ".join([_describe(entry, tensors, numbers) for entry in value]) + "]"
    raise TypeError(f"a traced solve_poisson takes tensors, numbers and names, got {type(value).__name__}")


def _rebuild(problem: str, tensors: list[Tensor], numbers: list[float]) -> dict[str, Any]:
    """The arguments again."""

    def entry(found: dict[str, Any]) -> Any:
        if len(found) > 1:
            return found
        ((name, value),) = found.items()
        if name in CONDITIONS:
            return CONDITIONS[name](*value)
        return tensors[value] if name == "tensor" else numbers[value]

    arguments: dict[str, Any] = json.loads(problem, object_hook=entry)
    return arguments


def _solver(arguments: dict[str, Any], dims: int, *, anew: bool) -> PoissonSolver:
    """The one that is named, if it is still there; for gradients in what it is made of, one made anew."""
    from fastsciml.solvers.poisson_solver import PoissonSolver

    named = None if anew else _solvers.get(arguments["solver"])
    if named is not None:
        return named
    rhs = arguments["rhs"]
    return PoissonSolver(
        tuple(rhs.shape[rhs.ndim - dims :]), dtype=rhs.dtype, device=rhs.device, **arguments["made_of"]
    )


def _solve(
    tensors: list[Tensor], numbers: list[float], problem: str, dims: int, limit: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    arguments = _rebuild(problem, tensors, numbers)
    result = _solver(arguments, dims, anew=False).solve(
        arguments["rhs"], tol=numbers[0], max_iterations=limit, **arguments["options"]
    )
    u = result.solution
    residuals = u.new_full((limit + 1, *result.residuals.shape[1:]), torch.nan, dtype=torch.float64)
    residuals[: len(result.residuals)] = torch.from_numpy(result.residuals).to(u.device)
    converged, iterations = (torch.tensor(value, device=u.device) for value in (result.converged, result.iterations))
    return u, converged, iterations, residuals


def _gradient(
    grad: Tensor,
    solution: Tensor,
    tensors: list[Tensor],
    numbers: list[float],
    problem: str,
    dims: int,
    limit: int,
    needed: list[bool],
) -> list[Tensor]:
    leaves = [t.detach().requires_grad_(need) for t, need in zip(tensors, needed, strict=True)]
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    with torch.enable_grad():
        arguments = _rebuild(problem, leaves, numbers)
        options = arguments["options"]
        of_solve = 1 + sum(isinstance(option, Tensor) for option in options.values())
        solver = _solver(arguments, dims, anew=any(needed[of_solve:]))
        run = Run(solver, Stopping(numbers[0], limit), "project", False, None, perf_counter())
        run.known = solution
        u = solver._solution(arguments["rhs"].contiguous(), options["fixed_value"], None, run)
        found = iter(torch.autograd.grad(u, wanted, grad, allow_unused=True, materialize_grads=True))
    return [next(found) if need else t.new_empty(0) for t, need in zip(tensors, needed, strict=True)]


_library: Any = cast(Any, torch.library.Library)("fastsciml", "FRAGMENT")
_library.define(
    "poisson_solve(Tensor[] tensors, float[] numbers, str problem, int dims, SymInt limit)"
    " -> (Tensor solution, Tensor converged, Tensor iterations, Tensor residuals)"
)
_library.define(
    "poisson_solve_gradient(Tensor grad, Tensor solution, Tensor[] tensors, float[] numbers, str problem, int dims,"
    " SymInt limit, bool[] needed) -> Tensor[]"
)
for backend in ("CPU", "CUDA"):
    _library.impl("poisson_solve", _solve, backend)
    _library.impl("poisson_solve_gradient", _gradient, backend)
# It runs autograd itself, which the usual kernel of this key would switch off.
_library.impl("poisson_solve_gradient", torch.library.fallthrough_kernel, "Autograd")


@torch.library.register_fake("fastsciml::poisson_solve")  # type: ignore[untyped-decorator]
def _fake(
    tensors: list[Tensor], numbers: list[float], problem: str, dims: int, limit: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rhs = tensors[0]
    residuals = rhs.new_empty((limit + 1, *rhs.shape[: rhs.ndim - dims]), dtype=torch.float64)
    solution = torch.empty_like(rhs, memory_format=torch.contiguous_format)
    return solution, rhs.new_empty((), dtype=torch.bool), rhs.new_empty((), dtype=torch.int64), residuals


@torch.library.register_fake("fastsciml::poisson_solve_gradient")  # type: ignore[untyped-decorator]
def _fake_gradient(grad: Tensor, solution: Tensor, tensors: list[Tensor], *rest: Any) -> list[Tensor]:
    return [torch.empty_like(t) if need else t.new_empty(0) for t, need in zip(tensors, rest[-1], strict=True)]


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    tensors, *ctx.rest = inputs
    ctx.save_for_backward(output[0], *tensors)


def _backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[list[Tensor | None], None, None, None, None]:
    solution, *tensors = ctx.saved_tensors
    needed = list(ctx.needs_input_grad[0])
    found = torch.ops.fastsciml.poisson_solve_gradient(grad, solution, tensors, *ctx.rest, needed)
    return [of if need else None for of, need in zip(found, needed, strict=True)], None, None, None, None


torch.library.register_autograd("fastsciml::poisson_solve", _backward, setup_context=_save)


@torch.library.register_vmap("fastsciml::poisson_solve")  # type: ignore[untyped-decorator]
def _vmap(
    info: Any,
    in_dims: tuple[Any, ...],
    tensors: list[Tensor],
    numbers: list[float],
    problem: str,
    dims: int,
    limit: int,
) -> tuple[tuple[Tensor, ...], tuple[int | None, ...]]:
    rhs, *others = in_dims[0]
    if any(dim is not None for dim in others):
        raise ValueError("a traced solve_poisson maps over right-hand sides only: give the rest a batch axis instead")
    batch = [tensors[0].movedim(rhs, 0), *tensors[1:]]
    return torch.ops.fastsciml.poisson_solve(batch, numbers, problem, dims, limit), (0, None, None, 1)
