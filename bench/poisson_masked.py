"""The plume, with an obstacle and mixed boundaries, against algebraic and geometric multigrid of PyAMG and PETSc."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from . import memory
from .machine import ABSENT, installed_version
from .measure import Spread, Timing, interleave, ratio
from .petsc import Petsc, PetscSolver, save
from .poisson_peers import RugeStuben
from .poisson_problems import Outcome, Problem, plume
from .poisson_systems import System, fluid_system, padded_system
from .report import Cell, Figures, Settings, Tell

TOLERANCE = 1e-8
OURS = "fastsciml"
PYAMG = "PyAMG Ruge-Stuben + CG"
HYPRE, GAMG, PCMG = "PETSc CG + hypre BoomerAMG", "PETSc CG + GAMG", "PETSc CG + PCMG"
PEERS = (PYAMG, HYPRE, GAMG, PCMG)

# Of ours a turn, whose median counts: it takes a hundredth of a peer's time, so one hiccup would decide the ratio.
SOLVES = 3

# Algebraic set-up takes minutes and gigabytes beyond.
LARGEST_FOR_PEERS = 128

Peer = RugeStuben | PetscSolver


@dataclass(frozen=True)
class Smoke:
    """The plume; ours was timed right before each peer in each round.

    absent says of a peer why it was not compared. Memory counts bytes, None where it cannot be measured.
    """

    problem: Problem
    ours: dict[str, Timing[Outcome]]
    peers: dict[str, Timing[Outcome]]
    absent: dict[str, str] = field(default_factory=dict)
    petsc: Petsc | None = None
    memory: int | None = None

    @property
    def arrays(self) -> Spread | None:
        """Memory in float64 arrays of the grid."""
        return None if self.memory is None else Spread.of([self.memory / (8 * self.problem.rhs.size)])

    def times_ours(self, peer: str) -> Spread | None:
        """The peer's seconds over ours of just before, round by round."""
        return ratio(self.peers[peer].seconds, self.ours[peer].seconds) if peer in self.peers else None


def measure(settings: Settings, tell: Tell) -> Smoke:
    tell(f"making the smoke plume {settings.size}^3")
    problem = plume(settings.size)
    with TemporaryDirectory() as folder:
        tell("assembling the plume's matrices")
        peers, absent, petsc = _peers(problem, settings, Path(folder))
        problem.solve(TOLERANCE)
        tell(f"timing the smoke plume {settings.size}^3")
        ours, theirs = _time(problem, peers, settings)
    tell("measuring memory")
    peak = memory.peak_increase(problem, TOLERANCE, settings.threads) if memory.measurable() else None
    return Smoke(problem, ours, theirs, absent, petsc, peak)


def _time(problem: Problem, peers: dict[str, Peer], settings: Settings) -> tuple[dict[str, Timing[Outcome]], ...]:
    """The peers take tens of seconds a round, so there are few rounds."""
    competitors: dict[tuple[str, str], Callable[[], Outcome]] = {}
    for name in peers or (OURS,):
        competitors[OURS, name] = partial(problem.solve_again, SOLVES, TOLERANCE)
        if name in peers:
            competitors[name, name] = partial(peers[name].solve, TOLERANCE)
    timings = interleave(competitors, max(1, settings.repetitions // 3))
    ours = {opponent: timing for (who, opponent), timing in timings.items() if who == OURS}
    theirs = {who: timing for (who, _), timing in timings.items() if who != OURS}
    for timing in ours.values():
        problem.check(OURS, timing.output.u, TOLERANCE)
    for name, timing in theirs.items():
        problem.check(name, peers[name].system.on_grid(timing.output.u), TOLERANCE)
    return ours, theirs


def _peers(problem: Problem, settings: Settings, folder: Path) -> tuple[dict[str, Peer], dict[str, str], Petsc | None]:
    if settings.size > LARGEST_FOR_PEERS:
        return {}, dict.fromkeys(PEERS, f"takes minutes and gigabytes above {LARGEST_FOR_PEERS}^3"), None
    system = fluid_system(problem)
    peers: dict[str, Peer] = {}
    absent: dict[str, str] = {}
    if installed_version("pyamg") == ABSENT:
        absent[PYAMG] = f"pyamg is {ABSENT}"
    else:
        peers[PYAMG] = RugeStuben(system)
    petsc = None if settings.quick else Petsc.find(settings.threads)
    if petsc is None:
        why = "not the full run" if settings.quick else f"petsc4py is {ABSENT}"
        return peers, absent | dict.fromkeys((HYPRE, GAMG, PCMG), why), None
    peers |= _petsc_peers(petsc, system, padded_system(problem), folder)
    if not petsc.has_hypre:
        del peers[HYPRE]
        absent[HYPRE] = "this PETSc was built without hypre"
    return peers, absent, petsc


def _petsc_peers(petsc: Petsc, fluid: System, padded: System, folder: Path) -> dict[str, Peer]:
    cells, points = save(fluid, folder / "cells"), save(padded, folder / "points")
    return {
        HYPRE: PetscSolver(petsc, "hypre", fluid, cells),
        GAMG: PetscSolver(petsc, "gamg", fluid, cells),
        PCMG: PetscSolver(petsc, "pcmg", padded, points),
    }


def figures(smoke: Smoke) -> Figures:
    every = [second for timing in smoke.ours.values() for second in timing.seconds]
    ours = Timing(every, next(iter(smoke.ours.values())).output)
    rows: list[dict[str, Cell]] = []
    for name, timing in {OURS: ours, **smoke.peers}.items():
        rows.append(
            {
                "solver": name,
                "seconds": timing.spread,
                "M/s": smoke.problem.unknowns / timing.spread.median / 1e6,
                "iterations": timing.output.iterations,
                "times fastsciml's": smoke.times_ours(name) or 1.0,
            }
        )
    return Figures(
        f"Smoke plume past a ball, {smoke.problem.name}, "
        f"{smoke.problem.unknowns:,} of them fluid, {TOLERANCE:.0e}, set-up included",
        rows,
        "Algebraic solvers get the fluid cells' matrix, PCMG the whole box; assembly is not counted. "
        f"fastsciml: medians of {SOLVES} solves right before each peer's.",
    )


def absent(smoke: Smoke) -> list[str]:
    lines = []
    for why in dict.fromkeys(smoke.absent.values()):
        names = [name for name, reason in smoke.absent.items() if reason == why]
        lines.append(f"{why}: {', '.join(names)} not compared.")
    return lines


def notes(smoke: Smoke) -> list[str]:
    lines = []
    if PYAMG in smoke.peers:
        lines.append("PyAMG uses one thread.")
    if smoke.petsc is not None:
        cores = "one process" if smoke.petsc.processes == 1 else f"{smoke.petsc.processes} MPI processes"
        lines.append(
            f"PETSc {smoke.petsc.version} in {cores} of one thread each; starting them and distributing the matrix is "
            "not counted. PCMG: DMDA interpolation, Galerkin coarse operators, one sweep of SOR."
        )
    return lines
