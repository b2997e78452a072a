"""How strongly each sweep of a cycle over-relaxes, and what the coarse correction is multiplied by.

The built-in factors were found by a random search for the smallest residuals that five cycles leave of one white noise,
in a mean over Dirichlet boxes of cells and of vertices, mixed and Neumann boundaries, a ball and odd extents, at 32^3.
At 64^3 they leave

                    cells    vertices 63^3   mixed, ball   Neumann   2D 256^2
    these factors   4.6e-11  5.5e-11         6.9e-11       5.7e-11   7.6e-10
    1 throughout    2.2e-10  3.8e-10         3.8e-10       2.0e-10   2.2e-09

The first coarse sweeps over-relax by more than 2, which no sweep repeated could bear: the later ones make up for it. A
third sweep on the coarse levels costs a fourteenth of a cycle.

Where faces conduct differently, prolongation is piecewise constant and milder factors do better: of a box in layers of
1 and 1000, these take 31 iterations, the others 68. They were found likewise, for cells between Dirichlet faces alone.

A symmetric cycle's sweeps must mirror each other; other numbers of sweeps than two were not tuned.
`fastsciml.directions.MultigridDirection` learns factors of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# A number, or while learning a tensor of one.
Factor = Any


@dataclass(frozen=True)
class LevelSchedule:
    """Of one level.

    Attributes:
        before, after: per sweep before and after the coarse correction, the relaxation as a multiple of the level's.
        correction: what the coarse correction is multiplied by.
    """

    before: Sequence[Factor]
    after: Sequence[Factor]
    correction: Factor = 1.0


@dataclass(frozen=True)
class Schedule:
    """Of the finest level, and of the others, which take one sweep more."""

    finest: LevelSchedule
    coarse: LevelSchedule

    @property
    def sweeps(self) -> int:
        """On the finest level, before the coarse correction and after it."""
        return len(self.finest.before)

    @property
    def numbers(self) -> list[float]:
        """As the operators take it (csrc/multigrid/schedule.h)."""
        levels = (self.finest, self.coarse)
        return [float(factor) for of in levels for factor in (*of.before, *of.after, of.correction)]

    def on(self, level: int) -> LevelSchedule:
        return self.coarse if level else self.finest


TUNED = Schedule(
    LevelSchedule((1.178, 0.984), (0.945, 0.891), 1.017),
    LevelSchedule((1.61, 1.305, 0.83), (0.9, 0.787, 0.748)),
)
TUNED_FOR_COEFFICIENTS = Schedule(
    LevelSchedule((1.065, 0.992), (0.966, 0.833), 1.035),
    LevelSchedule((1.137, 0.89, 0.89), (0.951, 0.951, 0.806)),
)


def built_in_schedule(sweeps: int, symmetric: bool, conducts: bool) -> Schedule:
    """The factors of a cycle with so many sweeps on the finest level; `conducts`: with a coefficient."""
    if sweeps == 2 and not symmetric:
        return TUNED_FOR_COEFFICIENTS if conducts else TUNED
    return mirrored([1.0] * sweeps, 1.0, [1.0] * (sweeps + 1), 1.0)


def mirrored(finest: Sequence[Factor], correction: Factor, coarse: Sequence[Factor], coarser: Factor) -> Schedule:
    """A symmetric cycle's, from the sweeps before the coarse correction and the weights of that."""
    return Schedule(
        LevelSchedule(finest, list(finest)[::-1], correction), LevelSchedule(coarse, list(coarse)[::-1], coarser)
    )
