"""One V-cycle alone: its share of the memory's speed, and how many of them a new mask's set-up costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
import torch

from fastsciml import PoissonSolver
from fastsciml.ops import join_rows, multigrid_v_cycle, multigrid_workspace, split_rows
from fastsciml.ops.pages import empty_in_huge_pages
from fastsciml.solvers.iteration import Iteration

from .measure import DisagreementError, Spread, interleave, ratio
from .poisson_problems import Array, Mask, Problem, noisy_box
from .report import Cell, Figures, Settings, Tell

# Per cell of the finest level, float32: the pass down reads f, writes v and the coarse f (1/8 of the cells); the pass
# up reads v, f and the coarse correction, writes the result (csrc/multigrid/passes.h). Coarser levels add a seventh.
CYCLE_BYTES = (8.5 + 12.5) * 8 / 7

# What a cycle from zero may leave of white noise's residual: enough to tell it from one that is wrong.
LEFT_OVER = 0.3


class Cycle:
    """A problem's V-cycle with its arrays made, in lengths of the spacing, so that 1/h^2 is 1."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        solver = PoissonSolver(problem.shape, boundary=problem.boundary, solid=problem.solid, method="multigrid")
        work = solver._work(0)
        assert isinstance(work, Iteration)
        self.hierarchy = work.hierarchy  # the solver's own, not one like it
        self.rhs = split_rows(torch.from_numpy(np.where(problem.fluid, problem.rhs, 0.0)))
        self.out = empty_in_huge_pages(*self.rhs.shape)
        self.workspace = empty_in_huge_pages(multigrid_workspace(self.hierarchy))

    def __call__(self) -> None:
        multigrid_v_cycle(self.rhs, self.out, self.hierarchy, self.workspace)

    def solution(self) -> Array:
        joined = join_rows(self.out, self.problem.shape[-1]).double().numpy()
        return np.asarray(joined * self.problem.spacing[0] ** 2)

    def check(self) -> None:
        left = self.problem.residual(self.solution())
        if not left <= LEFT_OVER:
            raise DisagreementError(
                f"a V-cycle at {self.problem.name} left {left:.2g} of the residual, so no time is reported"
            )


@dataclass(frozen=True)
class CycleTime:
    problem: Problem
    seconds: list[float]

    @property
    def bytes(self) -> float:
        return CYCLE_BYTES * self.problem.unknowns

    def share(self, bandwidth: float) -> Spread:
        """Of the memory's speed, were only the bytes moved that must be."""
        return Spread.of(self.bytes / second / bandwidth for second in self.seconds)


@dataclass(frozen=True)
class SetUp:
    """Seconds of set-up for masks that were never seen, each beside the V-cycle of such a hierarchy."""

    problem: Problem
    setups: list[float]
    cycles: list[float]

    @property
    def in_cycles(self) -> Spread:
        return ratio(self.setups, self.cycles)


def measure(settings: Settings, tell: Tell) -> list[CycleTime]:
    sizes = [settings.size] if settings.quick else [settings.size, 2 * settings.size]
    cycles = {n: Cycle(noisy_box(n)) for n in sizes}
    tell("timing V-cycles")
    interleave(cycles, 1)
    for cycle in cycles.values():
        cycle.check()
    timings = interleave(cycles, settings.repetitions)
    return [CycleTime(cycle.problem, timings[n].seconds) for n, cycle in cycles.items()]


def measure_setup(problem: Problem, solid: Mask, tolerance: float, settings: Settings, tell: Tell) -> SetUp:
    """The mask `solid` moves on by a cell every round, so that nothing can remember it."""
    tell("timing the set-up of new masks")
    cycle = Cycle(problem)
    cycle()
    setups, cycles = [], []
    for number in range(settings.repetitions):
        moved = replace(problem, solid=np.roll(solid, number + 1, axis=0))
        outcome = moved.solve(tolerance)
        moved.check("fastsciml", outcome.u, tolerance)
        setups.append(outcome.setup)
        cycle()  # brings its arrays back into the caches
        start = perf_counter()
        cycle()
        cycles.append(perf_counter() - start)
    return SetUp(problem, setups, cycles)


def figures(times: Sequence[CycleTime], bandwidth: float) -> Figures:
    rows: list[dict[str, Cell]] = [
        {
            "grid": time.problem.name,
            "ms": Spread.of(1e3 * second for second in time.seconds),
            "MB must move": time.bytes / 1e6,
            "copy, GB/s": bandwidth / 1e9,
            "share": time.share(bandwidth),
        }
        for time in times
    ]
    return Figures(
        "One V-cycle, called alone",
        rows,
        f"{CYCLE_BYTES:g} bytes per cell must move. Share: of the copy bandwidth, were no more moved. A grid that fits "
        "in a cache may exceed 1.",
    )


def setup_figures(setup: SetUp) -> Figures:
    return Figures(
        f"A new mask, smoke plume {setup.problem.name}",
        [
            {
                "set-up, ms": Spread.of(1e3 * second for second in setup.setups),
                "V-cycle, ms": Spread.of(1e3 * second for second in setup.cycles),
                "set-up / V-cycle": setup.in_cycles,
            }
        ],
    )
