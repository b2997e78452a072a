"""Timing competitors on a machine that others use too: interleaved, as ratios, with their spread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any, Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class DisagreementError(Exception):
    """A competitor's result is wrong, so its time means nothing and none is reported."""


@dataclass(frozen=True)
class Spread:
    """The median of some repetitions, and how far they went."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        given = list(values)
        return cls(median(given), min(given), max(given))

    def __str__(self) -> str:
        middle = f"{self.median:.3g}"
        return middle if self.least == self.most else f"{middle} ({self.least:.3g}..{self.most:.3g})"


@dataclass
class Timing(Generic[T]):
    """Seconds of each round, and what the last one returned."""

    seconds: list[float]
    output: T

    @property
    def spread(self) -> Spread:
        return Spread.of(self.seconds)


def interleave(competitors: Mapping[K, Callable[[], T]], rounds: int) -> dict[K, Timing[T]]:
    """Run A B C, A B C, ...: what slows the machine down for a while slows all of them down.

    Warming up is the caller's, since some competitors cost too much to run once for nothing. An output with `seconds`
    was timed by the competitor itself, as those in other processes are.
    """
    timings: dict[K, Timing[T]] = {}
    for _ in range(rounds):
        for name, competitor in competitors.items():
            start = perf_counter()
            output = competitor()
            seconds = perf_counter() - start
            timing = timings.setdefault(name, Timing([], output))
            own: float | None = getattr(output, "seconds", None)
            timing.seconds.append(seconds if own is None else own)
            timing.output = output
    return timings


def seconds_of_rounds(competitors: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Each one's, after a round to warm up."""
    interleave(competitors, 1)
    return {name: timing.seconds for name, timing in interleave(competitors, rounds).items()}


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Spread:
    """Of times taken in the same rounds, round by round."""
    return Spread.of(a / b for a, b in zip(numerator, denominator, strict=True))
