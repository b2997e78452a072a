"""The CUDA kernels' speed on paper: what they move and compute, counted, and the time it takes GPUs at their limits.

No GPU runs anything here: a device may be slower than this, by what launches, latencies and barriers cost, and faster
where its L2 cache spares it memory that several blocks read.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from fastsciml import solve_poisson
from fastsciml.ops import multigrid_v_cycle, multigrid_workspace, split_rows
from fastsciml.ops.conjugate_direction import conjugate_direction_update, conjugate_line_search
from fastsciml.ops.poisson_residual_norm import poisson_residual_norm
from fastsciml.solvers.boundary import parse_boundary
from fastsciml.solvers.discretisation import Discretisation, Fill
from fastsciml.solvers.grid import make_grid, parse_spacing

from .counted import Counter, Launch, aligned
from .measure import Spread
from .report import Cell, Figures, Judgement, Report, Settings, Target, Tell

FULL_SIZE, QUICK_SIZE = 256, 64
TOLERANCE = 1e-10
NOT_RUN = "not run here"
MODEL = "MODEL, per unknown of the finest level; ms"


@dataclass(frozen=True)
class Device:
    """A GPU's limits, from its data sheet: bytes and float32 operations per second."""

    name: str
    bandwidth: float
    flops: float

    def seconds(self, line_bytes: float, flops: float) -> float:
        return max(line_bytes / self.bandwidth, flops / self.flops)


DEVICES = (Device("H100", 3.35e12, 67e12), Device("A100", 2.0e12, 19.5e12), Device("4090", 1.0e12, 82.6e12))
# Bytes per cell that a step must move (csrc/multigrid/row_steps.cuh, row_transfers.cuh); likewise the other kernels
# (csrc/directions/operators.h).
TAIL, LOAD, RESTRICT = "multigrid tail", "multigrid load", "multigrid restrict"
FLOORS = {
    "multigrid start": 6.0,
    "multigrid relax": 8.0,
    RESTRICT: 8.5,
    LOAD: 8.5,
    "split rows": 12.0,
    "line search": 12.0,
    "step": 40.0,
    "residual norm": 16.0,
}


@dataclass(frozen=True)
class Cost:
    """Of some launches, per unknown of the finest level."""

    what: str
    floor: float | None
    line_bytes: float
    sector_bytes: float
    flops: float
    launches: int

    @staticmethod
    def of(what: str, launches: list[Launch], unknowns: int, floor: float | None = None) -> Cost:
        return Cost(
            what,
            floor,
            sum(launch.line_bytes for launch in launches) / unknowns,
            sum(launch.sector_bytes for launch in launches) / unknowns,
            sum(launch.flops for launch in launches) / unknowns,
            len(launches),
        )

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.what,
            None,
            self.line_bytes + other.line_bytes,
            self.sector_bytes + other.sector_bytes,
            self.flops + other.flops,
            self.launches + other.launches,
        )

    def times(self, number: int) -> Cost:
        return Cost(
            self.what,
            None,
            number * self.line_bytes,
            number * self.sector_bytes,
            number * self.flops,
            number * self.launches,
        )

    def row(self, unknowns: int) -> dict[str, Cell]:
        return {
            "kernel": self.what,
            "launches": self.launches,
            "floor, B": "" if self.floor is None else self.floor,
            "lines, B": self.line_bytes,
            "sectors, B": self.sector_bytes,
            "flops": self.flops,
            **{device.name: self.milliseconds(device, unknowns) for device in DEVICES},
            "on a GPU": NOT_RUN,
        }

    def milliseconds(self, device: Device, unknowns: int) -> float:
        return 1e3 * unknowns * device.seconds(self.line_bytes, self.flops)


@dataclass(frozen=True)
class Counts:
    """What was counted at n^3 cells between Dirichlet faces."""

    first_cycle: list[Launch]
    next_cycle: list[Launch]
    others: dict[str, list[Launch]]
    cycles: int
    iterations: int


def run(settings: Settings, tell: Tell, counter: Counter | None = None) -> Report:
    n = settings.size
    unknowns = n**3
    tell("building the kernels for the host")
    counts = _count(n, counter or Counter(), tell)
    first = [
        Cost.of(f"{kernel.removeprefix('multigrid ')} {size}^3", of, unknowns, _floor(kernel, size, n, len(of)))
        for (kernel, size), of in _steps(counts, n).items()
    ]
    others = [Cost.of(name, of, unknowns, FLOORS[name]) for name, of in counts.others.items()]
    cycle = Cost.of("V-cycle from zero", counts.first_cycle, unknowns)
    again = Cost.of("V-cycle from a guess", counts.next_cycle, unknowns)
    step = Cost.of("iteration's step", counts.others["step"], unknowns)
    split = Cost.of("", counts.others["split rows"], unknowns)
    solve = cycle.times(counts.iterations) + again.times(counts.cycles - counts.iterations)
    solve = solve + step.times(counts.iterations) + split
    whole = [cycle, again, Cost(f"solve to {TOLERANCE:g}", None, *_numbers(solve))]
    rates: list[dict[str, Cell]] = [
        {
            "device": device.name,
            "GB/s": device.bandwidth / 1e9,
            "solve, ms (model)": whole[-1].milliseconds(device, unknowns),
            "G unknowns/s (model)": _rate(whole[-1], device, unknowns),
            "on a GPU": NOT_RUN,
        }
        for device in DEVICES
    ]
    return Report(
        "model",
        settings,
        _judge(settings, cycle, whole[-1], counts, unknowns),
        [
            Figures(f"V-cycle from zero, {n}^3 cells, float32: {MODEL}", [cost.row(unknowns) for cost in first]),
            Figures(f"other kernels, float64 solution, {n}^3: {MODEL}", [cost.row(unknowns) for cost in others]),
            Figures(f"together: {MODEL}", [cost.row(unknowns) for cost in whole]),
            Figures(f"solve at {n}^3 to {TOLERANCE:g}: MODEL", rates),
        ],
        [
            "Nothing here was timed: bytes and floating-point operations are counted while the host runtime runs the "
            "kernels' source, and divided by the devices' limits, whichever takes longer.",
            "Lines of 128 bytes and sectors of 32 count once for each block that touches them; the model takes lines. "
            "Two blocks that read the same line count it twice, though it may come from the L2 cache.",
            f"The solve takes {counts.iterations} iterations and {counts.cycles} cycles, as on the CPU.",
        ],
    )


def _numbers(cost: Cost) -> tuple[float, float, float, int]:
    return cost.line_bytes, cost.sector_bytes, cost.flops, cost.launches


def _rate(cost: Cost, device: Device, unknowns: int) -> float:
    return unknowns / (1e-3 * cost.milliseconds(device, unknowns)) / 1e9


def _judge(settings: Settings, cycle: Cost, solve: Cost, counts: Counts, unknowns: int) -> list[Judgement]:
    tails = sum(launch.kernel == TAIL for launch in counts.first_cycle)
    promises = [
        (Target("V-cycle: bytes of global memory per unknown, by lines", 50.0), cycle.line_bytes),
        (Target("V-cycle: launches", 12.0), cycle.launches),
        (Target("V-cycle: launches of the coarse tail", 1.0), tails),
        (
            Target(f"solve to {TOLERANCE:g}: G unknowns/s on an H100, by the model", 1.0, at_least=True),
            _rate(solve, DEVICES[0], unknowns),
        ),
    ]
    spreads = [(target, Spread.of([float(value)])) for target, value in promises]
    if settings.size != FULL_SIZE:
        return [target.not_judged("not the full run", spread) for target, spread in spreads]
    return [target.judge(spread) for target, spread in spreads]


def _steps(counts: Counts, n: int) -> dict[tuple[str, int], list[Launch]]:
    """The launches of the first cycle by kernel and the level that they are on."""
    steps: dict[tuple[str, int], list[Launch]] = {}
    size = n
    for launch in counts.first_cycle:
        if launch.kernel == LOAD:
            size *= 2
        steps.setdefault((launch.kernel, size), []).append(launch)
        if launch.kernel == RESTRICT:
            size //= 2
    return steps


def _floor(kernel: str, size: int, n: int, launches: int) -> float | None:
    return FLOORS[kernel] * launches * (size / n) ** 3 if kernel in FLOORS else None


def _count(n: int, counter: Counter, tell: Tell) -> Counts:
    shape = (n, n, n)
    grid = make_grid(shape, parse_spacing(1.0, shape), parse_boundary("dirichlet", 3))
    sample = Discretisation(grid, Fill(), torch.float64)
    hierarchy, a = sample.hierarchy(), sample.operator
    f = aligned(torch.randn(shape, dtype=torch.float64))
    tell("solving on the CPU")
    solved = solve_poisson(f, method="multigrid", tol=TOLERANCE)
    u, rhs = aligned(solved.solution), aligned(split_rows(f))
    z, p, r = (aligned(rhs) for _ in range(3))
    workspace = aligned(torch.zeros(multigrid_workspace(hierarchy)))
    tell(f"counting two V-cycles at {n}^3")
    both = counter.launches(lambda: multigrid_v_cycle(rhs, z, hierarchy, workspace, cycles=2))
    lengths = torch.tensor([0.5], dtype=torch.float64)
    arguments = (a.couplings, a.periodic, a.faces, a.coefficient, a.alpha)
    tell("counting the other kernels")
    others = {
        "split rows": counter.launches(lambda: split_rows(f, 1.0, out=rhs)),
        "line search": counter.launches(lambda: conjugate_line_search(z, [p], r, hierarchy)),
        "step": counter.launches(lambda: conjugate_direction_update(u, z, [], r, f, *arguments, lengths, 1.0)),
        "residual norm": counter.launches(lambda: poisson_residual_norm(u, f, *arguments)),
    }
    half = len(both) // 2
    return Counts(both[:half], both[half:], others, solved.cycles, solved.iterations)
