"""Full multigrid: as exact as the discretisation, for how much less than solving the equations?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from .measure import DisagreementError, Spread, Timing, interleave, ratio
from .poisson_problems import Array, Outcome, Problem, smooth_box
from .report import Figures, Settings, Tell

TOLERANCE = 1e-10
# Of the residual, which one pass meets at once: whoever asks for full multigrid wants the discretisation's accuracy.
FULL_TOLERANCE = 1e-2
# Times the discretisation error: what is so far off is no solution.
WRONG = 10.0


@dataclass(frozen=True)
class FullMultigrid:
    """Errors are ||u - solution|| / ||solution||, the solution being the differential equation's."""

    problem: Problem
    full: Timing[Outcome]
    exact: Timing[Outcome]
    error: float
    discretisation_error: float

    @property
    def error_ratio(self) -> Spread:
        return Spread.of([self.error / self.discretisation_error])

    @property
    def times_faster(self) -> Spread:
        return ratio(self.exact.seconds, self.full.seconds)


def measure(settings: Settings, tell: Tell) -> FullMultigrid:
    n = (settings.size if settings.quick else 2 * settings.size) - 1
    problem, solution = smooth_box(n)
    tell(f"timing full multigrid at {n}^3")
    competitors = {
        "full": partial(problem.solve, FULL_TOLERANCE, "fmg"),
        "exact": partial(problem.solve, TOLERANCE, "multigrid"),
    }
    interleave(competitors, 1)
    timings = interleave(competitors, settings.repetitions)
    problem.check("fastsciml", timings["exact"].output.u, TOLERANCE)
    error, discretisation = (_error(timings[name].output.u, solution) for name in ("full", "exact"))
    if not error <= WRONG * discretisation:
        raise DisagreementError(
            f'method="fmg" at {problem.name} has the error {error:.2e}, the discretisation {discretisation:.2e}, '
            "so no time is reported"
        )
    return FullMultigrid(problem, timings["full"], timings["exact"], error, discretisation)


def _error(u: Array, solution: Array) -> float:
    return float(np.linalg.norm(u - solution) / np.linalg.norm(solution))


def figures(run: FullMultigrid) -> Figures:
    return Figures(
        f"Full multigrid, manufactured solution, {run.problem.name}",
        [
            {
                "method": name,
                "seconds": timing.spread,
                "M/s": run.problem.unknowns / timing.spread.median / 1e6,
                "error": error,
                "error / discretisation's": error / run.discretisation_error,
            }
            for name, timing, error in (
                ("fmg", run.full, run.error),
                (f"multigrid, {TOLERANCE:.0e}", run.exact, run.discretisation_error),
            )
        ],
        "Error: relative 2-norm against the differential equation's solution at the vertices.",
    )
