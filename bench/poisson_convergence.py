"""Whether a cycle takes off as much of the residual on every grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .measure import Spread
from .poisson_problems import Outcome, Problem, grid_name, noisy_ball, noisy_box
from .report import Figures, Settings, Tell

TOLERANCE = 1e-10
TINY = 1e-300


@dataclass(frozen=True)
class Convergence:
    """Of one size, without and with a mask."""

    n: int
    box: Outcome
    masked: Outcome


def measure(settings: Settings, tell: Tell) -> list[Convergence]:
    """The first and the last are the ones to compare; odd sizes, which do not halve evenly, stand between."""
    n = settings.size
    sizes = [n // 2, n // 4 + 1, n // 2 + 1, n + 1, *([n] if settings.quick else [2 * n + 1, 2 * n])]
    runs = []
    for size in sizes:
        tell(f"convergence at {size}^3")
        runs.append(Convergence(size, _solve_checked(noisy_box(size)), _solve_checked(noisy_ball(size))))
    return runs


def _solve_checked(problem: Problem) -> Outcome:
    outcome = problem.solve(TOLERANCE, "multigrid")
    problem.check("fastsciml", outcome.u, TOLERANCE)
    return replace(outcome, u=np.empty(0))


def worst(runs: list[Convergence]) -> Spread:
    return Spread.of([max(outcome.factor for run in (runs[0], runs[-1]) for outcome in (run.box, run.masked))])


def apart(runs: list[Convergence]) -> Spread:
    """The larger over the smaller factor of the first and the last size."""
    first, last = runs[0], runs[-1]
    pairs = [(first.box.factor, last.box.factor), (first.masked.factor, last.masked.factor)]
    return Spread.of([max(max(pair) / max(min(pair), TINY) for pair in pairs)])


def figures(runs: list[Convergence]) -> Figures:
    return Figures(
        f"Convergence factor per V-cycle, geometric mean down to {TOLERANCE:.0e}, white noise",
        [
            {
                "grid": grid_name((run.n,) * 3),
                "Dirichlet box": run.box.factor,
                "cycles": run.box.cycles,
                "ball, mixed boundaries": run.masked.factor,
                "its cycles": run.masked.cycles,
            }
            for run in sorted(runs, key=lambda run: run.n)
        ],
    )
