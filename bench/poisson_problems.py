"""The Poisson problems of the benchmark, and the check that a solution must pass before its time is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsciml import solve_poisson
from fastsciml.data import divergence, project, smoke_plume

from .measure import DisagreementError

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Two programs add up the same residual in different orders.
ROUNDING = 1.01

WALLS_AND_OPEN_TOP = (("neumann", "neumann"), ("neumann", "neumann"), ("neumann", "dirichlet"))


@dataclass(frozen=True, eq=False)
class Outcome:
    """A competitor's solution; a direct solver takes no iterations.

    factor is the geometric mean of what an iteration leaves of the true residual.
    """

    u: Array
    iterations: int = 0
    factor: float = 0.0


@dataclass(frozen=True, eq=False)
class Problem:
    """-div(grad u) = f on the unit box; solid is True where there is no fluid."""

    rhs: Array
    boundary: tuple[tuple[str, str], ...]
    solid: Mask | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.rhs.shape

    @property
    def spacing(self) -> tuple[float, ...]:
        return (1 / self.shape[0],) * self.rhs.ndim

    @property
    def fluid(self) -> Mask:
        return np.ones(self.shape, dtype=bool) if self.solid is None else ~self.solid

    @property
    def unknowns(self) -> int:
        return self.rhs.size if self.solid is None else int(self.fluid.sum())

    def solve(self, tolerance: float) -> Outcome:
        """By fastsciml: checks and set-up are part of every call."""
        result = solve_poisson(self.rhs, spacing=self.spacing, boundary=self.boundary, solid=self.solid, tol=tolerance)
        factor = float(result.residuals[-1] / result.residuals[0]) ** (1 / max(1, result.iterations))
        return Outcome(result.solution, result.iterations, factor)

    def residual(self, u: Array) -> float:
        """||f - A u|| / ||f|| by the staggered grid's differences in NumPy, which share no code with the kernels."""
        f = self.rhs if self.solid is None else np.where(self.solid, 0.0, self.rhs)
        at_rest = [np.broadcast_to(0.0, _with_one_more(self.shape, axis)) for axis in range(f.ndim)]
        less_gradient = project(at_rest, u, self.spacing, self.boundary, self.solid)
        return float(np.linalg.norm(f - divergence(less_gradient, self.spacing)) / np.linalg.norm(f))

    def check(self, who: str, u: Array, tolerance: float) -> float:
        """The recomputed relative residual; DisagreementError where it is above the tolerance."""
        residual = self.residual(u)
        if not residual <= ROUNDING * tolerance:
            raise DisagreementError(
                f"{who} at {grid_name(self.shape)} left the relative residual {residual:.2e} where "
                f"{tolerance:.0e} was asked for, so no time is reported"
            )
        return residual


def noisy_box(n: int) -> Problem:
    """White noise, which holds every frequency alike, between Dirichlet walls."""
    return Problem(_noise(n), (("dirichlet", "dirichlet"),) * 3)


def noisy_ball(n: int) -> Problem:
    """White noise around a solid ball, with the plume's boundaries. The plume itself takes minutes to make at 257^3."""
    x = (np.arange(n) + 0.5) / n - 0.5
    squares = x[:, None, None] ** 2 + x[:, None] ** 2 + x**2
    return Problem(_noise(n), WALLS_AND_OPEN_TOP, squares < 0.14**2)


def plume(n: int) -> Problem:
    """Pressure projection of smoke rising past a ball: walls, an open top, a mask."""
    made = smoke_plume((n, n, n))
    return Problem(np.asarray(made.rhs, dtype=np.float64), made.boundary, made.solid)


def grid_name(shape: Sequence[int]) -> str:
    return f"{shape[0]}^3" if len(set(shape)) == 1 and len(shape) == 3 else "x".join(map(str, shape))


def _noise(n: int) -> Array:
    return np.random.default_rng(0).standard_normal((n, n, n))


def _with_one_more(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return tuple(n + (a == axis) for a, n in enumerate(shape))
