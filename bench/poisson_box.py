"""Dirichlet boxes, vertex- and cell-centred, against SciPy's sine transform; and the bytes it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from .measure import Spread, Timing, interleave, ratio
from .poisson_peers import SineTransform
from .poisson_problems import Method, Outcome, Problem, noisy_box
from .report import Cell, Figures, Settings, Tell

TOLERANCE = 1e-10
METHODS: Sequence[Method] = ("multigrid", "auto")
DST = "DST"


@dataclass(frozen=True)
class Box:
    """One box, and what every competitor took in the same rounds."""

    problem: Problem
    timings: dict[str, Timing[Outcome]]

    def against_sines(self, method: Method) -> Spread:
        return ratio(self.timings[method].seconds, self.timings[DST].seconds)


def measure(settings: Settings, tell: Tell) -> list[Box]:
    sizes = [settings.size] if settings.quick else [settings.size, 2 * settings.size]
    # Each transform at the size it is fastest at.
    problems = [problem for n in sizes for problem in (noisy_box(n - 1, "vertex"), noisy_box(n))]
    peers = [SineTransform(problem, settings.threads) for problem in problems]
    competitors: dict[tuple[int, str], Callable[[], Outcome]] = {}
    for number, (problem, peer) in enumerate(zip(problems, peers, strict=True)):
        for method in METHODS:
            competitors[number, method] = partial(problem.solve, TOLERANCE, method)
        competitors[number, DST] = peer.solve
    tell("timing the Dirichlet boxes")
    interleave(competitors, 1)
    timings = interleave(competitors, settings.repetitions)
    tell("checking the Dirichlet boxes")
    boxes = []
    for number, (problem, peer) in enumerate(zip(problems, peers, strict=True)):
        boxes.append(Box(problem, {name: timings[number, name] for name in (*METHODS, DST)}))
        _check(boxes[-1], peer)
    return boxes


def _check(box: Box, peer: SineTransform) -> None:
    exact = box.timings[DST].output.u
    box.problem.check("scipy.fft", exact, TOLERANCE)
    for method in METHODS:
        u = box.timings[method].output.u
        box.problem.check(f'fastsciml, method="{method}"', u, TOLERANCE)
        peer.check_agreement(u, exact, TOLERANCE)


def figures(boxes: list[Box]) -> Figures:
    rows: list[dict[str, Cell]] = [
        {
            "grid": box.problem.name,
            "solver": DST if name == DST else f"fastsciml, {name}",
            "seconds": timing.spread,
            "times the DST's": ratio(timing.seconds, box.timings[DST].seconds),
            "M/s": box.problem.unknowns / timing.spread.median / 1e6,
        }
        for box in boxes
        for name, timing in box.timings.items()
    ]
    return Figures(
        f"Dirichlet box, white noise, float64, true relative residual {TOLERANCE:.0e}",
        rows,
        "M/s: million unknowns a second. DST: scipy.fft dstn/idstn of type 1 (vertices) or 2 (cells); eigenvalues not "
        "timed.",
    )


def bytes_figures(boxes: list[Box], bandwidth: float) -> Figures:
    rows: list[dict[str, Cell]] = []
    for box in boxes:
        for method in METHODS:
            timing = box.timings[method]
            moved = timing.output.moved / box.problem.unknowns
            paid = timing.spread.median * bandwidth / box.problem.unknowns
            rows.append(
                {
                    "grid": box.problem.name,
                    "solver": f"fastsciml, {method}",
                    "iterations": timing.output.iterations,
                    "ms": 1e3 * timing.spread.median,
                    "bytes must move": moved,
                    "time pays for": paid,
                    "share": f"{moved / paid:.0%}",
                }
            )
    return Figures(
        f"Bytes per unknown and solve, against the measured copy bandwidth of {bandwidth / 1e9:.3g} GB/s",
        rows,
        "Must move: `result.bytes_moved`. Set-up and checks count as time. A grid that fits a cache may exceed 100%.",
    )
