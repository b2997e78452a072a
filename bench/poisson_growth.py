"""Whether a cell costs the same in a large grid: seconds per unknown over a factor of 64."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from . import memory
from .measure import Spread, Timing, interleave
from .poisson_problems import Outcome, Problem, noisy_box
from .report import Cell, Figures, Settings, Tell

TOLERANCE = 1e-10
# float64 arrays of the largest grid that must be free: right-hand side, solution, hierarchy and work, with room.
ARRAYS = 8
# Of each size a turn, whose median counts: a small solve right after a large one finds cold caches, which would flatter
# the growth.
SOLVES = (9, 3, 1)


@dataclass(frozen=True)
class Growth:
    """The same box on finer and finer grids, in the same rounds.

    first counts the seconds of the largest grid's very first solve, into memory that nobody has touched.
    """

    problems: list[Problem]
    timings: list[Timing[Outcome]]
    first: float

    def of(self, number: int) -> Spread:
        """Seconds per unknown over those of the first size, round by round."""
        first, later = self._per_unknown(0), self._per_unknown(number)
        return Spread.of(a / b for a, b in zip(later, first, strict=True))

    @property
    def worst(self) -> Spread:
        return max((self.of(number) for number in range(1, len(self.problems))), key=lambda spread: spread.median)

    def _per_unknown(self, number: int) -> list[float]:
        return [second / self.problems[number].unknowns for second in self.timings[number].seconds]


def sizes(settings: Settings) -> list[int]:
    return [factor * settings.size - 1 for factor in (1, 2, 4)]


def why_not(settings: Settings) -> str:
    """Why nothing can be measured here, or an empty string."""
    if settings.quick:
        return "not the full run"
    needed = ARRAYS * 8 * sizes(settings)[-1] ** 3
    free = memory.available()
    return "" if free is None or free >= needed else f"needs {needed / 2**30:.0f} GiB of free memory"


def measure(settings: Settings, tell: Tell) -> Growth:
    """The largest takes seconds a round, so there are few rounds."""
    tell(f"timing a box of {sizes(settings)[-1]}^3")
    problems = [noisy_box(n, "vertex") for n in sizes(settings)]
    competitors = {
        number: partial(problem.solve_again, solves, TOLERANCE, "multigrid")
        for number, (problem, solves) in enumerate(zip(problems, SOLVES, strict=True))
    }
    # Twice, since each round's solution is kept until the next one's is there: the first touch of a gigabyte of fresh
    # memory takes longer than the solve, and how long depends on the system.
    warming = list(interleave(competitors, 2).values())
    timings = list(interleave(competitors, max(1, settings.repetitions // 2)).values())
    tell(f"checking a box of {sizes(settings)[-1]}^3")
    for problem, timing in zip(problems, timings, strict=True):
        problem.check("fastsciml", timing.output.u, TOLERANCE)
    return Growth(problems, timings, warming[-1].seconds[0])


def figures(growth: Growth) -> Figures:
    rows: list[dict[str, Cell]] = []
    for number, (problem, timing) in enumerate(zip(growth.problems, growth.timings, strict=True)):
        rows.append(
            {
                "grid": problem.name,
                "unknowns": problem.unknowns,
                "seconds": timing.spread,
                "iterations": timing.output.iterations,
                "ns per unknown": Spread.of(1e9 * second / problem.unknowns for second in timing.seconds),
                "of the first": growth.of(number),
            }
        )
    return Figures(
        f'Growth: Dirichlet box, white noise, method="multigrid", {TOLERANCE:.0e}',
        rows,
        f"In memory used before. The very first solve at {growth.problems[-1].name} took {growth.first:.2g} s.",
    )
