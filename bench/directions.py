"""Learned search directions against conjugate gradients, their preconditioned kin, and multigrid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import prod
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from fastsciml import LearnedDirections, PoissonResult, PoissonSolver
from fastsciml.data import smoke_plume
from fastsciml.directions import DCDM, MultigridDirection, direction_problem, load_direction
from fastsciml.directions.weights import described_direction, shipped_names

from . import directions_step
from .directions_peers import Deflation, Map, Timed, has_incomplete_cholesky, incomplete_cholesky, untrained_convolution
from .machine import load
from .measure import DisagreementError, Spread, interleave, ratio
from .report import Cell, Comparison, Figures, Judgement, Report, Settings, Target, Tell, judged

FULL_SIZE, QUICK_SIZE = 128, 32
LOOSE, TIGHT, TIGHTEST = 1e-4, 1e-6, 1e-9
# Masks that the shipped weights were not trained on: their seeds were 0 to 7.
UNSEEN = range(1000, 1008)
# Directions of the convolutional network at most, each of which takes seconds.
MOST_OF_A_NETWORK = 200
NETWORK, DCDM_WEIGHTS = "multigrid-3d", "dcdm-3d"

FEWER_THAN_CG = Target("iterations to 1e-4, plume with its ball: CG / DCDM", 8.0, at_least=True)
FEWER = Target("directions to 1e-9 on unseen masks: learned V-cycle / multigrid-PCG", 0.999)
SECONDS = Target("seconds to 1e-9 on unseen masks: learned V-cycle / multigrid-PCG", 1.0)
EXTRA = Target("untrained network: extra directions for each of multigrid's iterations", 2.0)
SLOWER = Target("untrained 3 x 3 x 3 convolution: seconds / multigrid's", 2.0)
SLOWER_DCDM = Target("untrained DCDM: seconds / multigrid's", 2.0)


@dataclass(frozen=True)
class Way:
    """One way to solve: who proposes directions, and how many of them it keeps."""

    name: str
    network: nn.Module
    memory: int = 1
    guess: Callable[[Tensor], Tensor] | None = None
    setup: float = 0.0  # seconds of what comes before the right-hand side
    trained: str = ""


@dataclass
class Trace:
    """Iterations and seconds at which a solve came below the tolerances."""

    reached: dict[float, tuple[int, float]] = field(default_factory=dict)


def run(settings: Settings, tell: Tell) -> Report:
    load_before = load()
    sizes = (settings.size // 2, settings.size)
    tables, of_ball = [], {}
    for n in sizes:
        for obstacle in (False, True):
            title = f"Smoke plume, {n}^3, {'with its ball' if obstacle else 'no obstacle'}"
            tell(title)
            traces = _plume(n, obstacle, settings, tell)
            tables.append(_table(title, traces))
            of_ball = traces
    tell("unseen masks")
    fewer, seconds, unseen = _unseen(settings)
    tell("untrained networks")
    extra, slower, slower_dcdm, untrained = _untrained(settings)
    step = directions_step.measure(settings, tell)
    measured: dict[Target, Spread | None] = {
        FEWER_THAN_CG: _times_fewer(of_ball),
        FEWER: fewer,
        SECONDS: seconds,
        EXTRA: extra,
        SLOWER: slower,
        SLOWER_DCDM: slower_dcdm,
    }
    full = not settings.quick and settings.size == FULL_SIZE
    return Report(
        "directions",
        settings,
        [*judged({t: s for t, s in measured.items() if s}, full), *_absent(measured), *step.judge(settings)],
        [*tables, unseen, untrained, directions_step.figures(step)],
        [
            f"{settings.threads} threads. All but multigrid go through one loop: a proposal, made conjugate to one "
            "last direction (DCDM: two), the step that minimises the error's energy, the true residual in float64.",
            "Iterations and seconds are those after which the true relative residual was below the tolerance.",
            f"Before this run: {load_before}.",
        ],
        [Comparison(f"conjugate-direction step, {step.n}^3", "PyTorch operations", step.times_faster)],
        _absent_peers(),
    )


def _absent_peers() -> list[str]:
    absent = [] if has_incomplete_cholesky() else ["ilupp is not installed: IC(0)-PCG not compared."]
    return [*absent, *([] if DCDM_WEIGHTS in shipped_names() else ["no weights: DCDM not compared."])]


def _absent(measured: dict[Target, Spread | None]) -> list[Judgement]:
    return [
        target.not_judged("no weights, or the tolerance was not reached") for target, s in measured.items() if s is None
    ]


def _plume(n: int, obstacle: bool, settings: Settings, tell: Tell) -> dict[str, tuple[Way, Trace]]:
    made = smoke_plume((n, n, n), obstacle=obstacle)
    problem: dict[str, Any] = {"spacing": made.spacing, "boundary": made.boundary}
    if obstacle:
        problem["solid"] = made.solid
    f = torch.from_numpy(made.rhs).double()
    traces = {}
    for way in _ways(PoissonSolver(f.shape, **problem, method="multigrid"), made.solid if obstacle else None):
        tell(f"{n}^3, {'ball' if obstacle else 'no obstacle'}: {way.name}")
        solver = PoissonSolver(f.shape, **problem, method=LearnedDirections(way.network, way.memory, fallback=None))
        slow = way.trained and "dcdm" in way.name.lower()
        traces[way.name] = (way, _trace(solver, f, way, times=1 if slow else 2))
    plain = PoissonSolver(f.shape, **problem, method="multigrid")
    traces["solve_poisson, as it is"] = (Way("", nn.Identity()), _trace(plain, f, None, times=2))
    return traces


def _ways(solver: PoissonSolver, solid: Any) -> list[Way]:
    start = perf_counter()
    deflation = Deflation(solver)
    ways = [
        Way("CG", nn.Identity()),
        Way("deflated CG, 16 vectors", Map(deflation), guess=deflation.first_guess, setup=perf_counter() - start),
    ]
    if has_incomplete_cholesky():
        start = perf_counter()
        network = incomplete_cholesky(solver, solid)
        ways.append(Way("IC(0)-PCG, by ilupp", network, setup=perf_counter() - start))
    if DCDM_WEIGHTS in shipped_names():
        ways.append(Way("DCDM, published network", load_direction(DCDM_WEIGHTS), 2, trained=_trained(DCDM_WEIGHTS)))
    ways.append(Way("multigrid-PCG", MultigridDirection(3)))
    ways.append(Way("learned V-cycle", load_direction(NETWORK), trained=_trained(NETWORK)))
    return ways


def _trained(name: str) -> str:
    seconds = described_direction(name)[0]["about"].get("seconds")
    return "" if seconds is None else f"{seconds / 60:.0f} min"


def _trace(solver: PoissonSolver, f: Tensor, way: Way | None, times: int) -> Trace:
    """Of the last of so many solves."""
    trace = Trace()
    guess = way.guess(f) if way is not None and way.guess is not None else None
    for _ in range(times):
        trace = Trace()
        start = perf_counter()

        def watch(iteration: int, residual: float, _: Tensor, trace: Trace = trace, start: float = start) -> None:
            for tol in (LOOSE, TIGHT):
                if residual <= tol and tol not in trace.reached:
                    trace.reached[tol] = (iteration, perf_counter() - start)

        limit = MOST_OF_A_NETWORK if times == 1 else 20 * max(solver.shape)
        solver.solve(f, tol=TIGHT, max_iterations=limit, initial_guess=guess, callback=watch)
    return trace


def _table(title: str, traces: dict[str, tuple[Way, Trace]]) -> Figures:
    rows: list[dict[str, Cell]] = []
    for name, (way, trace) in traces.items():
        cells: dict[str, Cell] = {"method": name}
        for tol in (LOOSE, TIGHT):
            iterations, seconds = trace.reached.get(tol, ("not reached", ""))
            cells[f"iterations to {tol:.0e}"] = iterations
            cells[f"seconds to {tol:.0e}"] = seconds
        cells["set-up, s"] = way.setup or ""
        cells["training"] = way.trained
        rows.append(cells)
    return Figures(
        title, rows, "solve_poisson's iterations take up to three V-cycles. Set-up beside that of the solver."
    )


def _times_fewer(traces: dict[str, tuple[Way, Trace]]) -> Spread | None:
    """None without DCDM's weights; where its directions did not do, more than the truth."""
    if "DCDM, published network" not in traces or LOOSE not in traces["CG"][1].reached:
        return None
    plain = traces["CG"][1].reached[LOOSE][0]
    learned, _ = traces["DCDM, published network"][1].reached.get(LOOSE, (MOST_OF_A_NETWORK, 0.0))
    return Spread.of([plain / learned])


def _unseen(settings: Settings) -> tuple[Spread, Spread, Figures]:
    """The learned V-cycle and the plain symmetric one, on random obstacles and boundaries."""
    n = settings.size
    networks = {"multigrid-PCG": MultigridDirection(3), "learned V-cycle": load_direction(NETWORK)}
    rows: list[dict[str, Cell]] = []
    directions: dict[str, list[float]] = {name: [] for name in networks}
    times: dict[str, list[float]] = {name: [0.0] * settings.repetitions for name in networks}
    for seed in UNSEEN:
        mask = direction_problem("obstacles", (n, n, n), seed=seed)
        torch.manual_seed(seed)
        f = torch.randn(n, n, n, dtype=torch.float64)
        solvers = {
            name: PoissonSolver(f.shape, **_as_given(mask), method=LearnedDirections(network, 1, fallback=None))
            for name, network in networks.items()
        }
        competitors = {name: partial(_solve, solver, f, TIGHTEST) for name, solver in solvers.items()}
        for name, solve in competitors.items():
            (result,) = solve()
            if not result.converged:
                raise DisagreementError(f"{name} on mask {seed} ended at {result.residuals[-1]:.1e}")
            directions[name].append(result.learned)
        timings = interleave(competitors, settings.repetitions)
        for name, timing in timings.items():
            times[name] = [a + b for a, b in zip(times[name], timing.seconds, strict=True)]
        rows.append(
            {
                "mask": f"seed {seed}, {mask.unknowns / n**3:.0%} fluid",
                **{f"{name}: directions": int(directions[name][-1]) for name in networks},
                **{f"{name}: ms": 1e3 * timing.spread.median for name, timing in timings.items()},
            }
        )
    plain, learned = (sum(directions[name]) for name in networks)
    (slow, fast) = (times[name] for name in networks)
    title = f"Masks nobody trained on, {n}^3, white noise, to {TIGHTEST:.0e}: {plain:.0f} and {learned:.0f} directions"
    note = f"The same cycle, kernels and loop; seeds {UNSEEN[0]} to {UNSEEN[-1]} of direction_problem('obstacles')."
    return Spread.of([learned / plain]), ratio(fast, slow), Figures(title, rows, note)


def _solve(solver: PoissonSolver, f: Tensor, tol: float) -> tuple[PoissonResult[Tensor]]:
    """In a tuple: what has `seconds` of its own is not timed (measure.py), and a result's leave out the checks."""
    return (solver.solve(f, tol=tol),)


def _as_given(solver: PoissonSolver) -> dict[str, Any]:
    """The arguments that make a solver of the same problem in float64."""
    return {"spacing": solver.spacing, "boundary": solver.conditions, "solid": solver._solid}


def _untrained(settings: Settings) -> tuple[Spread, Spread, Spread, Figures]:
    n = settings.size
    made = smoke_plume((n, n, n))
    problem: dict[str, Any] = {"spacing": made.spacing, "boundary": made.boundary, "solid": made.solid}
    f = torch.from_numpy(made.rhs).double()
    torch.manual_seed(0)
    networks = {"3 x 3 x 3 convolution": untrained_convolution(), "DCDM": DCDM.preset("64", 3)}
    plain = PoissonSolver(f.shape, **problem, method="multigrid")
    rows: list[dict[str, Cell]] = []
    extras, slower = [], []
    for name, network in networks.items():
        timed = Timed(network)
        solver = PoissonSolver(f.shape, **problem, method=LearnedDirections(timed))
        rounds = 1 if name == "DCDM" else settings.repetitions
        competitors = {"multigrid": partial(_solve, plain, f, 1e-8), "learned": partial(_solve, solver, f, 1e-8)}
        timings = interleave(competitors, 1 + rounds)
        (result,) = timings["learned"].output
        if not result.converged:
            raise DisagreementError(f"with an untrained {name} the solve ended at {result.residuals[-1]:.1e}")
        own = result.iterations - result.learned
        extras.append(result.learned / own)
        slower.append(ratio(timings["learned"].seconds[1:], timings["multigrid"].seconds[1:]))
        rows.append(
            {
                "network": name,
                "its directions": result.learned,
                "multigrid's iterations": own,
                "without it": timings["multigrid"].output[0].iterations,
                "seconds": timings["learned"].spread.median,
                "of them the network's": result.learned * timed.seconds / timed.calls,
                "of multigrid": timings["multigrid"].spread.median,
            }
        )
    title = f'Networks that have learned nothing, fallback="multigrid": smoke plume, {n}^3, to 1e-8'
    cells = prod(f.shape)
    note = f"One application of DCDM costs about {180e3 * cells / 1e9:.0f} Gflop, many times the whole solve."
    return Spread.of([max(extras)]), slower[0], slower[1], Figures(title, rows, note)
