"""What a gradient costs: one backward pass beside the solve it belongs to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from fastsciml import solve_poisson

from .measure import Spread, ratio
from .poisson_problems import Problem, noisy_box
from .report import Figures, Settings, Tell

TOLERANCE = 1e-10


@dataclass(frozen=True)
class Gradient:
    problem: Problem
    forward: list[float]
    backward: list[float]

    @property
    def times_forward(self) -> Spread:
        return ratio(self.backward, self.forward)


def measure(settings: Settings, tell: Tell) -> Gradient:
    problem = noisy_box(settings.size)
    tell(f"timing gradients at {problem.name}")
    weight = torch.from_numpy(np.random.default_rng(1).standard_normal(problem.shape))
    rounds = [_round(problem, weight) for _ in range(settings.repetitions + 1)][1:]  # the first warms up
    gradient = rounds[-1][2]
    # A is symmetric: the gradient of <w, A^-1 f> is A^-1 w.
    replace(problem, rhs=weight.numpy()).check("the gradient", gradient.numpy(), TOLERANCE)
    return Gradient(problem, [forward for forward, _, _ in rounds], [backward for _, backward, _ in rounds])


def _round(problem: Problem, weight: Tensor) -> tuple[float, float, Tensor]:
    """Seconds forward and backward, and the gradient."""
    rhs = torch.from_numpy(problem.rhs).requires_grad_()
    start = perf_counter()
    result = solve_poisson(rhs, spacing=problem.spacing, boundary=problem.boundary, method="multigrid", tol=TOLERANCE)
    forward = perf_counter() - start
    total = (result.solution * weight).sum()
    start = perf_counter()
    total.backward()  # type: ignore[no-untyped-call]
    backward = perf_counter() - start
    assert rhs.grad is not None
    return forward, backward, rhs.grad


def figures(gradient: Gradient) -> Figures:
    return Figures(
        f"Gradient of <w, u> to f, Dirichlet box {gradient.problem.name}, {TOLERANCE:.0e}",
        [
            {
                "forward, s": Spread.of(gradient.forward),
                "backward, s": Spread.of(gradient.backward),
                "backward / forward": gradient.times_forward,
            }
        ],
    )
