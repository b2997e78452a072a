"""`solve_poisson` against a direct solver, an algebraic one, and the memory's speed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from . import limits, memory
from .machine import ABSENT, installed_version, load
from .measure import Spread, Timing, interleave, ratio
from .poisson_peers import RugeStuben, SineTransform
from .poisson_problems import Outcome, Problem, grid_name, noisy_ball, noisy_box, plume
from .report import Cell, Figures, Judgement, Report, Settings, Target, Tell

FULL_SIZE, QUICK_SIZE = 128, 64
TINY = 1e-300
BOX_TOLERANCE, PLUME_TOLERANCE = 1e-10, 1e-8

# Ruge-Stuben's set-up takes minutes and gigabytes beyond.
LARGEST_FOR_PYAMG = 128

# The least an iteration of float64 conjugate gradients around a float32 V-cycle moves, however well it is fused. The
# cycle's down pass reads f, writes u and the coarse f (1/8 of the cells); the up pass reads u, f and the coarse u,
# writes u; all coarser levels add a seventh. The direction's pass reads z (float32), r and d, writes d; the update
# reads d, u, r, writes u, r, and r once more as the cycle's float32.
CYCLE_BYTES = (4 + 4 + 4 / 8 + 4 + 4 + 4 / 8 + 4) * 8 / 7
DIRECTION_BYTES = (4 + 8 + 8 + 8) + (8 + 8 + 8 + 8 + 8 + 4)
MODEL_BYTES = CYCLE_BYTES + DIRECTION_BYTES


@dataclass(frozen=True)
class Promises:
    """What is promised at the full size, with the names of the sizes that this run has."""

    against_sines: Target
    linear: Target
    against_pyamg: Target
    memory: Target
    factor: Target
    same_factor: Target

    @classmethod
    def at(cls, n: int, quick: bool) -> Promises:
        ends = f"{n // 2}^3 and {n if quick else 2 * n}^3"
        return cls(
            Target(f"box {n}^3, 1e-10: seconds / those of scipy.fft's DST", 2.0),
            Target(f"box: seconds at {2 * n}^3 / those at {n}^3", 9.0),
            Target(f"plume {n}^3, 1e-8: PyAMG's seconds / ours", 50.0, at_least=True),
            Target(f"plume {n}^3: peak memory, float64 arrays of the grid", 12.0),
            Target(f"convergence factor at {ends}, box and ball, the worst", 0.15),
            Target(f"convergence factor, {ends}: larger / smaller", 1.2),
        )


def run(settings: Settings, tell: Tell) -> Report:
    load_before = load()
    tell("measuring the copy bandwidth")
    bandwidth = limits.copy_bandwidth()
    boxes = _time_boxes(settings, tell)
    smoke = _time_plume(settings, tell)
    runs = _converge(settings, tell)
    return Report(
        "poisson",
        settings,
        _judge(settings, boxes, smoke, runs),
        [_box_figures(boxes), _iteration_figures(boxes, bandwidth), _plume_figures(smoke), _convergence_figures(runs)],
        [*_notes(settings), f"Before this run: {load_before}."],
    )


@dataclass(frozen=True)
class Box:
    """One size of the Dirichlet box."""

    problem: Problem
    ours: Timing[Outcome]
    sines: Timing[Outcome]


@dataclass(frozen=True)
class Smoke:
    """The plume; memory counts bytes, None where it cannot be measured."""

    problem: Problem
    ours: Timing[Outcome]
    pyamg: Timing[Outcome] | None
    memory: int | None

    @property
    def arrays(self) -> float | None:
        """Memory in float64 arrays of the grid."""
        return None if self.memory is None else self.memory / (8 * self.problem.rhs.size)


@dataclass(frozen=True)
class Convergence:
    """Of one size, without and with a mask."""

    n: int
    box: Outcome
    masked: Outcome


def _time_boxes(settings: Settings, tell: Tell) -> list[Box]:
    sizes = [settings.size] if settings.quick else [settings.size, 2 * settings.size]
    problems = [noisy_box(n) for n in sizes]
    peers = [SineTransform(problem, settings.threads) for problem in problems]
    competitors: dict[tuple[int, str], Callable[[], Outcome]] = {}
    for n, problem, peer in zip(sizes, problems, peers, strict=True):
        competitors[n, "ours"] = partial(problem.solve, BOX_TOLERANCE)
        competitors[n, "sines"] = peer.solve
    tell(f"timing the Dirichlet boxes {_names(sizes)}")
    interleave(competitors, 1)
    timings = interleave(competitors, settings.repetitions)
    tell(f"checking the Dirichlet boxes {_names(sizes)}")
    for n, problem, peer in zip(sizes, problems, peers, strict=True):
        ours, exact = timings[n, "ours"].output.u, timings[n, "sines"].output.u
        problem.check("fastsciml", ours, BOX_TOLERANCE)
        problem.check("scipy.fft", exact, BOX_TOLERANCE)
        peer.check_agreement(ours, exact, BOX_TOLERANCE)
    return [Box(p, timings[n, "ours"], timings[n, "sines"]) for n, p in zip(sizes, problems, strict=True)]


def _time_plume(settings: Settings, tell: Tell) -> Smoke:
    tell(f"making the smoke plume {settings.size}^3")
    problem = plume(settings.size)
    competitors = {"ours": partial(problem.solve, PLUME_TOLERANCE)}
    peer = None
    if installed_version("pyamg") != ABSENT and settings.size <= LARGEST_FOR_PYAMG:
        peer = RugeStuben(problem)
        competitors["pyamg"] = partial(peer.solve, PLUME_TOLERANCE)
    competitors["ours"]()
    tell(f"timing the smoke plume {settings.size}^3")
    # PyAMG takes tens of seconds a round.
    timings = interleave(competitors, max(1, settings.repetitions // 3))
    problem.check("fastsciml", timings["ours"].output.u, PLUME_TOLERANCE)
    if peer is not None:
        problem.check("PyAMG", peer.on_grid(timings["pyamg"].output.u), PLUME_TOLERANCE)
    tell("measuring memory")
    peak = memory.peak_increase(problem, PLUME_TOLERANCE, settings.threads) if memory.measurable() else None
    return Smoke(problem, timings["ours"], timings.get("pyamg"), peak)


def _converge(settings: Settings, tell: Tell) -> list[Convergence]:
    """The first and the last are the ones to compare; odd sizes, which do not halve evenly, stand between."""
    n = settings.size
    sizes = [n // 2, n // 4 + 1, n // 2 + 1, n + 1, *([n] if settings.quick else [2 * n + 1, 2 * n])]
    runs = []
    for size in sizes:
        tell(f"convergence at {size}^3")
        runs.append(Convergence(size, _solve_checked(noisy_box(size)), _solve_checked(noisy_ball(size))))
    return runs


def _solve_checked(problem: Problem) -> Outcome:
    outcome = problem.solve(BOX_TOLERANCE)
    problem.check("fastsciml", outcome.u, BOX_TOLERANCE)
    return replace(outcome, u=np.empty(0))


def _judge(settings: Settings, boxes: list[Box], smoke: Smoke, runs: list[Convergence]) -> list[Judgement]:
    promises = Promises.at(settings.size, settings.quick)
    first, last = runs[0], runs[-1]
    worst = max(run.factor for run in (first.box, last.box, first.masked, last.masked))
    apart = max(_apart(first.box, last.box), _apart(first.masked, last.masked))
    measured = {
        promises.against_sines: ratio(boxes[0].ours.seconds, boxes[0].sines.seconds),
        promises.linear: ratio(boxes[1].ours.seconds, boxes[0].ours.seconds) if len(boxes) > 1 else None,
        promises.against_pyamg: ratio(smoke.pyamg.seconds, smoke.ours.seconds) if smoke.pyamg else None,
        promises.memory: Spread.of([smoke.arrays]) if smoke.arrays is not None else None,
        promises.factor: Spread.of([worst]),
        promises.same_factor: Spread.of([apart]),
    }
    judgements = []
    for target, value in measured.items():
        if settings.quick or settings.size != FULL_SIZE:
            judgements.append(target.not_judged("not the full run", value))
        elif value is None:
            why = f"pyamg is {ABSENT}" if target is promises.against_pyamg else "needs Linux"
            judgements.append(target.not_judged(why))
        else:
            judgements.append(target.judge(value))
    return judgements


def _apart(a: Outcome, b: Outcome) -> float:
    return max(a.factor, b.factor) / max(min(a.factor, b.factor), TINY)


def _box_figures(boxes: list[Box]) -> Figures:
    return Figures(
        f"Dirichlet box, white noise, float64, true relative residual {BOX_TOLERANCE:.0e}",
        [
            {
                "grid": grid_name(box.problem.shape),
                "seconds": box.ours.spread,
                "DST seconds": box.sines.spread,
                "ratio": ratio(box.ours.seconds, box.sines.seconds),
                "M/s": box.problem.unknowns / box.ours.spread.median / 1e6,
                "DST M/s": box.problem.unknowns / box.sines.spread.median / 1e6,
            }
            for box in boxes
        ],
        "M/s: million unknowns a second. DST: scipy.fft dstn/idstn of type 2; eigenvalues not timed.",
    )


def _iteration_figures(boxes: list[Box], bandwidth: float) -> Figures:
    rows: list[dict[str, Cell]] = []
    for box in boxes:
        seconds = box.ours.spread.median / box.ours.output.iterations
        paid = seconds * bandwidth / box.problem.unknowns
        rows.append(
            {
                "grid": grid_name(box.problem.shape),
                "iterations": box.ours.output.iterations,
                "ms per iteration": 1e3 * seconds,
                "bytes must move": MODEL_BYTES,
                "time pays for": paid,
                "share": f"{MODEL_BYTES / paid:.0%}",
            }
        )
    return Figures(
        f"Bytes per unknown and iteration, against the measured copy bandwidth of {bandwidth / 1e9:.3g} GB/s",
        rows,
        "Set-up is spread over the iterations. A grid that fits in a cache may exceed 100%.",
    )


def _plume_figures(smoke: Smoke) -> Figures:
    timings = {"fastsciml": smoke.ours} | ({"PyAMG Ruge-Stuben + CG": smoke.pyamg} if smoke.pyamg else {})
    return Figures(
        f"Smoke plume past a ball, {grid_name(smoke.problem.shape)}, "
        f"{smoke.problem.unknowns:,} fluid cells, {PLUME_TOLERANCE:.0e}, set-up included",
        [
            {
                "solver": name,
                "seconds": timing.spread,
                "M/s": smoke.problem.unknowns / timing.spread.median / 1e6,
                "iterations": timing.output.iterations,
                "times fastsciml's": ratio(timing.seconds, smoke.ours.seconds),
            }
            for name, timing in timings.items()
        ],
        "PyAMG gets the fluid cells' matrix; its assembly is not counted. PyAMG uses one thread.",
    )


def _convergence_figures(runs: list[Convergence]) -> Figures:
    return Figures(
        f"Convergence factor per iteration, geometric mean down to {BOX_TOLERANCE:.0e}, white noise",
        [
            {
                "grid": grid_name((run.n,) * 3),
                "Dirichlet box": run.box.factor,
                "iterations": run.box.iterations,
                "ball, mixed boundaries": run.masked.factor,
                "its iterations": run.masked.iterations,
            }
            for run in sorted(runs, key=lambda run: run.n)
        ],
    )


def _notes(settings: Settings) -> list[str]:
    notes = [
        f"{settings.threads} threads, {settings.repetitions} rounds, competitors in turn: median (least..most).",
        "Every solution's residual was computed anew in NumPy before its time was told.",
    ]
    for name in ("pyamg", "petsc4py"):
        if installed_version(name) == ABSENT:
            notes.append(f"{name} is {ABSENT}: not compared.")
    if installed_version("petsc4py") != ABSENT:
        notes.append("petsc4py is installed, but no comparison with it has been written.")
    if settings.size > LARGEST_FOR_PYAMG:
        notes.append(f"PyAMG was left out: above {LARGEST_FOR_PYAMG}^3 it takes minutes and gigabytes.")
    return notes


def _names(sizes: list[int]) -> str:
    return " and ".join(f"{n}^3" for n in sizes)
