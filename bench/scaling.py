"""`solve_poisson` from 10^4 to 10^8 unknowns: whether twice the unknowns take twice the time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from fastsciml import solve_poisson

from . import memory
from .machine import load
from .measure import DisagreementError, Spread, interleave
from .poisson_problems import ROUNDING, Array, Method, noisy_box
from .report import Cell, Figures, Report, Settings, Tell

# Cells per axis, about half a power of ten apart; without prime factors above 7, so that "auto" is the direct solver.
EDGES = (21, 32, 45, 70, 100, 150, 216, 320, 480)
FULL_SIZE, QUICK_SIZE = EDGES[-1], 100
METHODS: Sequence[Method] = ("multigrid", "auto")
# float32's rounding leaves a few 1e-7 of the residual, more on larger grids.
TOLERANCES = {"float32": 1e-5, "float64": 1e-10}
# float64 arrays of the grid that must be free: both right-hand sides and solutions, hierarchy and work, with room.
ARRAYS = 12
# A turn solves small problems so often that it takes about as long as one of so many unknowns: nobody times a moment.
UNKNOWNS_OF_A_TURN = 3 * 10**5
# Larger problems take seconds a turn, so there are few.
FEWER_ABOVE, FEW_ROUNDS = 10**7, 2
SIZES_TITLE, SLOPES_TITLE = "Scaling: Dirichlet box, white noise", "Slopes"

Name = tuple[Method, str]


@dataclass(frozen=True)
class Size:
    """One grid, and seconds of a solve, round by round, of every method in either dtype."""

    edge: int
    seconds: dict[Name, list[float]]

    @property
    def unknowns(self) -> int:
        return self.edge**3


def run(settings: Settings, tell: Tell) -> Report:
    load_before = load()
    sizes, left_out = [], []
    for edge in (edge for edge in EDGES if edge <= settings.size):
        why = why_not(edge)
        if why:
            left_out.append(f"{edge}^3 left out: {why}.")
            continue
        tell(f"timing {edge}^3")
        sizes.append(measure(edge, settings.repetitions))
    if len(sizes) < 2:
        why = " ".join(left_out) or f"there is one of at most {settings.size}^3 at most"
        raise DisagreementError(f"scaling: a slope needs two grids: {why}")
    return Report(
        "scaling",
        settings,
        [],
        [_size_figures(sizes, left_out), _slope_figures(sizes)],
        [
            f"{settings.threads} threads; methods and dtypes in turn: median (least..most). Each solve has its set-up.",
            "Residuals were computed anew in NumPy, in float64, before a time was told.",
            f"Before this run: {load_before}.",
        ],
    )


def why_not(edge: int) -> str:
    """Why a grid cannot be measured here, or an empty string."""
    needed, free = ARRAYS * 8 * edge**3, memory.available()
    return "" if free is None or free >= needed else f"needs {needed / 2**30:.1f} GiB of free memory"


def measure(edge: int, repetitions: int) -> Size:
    problem = noisy_box(edge)
    times = max(1, UNKNOWNS_OF_A_TURN // problem.unknowns)
    sides = {dtype: problem.rhs.astype(dtype, copy=False) for dtype in TOLERANCES}
    competitors: dict[Name, Callable[[], tuple[Array]]] = {
        (method, dtype): partial(_solve, f, problem.spacing, method, TOLERANCES[dtype], times)
        for dtype, f in sides.items()
        for method in METHODS
    }
    interleave(competitors, 1)
    rounds = repetitions if problem.unknowns <= FEWER_ABOVE else min(repetitions, FEW_ROUNDS)
    timings = interleave(competitors, rounds)
    for (method, dtype), timing in timings.items():
        (u,) = timing.output
        # That of a float32 solution holds the rounding of f and of u, which the tolerance leaves room for.
        residual = problem.residual(u.astype(np.float64))
        if not residual <= ROUNDING * TOLERANCES[dtype]:
            raise DisagreementError(
                f'{dtype}, method="{method}" at {edge}^3 left the relative residual {residual:.1e}, so no time is '
                "reported"
            )
    return Size(edge, {name: [second / times for second in timing.seconds] for name, timing in timings.items()})


def _solve(f: Array, spacing: Sequence[float], method: Method, tol: float, times: int) -> tuple[Array]:
    """The last solution; in a tuple, since what has `seconds` of its own is not timed (measure.py)."""
    u = solve_poisson(f, spacing=spacing, method=method, tol=tol).solution
    for _ in range(times - 1):
        u = solve_poisson(f, spacing=spacing, method=method, tol=tol).solution
    return (u,)


def slope(unknowns: Sequence[float], seconds: Sequence[float]) -> float:
    """Of the straight line that fits log(seconds) over log(unknowns) best; 1 is time in proportion to the unknowns."""
    x, y = np.log(unknowns), np.log(seconds)
    x = x - x.mean()
    return float(x @ y / (x @ x))


def _size_figures(sizes: list[Size], left_out: list[str]) -> Figures:
    rows: list[dict[str, Cell]] = [
        {
            "method": method,
            "dtype": dtype,
            "grid": f"{size.edge}^3",
            "unknowns": size.unknowns,
            "seconds": Spread.of(seconds),
            "ns per unknown": Spread.of(1e9 * second / size.unknowns for second in seconds),
        }
        for dtype in TOLERANCES
        for method in METHODS
        for size in sizes
        for seconds in [size.seconds[method, dtype]]
    ]
    tolerances = ", ".join(f"{dtype} to {tol:.0e}" for dtype, tol in TOLERANCES.items())
    return Figures(SIZES_TITLE, rows, " ".join([f"{tolerances}.", *left_out]))


def _slope_figures(sizes: list[Size]) -> Figures:
    larger = sizes[(len(sizes) - 1) // 2 :]
    rows: list[dict[str, Cell]] = [
        {
            "method": method,
            "dtype": dtype,
            "slope": _slope(sizes, (method, dtype)),
            "of the larger half": _slope(larger, (method, dtype)),
        }
        for dtype in TOLERANCES
        for method in METHODS
    ]
    note = (
        f"Of the line through log(seconds) over log(unknowns), {sizes[0].edge}^3 and {larger[0].edge}^3 to "
        f"{sizes[-1].edge}^3; 1: in proportion. Below 1 where what a call costs counts."
    )
    return Figures(SLOPES_TITLE, rows, note)


def _slope(sizes: list[Size], name: Name) -> float:
    return slope([size.unknowns for size in sizes], [Spread.of(size.seconds[name]).median for size in sizes])
