"""The Poisson problems of the benchmark, and the check that a solution must pass before its time is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fastsciml import solve_poisson
from fastsciml.data import divergence, project, smoke_plume

from .measure import DisagreementError, interleave

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Centering = Literal["cell", "vertex"]
Method = Literal["auto", "multigrid", "fmg", "cg", "fft"]

# Two programs add up the same residual in different orders.
ROUNDING = 1.01

DIRICHLET = (("dirichlet", "dirichlet"),) * 3
WALLS_AND_OPEN_TOP = (("neumann", "neumann"), ("neumann", "neumann"), ("neumann", "dirichlet"))


@dataclass(frozen=True, eq=False)
class Outcome:
    """A competitor's solution; a direct solver takes no iterations.

    factor is the geometric mean of what a V-cycle leaves of the true residual, setup counts seconds before the
    first one. seconds is set where wall-clock time around the call is not what counts, moved where a solver tells how
    many bytes it had to move.
    """

    u: Array
    iterations: int = 0
    factor: float = 0.0
    setup: float = 0.0
    cycles: int = 0
    seconds: float | None = None
    moved: int = 0


@dataclass(frozen=True, eq=False)
class Problem:
    """-div(grad u) = f on the unit box; solid is True where there is no fluid.

    With vertices, the box ends one spacing beyond the first and the last unknown, where u = 0.
    """

    rhs: Array
    boundary: tuple[tuple[str, str], ...] = DIRICHLET
    solid: Mask | None = None
    centering: Centering = "cell"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.rhs.shape

    @property
    def name(self) -> str:
        return f"{grid_name(self.shape)} {'cells' if self.centering == 'cell' else 'vertices'}"

    @property
    def spacing(self) -> tuple[float, ...]:
        return (1 / (self.shape[0] + (self.centering == "vertex")),) * self.rhs.ndim

    @property
    def fluid(self) -> Mask:
        return np.ones(self.shape, dtype=bool) if self.solid is None else ~self.solid

    @property
    def unknowns(self) -> int:
        return self.rhs.size if self.solid is None else int(self.fluid.sum())

    def solve(self, tolerance: float, method: Method = "auto") -> Outcome:
        """By fastsciml: checks and set-up are part of every call."""
        result = solve_poisson(
            self.rhs,
            spacing=self.spacing,
            boundary=self.boundary,
            solid=self.solid,
            centering=self.centering,
            method=method,
            tol=tolerance,
        )
        factor = float(result.residuals[-1] / result.residuals[0]) ** (1 / max(1, result.cycles))
        return Outcome(
            result.solution, result.iterations, factor, result.seconds.setup, result.cycles, moved=result.bytes_moved
        )

    def solve_again(self, times: int, tolerance: float, method: Method = "auto") -> Outcome:
        """The last of so many solves, with the median of their seconds."""
        timing = interleave({"": partial(self.solve, tolerance, method)}, times)[""]
        return replace(timing.output, seconds=timing.spread.median)

    def residual(self, u: Array) -> float:
        """||f - A u|| / ||f|| in NumPy, which shares no code with the kernels."""
        if self.centering == "vertex" or (self.solid is None and self.boundary == DIRICHLET):
            return _residual_in_box(self.rhs, u, self.spacing, cells=self.centering == "cell")
        f = self.rhs if self.solid is None else np.where(self.solid, 0.0, self.rhs)
        at_rest = [np.broadcast_to(0.0, _with_one_more(self.shape, axis)) for axis in range(f.ndim)]
        less_gradient = project(at_rest, u, self.spacing, self.boundary, self.solid)
        return float(np.linalg.norm(f - divergence(less_gradient, self.spacing)) / np.linalg.norm(f))

    def check(self, who: str, u: Array, tolerance: float) -> float:
        """The recomputed relative residual; DisagreementError where it is above the tolerance."""
        residual = self.residual(u)
        if not residual <= ROUNDING * tolerance:
            raise DisagreementError(
                f"{who} at {self.name} left the relative residual {residual:.2e} where "
                f"{tolerance:.0e} was asked for, so no time is reported"
            )
        return residual


def noisy_box(n: int, centering: Centering = "cell") -> Problem:
    """White noise, which holds every frequency alike, between Dirichlet walls."""
    return Problem(_noise(n), centering=centering)


def noisy_ball(n: int) -> Problem:
    """White noise around a solid ball, with the plume's boundaries. The plume itself takes minutes to make at 257^3."""
    x = (np.arange(n) + 0.5) / n - 0.5
    squares = x[:, None, None] ** 2 + x[:, None] ** 2 + x**2
    return Problem(_noise(n), WALLS_AND_OPEN_TOP, squares < 0.14**2)


def plume(n: int) -> Problem:
    """Pressure projection of smoke rising past a ball: walls, an open top, a mask."""
    made = smoke_plume((n, n, n))
    return Problem(np.asarray(made.rhs, dtype=np.float64), made.boundary, made.solid)


def smooth_box(n: int) -> tuple[Problem, Array]:
    """Vertices between Dirichlet walls, and the solution of the differential equation there.

    Along each axis it is two sine waves, so no eigenfunction; the difference equation's solution misses it by O(h^2).
    """
    x = np.arange(1, n + 1) / (n + 1)
    wave = np.sin(np.pi * x) + np.sin(2 * np.pi * x) / 2
    bent = np.pi**2 * np.sin(np.pi * x) + (2 * np.pi) ** 2 * np.sin(2 * np.pi * x) / 2
    factors = [(bent, wave, wave), (wave, bent, wave), (wave, wave, bent)]
    rhs = sum((np.einsum("i,j,k->ijk", *of_axis) for of_axis in factors), start=np.zeros((n, n, n)))
    return Problem(rhs, centering="vertex"), np.einsum("i,j,k->ijk", wave, wave, wave)


def grid_name(shape: Sequence[int]) -> str:
    return f"{shape[0]}^3" if len(set(shape)) == 1 and len(shape) == 3 else "x".join(map(str, shape))


def _residual_in_box(f: Array, u: Array, spacing: Sequence[float], cells: bool) -> float:
    """Plane by plane, since the largest problems leave no room for another array. Beyond the ends, u = 0.

    A cell's wall is half a spacing away, so that it counts twice.
    """
    wx, wy, wz = (h**-2 for h in spacing)
    squares = 0.0
    for i, plane in enumerate(u):
        at_ends = ((i == 0) + (i + 1 == len(u))) * wx if cells else 0.0
        r = f[i] - (2 * (wx + wy + wz) + at_ends) * plane
        if i > 0:
            r += wx * u[i - 1]
        if i + 1 < len(u):
            r += wx * u[i + 1]
        r[1:] += wy * plane[:-1]
        r[:-1] += wy * plane[1:]
        r[:, 1:] += wz * plane[:, :-1]
        r[:, :-1] += wz * plane[:, 1:]
        if cells:
            for end in (0, -1):
                r[end] -= wy * plane[end]
                r[:, end] -= wz * plane[:, end]
        squares += float(np.vdot(r, r))
    return sqrt(squares) / float(np.linalg.norm(f))


def _noise(n: int) -> Array:
    return np.random.default_rng(0).standard_normal((n, n, n))


def _with_one_more(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return tuple(n + (a == axis) for a, n in enumerate(shape))
