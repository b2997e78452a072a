"""`solve_poisson` against direct, algebraic and geometric solvers, and the memory's speed: what it promises, judged."""

from __future__ import annotations

from dataclasses import dataclass

from . import limits
from . import poisson_backward as backward
from . import poisson_box as box
from . import poisson_convergence as convergence
from . import poisson_cycle as cycle
from . import poisson_fmg as fmg
from . import poisson_growth as growth
from . import poisson_masked as masked
from .machine import load
from .measure import Spread, ratio
from .report import Comparison, Judgement, Report, Settings, Target, Tell

FULL_SIZE, QUICK_SIZE = 128, 64


@dataclass(frozen=True)
class Measured:
    """Everything that one run measures."""

    bandwidth: float
    boxes: list[box.Box]
    cycles: list[cycle.CycleTime]
    full: fmg.FullMultigrid
    gradient: backward.Gradient
    runs: list[convergence.Convergence]
    smoke: masked.Smoke
    setup: cycle.SetUp
    growth: growth.Growth | None
    no_growth: str  # why


@dataclass(frozen=True)
class Promise:
    """What is promised and what was measured; without a measurement, why there is none."""

    target: Target
    measured: Spread | None
    absent: str = ""

    def judge(self, settings: Settings) -> Judgement:
        if settings.quick or settings.size != FULL_SIZE:
            return self.target.not_judged("not the full run", self.measured)
        if self.measured is None:
            return self.target.not_judged(self.absent)
        return self.target.judge(self.measured)


def run(settings: Settings, tell: Tell) -> Report:
    load_before = load()
    measured = _measure(settings, tell)
    return Report(
        "poisson",
        settings,
        [promise.judge(settings) for promise in promises(measured, settings)],
        [
            box.figures(measured.boxes),
            box.bytes_figures(measured.boxes, measured.bandwidth),
            cycle.figures(measured.cycles, measured.bandwidth),
            fmg.figures(measured.full),
            *([growth.figures(measured.growth)] if measured.growth else []),
            backward.figures(measured.gradient),
            masked.figures(measured.smoke),
            cycle.setup_figures(measured.setup),
            convergence.figures(measured.runs),
        ],
        [
            f"{settings.threads} threads, {settings.repetitions} rounds, fewer of what takes longer, competitors in "
            "turn: median (least..most).",
            "Every solution's residual was computed anew in NumPy before its time was told.",
            *masked.notes(measured.smoke),
            f"Before this run: {load_before}.",
        ],
        comparisons(measured),
        masked.absent(measured.smoke),
    )


def _measure(settings: Settings, tell: Tell) -> Measured:
    tell("measuring the copy bandwidth")
    bandwidth = limits.copy_bandwidth()
    boxes = box.measure(settings, tell)
    cycles = cycle.measure(settings, tell)
    full = fmg.measure(settings, tell)
    gradient = backward.measure(settings, tell)
    runs = convergence.measure(settings, tell)
    smoke = masked.measure(settings, tell)
    setup = cycle.measure_setup(smoke.problem, ~smoke.problem.fluid, masked.TOLERANCE, settings, tell)
    why_not = growth.why_not(settings)
    grown = None if why_not else growth.measure(settings, tell)
    return Measured(bandwidth, boxes, cycles, full, gradient, runs, smoke, setup, grown, why_not)


def comparisons(m: Measured) -> list[Comparison]:
    made = [
        Comparison(
            f"box, {b.problem.name}, {method}",
            "SciPy's DST",
            ratio(b.timings[box.DST].seconds, b.timings[method].seconds),
        )
        for b in m.boxes
        for method in box.METHODS
    ]
    against = {peer: m.smoke.times_ours(peer) for peer in masked.PEERS}
    plume = f"smoke plume, {m.smoke.problem.name}"
    return [*made, *(Comparison(plume, peer, times) for peer, times in against.items() if times is not None)]


def promises(m: Measured, settings: Settings) -> list[Promise]:
    """What is promised at the full size, with the names of the sizes that this run has."""
    n = settings.size
    plume = f"plume {n}^3, 1e-8"
    ends = f"{m.runs[0].n}^3 and {m.runs[-1].n}^3"
    made = []
    for b in m.boxes:
        name, sines = f"box, {b.problem.name}, 1e-10", "seconds / those of SciPy's DST"
        made += [
            Promise(Target(f"{name}, multigrid: {sines}", 1.0), b.against_sines("multigrid")),
            Promise(Target(f"{name}, auto: {sines}", 0.9), b.against_sines("auto")),
        ]
    times = {masked.PYAMG: 100.0, masked.HYPRE: 100.0, masked.GAMG: 100.0, masked.PCMG: 25.0}
    for peer, limit in times.items():
        target = Target(f"{plume}, set-up included: {peer}: its seconds / ours", limit, at_least=True)
        made.append(Promise(target, m.smoke.times_ours(peer), m.smoke.absent.get(peer, "")))
    last, largest, name = m.cycles[-1], growth.sizes(settings)[-1], f"fmg, {m.full.problem.name}"
    made += [
        Promise(Target(f"plume {n}^3: peak memory, float64 arrays of the grid", 12.0), m.smoke.arrays, "needs Linux"),
        Promise(Target(f"plume {n}^3: set-up for a new mask, V-cycles", 2.0), m.setup.in_cycles),
        Promise(
            Target(f"V-cycle, {last.problem.name}: share of the copy bandwidth", 0.5, at_least=True),
            last.share(m.bandwidth),
        ),
        Promise(Target(f"{name}: error / discretisation error", 1.2), m.full.error_ratio),
        Promise(Target(f"{name}: multigrid's seconds to 1e-10 / fmg's", 3.0, at_least=True), m.full.times_faster),
        Promise(
            Target(f"seconds per unknown up to {largest}^3 / those at {n - 1}^3, the worst", 1.15),
            m.growth.worst if m.growth else None,
            m.no_growth,
        ),
        Promise(Target(f"{m.gradient.problem.name}: backward's seconds / forward's", 1.3), m.gradient.times_forward),
        Promise(Target(f"convergence factor at {ends}, box and ball, the worst", 0.15), convergence.worst(m.runs)),
        Promise(Target(f"convergence factor, {ends}: larger / smaller", 1.2), convergence.apart(m.runs)),
    ]
    return made
