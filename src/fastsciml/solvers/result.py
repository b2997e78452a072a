"""What a solver returns, and why it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch

ArrayT = TypeVar("ArrayT", torch.Tensor, npt.NDArray[Any])


class NotConvergedWarning(UserWarning):
    """A solve ended above its tolerance; the result says why."""


class RemovedMeanWarning(UserWarning):
    """A right-hand side without a solution was made solvable by removing its mean."""


class StopReason(Enum):
    """Why a solve ended; the text says what to do next."""

    CONVERGED = "converged: the true relative residual is below the tolerance"
    ONE_PASS = (
        "stopped after one pass of full multigrid, whose error is about the discretisation's: "
        'method="multigrid" goes on to the tolerance'
    )
    MAX_ITERATIONS = "stopped at max_iterations: raise it, or loosen tol"
    ROUNDING = "stopped where rounding keeps the residual from falling further: loosen tol, or use float64"
    BREAKDOWN = (
        "stopped because a search direction had no positive energy: the problem is singular or the data overflow"
    )
    INDEFINITE = "stopped because a search direction had no positive energy: A is not symmetric positive definite"
    BAD_PROPOSAL = "stopped because a proposed direction was of no use: mend what proposes it"
    INTERRUPTED = "interrupted"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Seconds:
    """Wall-clock seconds by phase.

    Attributes:
        setup: checks, masks, the hierarchy.
        solve: all the rest.
        cycles, steps: of the solve, what V-cycles (or transforms), and updates with their true residuals took. On a
            CUDA device, where the host waits in an update only, the cycles before it count as part of that.
    """

    setup: float
    solve: float
    cycles: float = 0.0
    steps: float = 0.0

    @property
    def total(self) -> float:
        return self.setup + self.solve


@dataclass(frozen=True)
class PoissonResult(Generic[ArrayT]):
    """The result of `solve_poisson`.

    Under `torch.compile`, `converged`, `iterations` and `residuals` are tensors, and what only the clock or the run
    knows is absent: `reason` is None, `seconds`, `cycles` and `bytes_moved` are 0.

    Attributes:
        solution: of the right-hand side's kind, shape and dtype; 0 in solid cells.
        converged: whether every true relative residual is at most the tolerance.
        iterations: the most any right-hand side took.
        residuals: float64 [iterations + 1, *batch], ||b - A u|| / ||b||, first entry before the first iteration; NaN
            after a right-hand side of a batch had stopped.
        reason: why the solve ended (of the first right-hand side that did not converge, if one did not).
        method: "multigrid", "fmg", "cg", "fft" or "learned", what "auto" chose.
        seconds: by phase.
        cycles: V-cycles of all right-hand sides ("fft": direct solves; "cg": 0). An iteration may take several.
        bytes_moved: an estimate: what the kernels that ran had to move to and from memory at least.
        removed_mean: what `nullspace="project"` took from the right-hand side, the largest in magnitude; 0 if
            nothing.
        unknowns: cells that hold one, all right-hand sides together.
        learned: how many of all iterations took a learned direction ("learned"); the others were multigrid's.
    """

    solution: ArrayT
    converged: Any  # bool
    iterations: Any  # int
    residuals: Any  # npt.NDArray[np.float64]
    reason: StopReason | None
    method: str
    seconds: Seconds
    cycles: int
    bytes_moved: int
    removed_mean: float
    unknowns: int
    learned: int = 0

    def __str__(self) -> str:
        residuals = np.asarray(self.residuals)
        last = float(np.nanmax(residuals[-1])) if residuals.size else float("nan")
        learned = f" ({self.learned} of learned directions)" if self.method == "learned" else ""
        return (
            f"{self.unknowns:,} unknowns, {self.method}, {int(self.iterations)} iterations{learned}, "
            f"true relative residual {last:.2e}, {self.seconds.total:.3f} s ({self.seconds.setup:.3f} s set-up): "
            f"{self.reason}"
        )
