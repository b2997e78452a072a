"""A trained MgNO as the initial guess and as the preconditioner for Poisson's equation, against multigrid."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

import torch
from rich import box
from rich.table import Table
from torch import Tensor

from fastsciml import solve_poisson
from fastsciml.data import OperatorData

from .mgno_problems import Task, load, poisson
from .mgno_training import Lane, Recipe

TOLERANCE = 1e-8
SOLVED = 10  # right-hand sides
MOST = 400
LEARNED = {
    "MgNO": Recipe("mgno", {"width": 16}, 2e-3, scale="deviation"),
    "one learned V-cycle": Recipe("cycle", {"width": 16, "pre": 1, "post": 1}, 4e-3, scale="deviation"),
}
Operator = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Way:
    """To solve to `TOLERANCE`: the median over the right-hand sides of iterations, V-cycles of the solver, seconds
    and the first residual.
    """

    name: str
    iterations: float
    cycles: float
    seconds: float
    first: float
    converged: int


def measure(points: int, samples: int, steps: int, device: torch.device) -> list[Way]:
    """Train on f and u of -lap u = f, then solve for others, one at a time on the CPU."""
    task = _with_noise(load("poisson", samples, SOLVED, points=points))
    f = poisson(points, SOLVED, torch.Generator().manual_seed(1)).x[:, 0]
    ways = [_by_multigrid("multigrid", f, None), _by_conjugate_gradients("conjugate gradients", f, None)]
    for name, recipe in LEARNED.items():
        learned = _trained(recipe, task, steps, device)
        ways.append(_by_multigrid(f"multigrid, first guess by {name}", f, learned))
        ways.append(_by_conjugate_gradients(f"flexible conjugate gradients over {name}", f, learned))
    return ways


def table(ways: list[Way]) -> Table:
    shown = Table(title=f"-lap u = f to {TOLERANCE:.0e}, one right-hand side", box=box.ROUNDED, title_justify="left")
    shown.add_column("by")
    for name in ("first residual", "iterations", "V-cycles", "ms", "converged"):
        shown.add_column(name, justify="right")
    for way in ways:
        row = (
            f"{way.first:.2e}",
            f"{way.iterations:g}",
            f"{way.cycles:g}",
            f"{1e3 * way.seconds:.2f}",
            f"{way.converged} of {SOLVED}",
        )
        shown.add_row(way.name, *row)
    return shown


def _with_noise(task: Task) -> Task:
    """Every other f as white noise, since the residuals of a solver are rough."""
    x = task.train.x.double()
    generator = torch.Generator().manual_seed(2)
    x[::2] = torch.randn(x[::2].shape, generator=generator, dtype=x.dtype) * x.std()
    n = task.points
    u = solve_poisson(x[:, 0].contiguous(), spacing=1 / (n + 1), centering="vertex", dims=2, tol=1e-10).solution
    # Noise has small solutions: each pair is scaled to a deviation of 1 of u, which a linear map does not mind.
    size = u.flatten(1).std(dim=1)[:, None, None, None]
    return replace(task, train=OperatorData((x / size).float(), (u[:, None] / size).float()))


def _trained(recipe: Recipe, task: Task, steps: int, device: torch.device) -> Operator:
    """A -> B(r) of any size: the map is learned for right-hand sides of one size."""
    lane = Lane(recipe, task, 0, steps, device)
    lane.begin(steps)
    lane.advance(steps)
    operator = lane.operator.cpu().eval()
    usual = float(task.train.x.square().flatten(1).mean(1).sqrt().median())

    @torch.no_grad()
    def apply(r: Tensor) -> Tensor:
        size = r.square().mean().sqrt() / usual
        applied: Tensor = operator((r / size).float()[None, None])[0, 0]
        return applied.to(r.dtype) * size

    return apply


def _by_multigrid(name: str, f: Tensor, guess: Operator | None) -> Way:
    runs = []
    for right in f:
        started = time.perf_counter()
        first = None if guess is None else _fitted(guess(right), right)
        result = solve_poisson(
            right,
            spacing=1 / (len(right) + 1),
            centering="vertex",
            method="multigrid",
            tol=TOLERANCE,
            initial_guess=first,
        )
        seconds = time.perf_counter() - started
        runs.append((result.iterations, result.cycles, seconds, float(result.residuals[0]), bool(result.converged)))
    return _way(name, runs)


def _by_conjugate_gradients(name: str, f: Tensor, preconditioner: Operator | None) -> Way:
    runs = []
    for right in f:
        started = time.perf_counter()
        residuals = flexible_conjugate_gradients(right, preconditioner or (lambda r: r))[1]
        seconds = time.perf_counter() - started
        runs.append((len(residuals) - 1, 0, seconds, residuals[0], residuals[-1] <= TOLERANCE))
    return _way(name, runs)


def _way(name: str, runs: list[tuple[int, int, float, float, bool]]) -> Way:
    iterations, cycles, seconds, first, converged = zip(*runs, strict=True)
    return Way(name, median(iterations), median(cycles), median(seconds), median(first), sum(converged))


def applied(u: Tensor) -> Tensor:
    """-lap u at the points inside the unit square, 0 beyond."""
    v = torch.nn.functional.pad(u, (1, 1, 1, 1))
    around = v[:-2, 1:-1] + v[2:, 1:-1] + v[1:-1, :-2] + v[1:-1, 2:]
    return (4 * u - around) * (len(u) + 1) ** 2


def flexible_conjugate_gradients(
    f: Tensor, preconditioner: Operator, tol: float = TOLERANCE, most: int = MOST
) -> tuple[Tensor, list[float]]:
    """The solution and relative residuals; the preconditioner need be neither linear nor symmetric.

    Notay, "Flexible conjugate gradients", SIAM J. Sci. Comput. 22 (2000): each direction is made orthogonal to the one
    before by Polak's and Ribiere's formula.
    """
    u, r = torch.zeros_like(f), f
    size = f.norm()
    residuals = [1.0]
    p = previous = f
    weight: Tensor | float = 1.0
    while residuals[-1] > tol and len(residuals) <= most:
        z = preconditioner(r)
        p = z if len(residuals) == 1 else z + p * ((z * (r - previous)).sum() / weight)
        Ap = applied(p)
        weight = (z * r).sum()
        step = (p * r).sum() / (p * Ap).sum()
        u, previous, r = u + step * p, r, r - step * Ap
        residuals.append(float(r.norm() / size))
    return u, residuals


def _fitted(u: Tensor, f: Tensor) -> Tensor:
    """By the factor for which the error is least in the norm of A: a line search of no cost beside a solve."""
    return u * ((u * f).sum() / (u * applied(u)).sum())
