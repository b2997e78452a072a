"""What a solver returns, and why it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch

ArrayT = TypeVar("ArrayT", torch.Tensor, npt.NDArray[Any])


class StopReason(Enum):
    """Why an iteration ended; the text says what to do next."""

    CONVERGED = "converged: the true relative residual is below the tolerance"
    MAX_ITERATIONS = "stopped at max_iterations: raise it, or loosen tol"
    ROUNDING = "stopped where rounding keeps the residual from falling further: loosen tol, or use float64"
    BREAKDOWN = (
        "stopped because a search direction had no positive energy: the problem is singular or the data overflow"
    )
    INTERRUPTED = "interrupted"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Seconds:
    """Wall-clock seconds: the hierarchy and checks, the iteration."""

    setup: float
    solve: float

    @property
    def total(self) -> float:
        return self.setup + self.solve


@dataclass(frozen=True)
class PoissonResult(Generic[ArrayT]):
    """The result of `solve_poisson`.

    Attributes:
        solution: of the right-hand side's kind, shape and dtype; 0 in solid cells.
        converged: whether every true relative residual is at most the tolerance.
        iterations: the most any right-hand side took.
        residuals: float64 [iterations + 1, *batch], ||f - A u|| / ||f||, first entry before the first iteration; NaN
            after a right-hand side of a batch had stopped.
        reason: why the iteration stopped (of the first right-hand side that did not converge, if one did not).
        seconds: by phase.
        removed_mean: what `nullspace="project"` took from the right-hand side, the largest in magnitude; 0 if
            nothing.
        unknowns: fluid cells, all right-hand sides together.
    """

    solution: ArrayT
    converged: bool
    iterations: int
    residuals: npt.NDArray[np.float64]
    reason: StopReason
    seconds: Seconds
    removed_mean: float
    unknowns: int

    def __str__(self) -> str:
        last = float(np.nanmax(self.residuals[-1])) if self.residuals.size else float("nan")
        return (
            f"{self.unknowns:,} unknowns, {self.iterations} iterations, true relative residual {last:.2e}, "
            f"{self.seconds.total:.3f} s ({self.seconds.setup:.3f} s set-up): {self.reason}"
        )
