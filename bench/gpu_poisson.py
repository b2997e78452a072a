"""The Poisson kernels and whole solves on a CUDA device."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from fastsciml import PoissonSolver
from fastsciml.ops import multigrid_v_cycle, multigrid_workspace, split_rows
from fastsciml.ops.conjugate_direction import conjugate_direction_update, conjugate_line_search
from fastsciml.ops.poisson_residual_norm import poisson_residual_norm
from fastsciml.solvers.boundary import parse_boundary
from fastsciml.solvers.discretisation import Discretisation, Fill
from fastsciml.solvers.grid import make_grid, parse_spacing

from .gpu_time import captured, timed
from .measure import DisagreementError, Spread, interleave
from .model import FLOORS, LOAD, RESTRICT
from .report import Cell, Figures, Settings, Tell

TOLERANCE = 1e-10
SIZES = (64, 128, 256, 384, 512)
FINEST_SWEEPS, COARSE_SWEEPS = 2, 3  # before and after, as the default schedule has them


@dataclass(frozen=True)
class Solved:
    size: int
    seconds: Spread
    iterations: int
    cycles: int

    @property
    def rate(self) -> float:
        """Unknowns per second."""
        return self.size**3 / self.seconds.median


def figures(settings: Settings, bandwidth: float, tell: Tell) -> tuple[list[Figures], list[Solved]]:
    n = settings.size
    tell(f"Poisson: kernels at {n}^3")
    kernels, profiled = _kernels(n, settings, bandwidth)
    solved = []
    for size in (n,) if settings.quick else SIZES:
        tell(f"Poisson: solving {size}^3")
        solved.append(_solve(size, settings))
    return [kernels, profiled, _solves(solved)], solved


def _kernels(n: int, settings: Settings, bandwidth: float) -> tuple[Figures, Figures]:
    shape = (n, n, n)
    grid = make_grid(shape, parse_spacing(1.0, shape), parse_boundary("dirichlet", 3))
    device = torch.device("cuda")
    sample = Discretisation(grid, Fill(), torch.float64, device)
    hierarchy, a = sample.hierarchy().to(device), sample.placed.operator
    f, u = torch.randn(2, *shape, dtype=torch.float64, device=device)
    rhs = split_rows(f)
    z, p, r = (rhs.clone() for _ in range(3))
    workspace = torch.zeros(multigrid_workspace(hierarchy), device=device)
    lengths = torch.tensor([0.5], dtype=torch.float64, device=device)
    arguments = (a.couplings, a.periodic, a.faces, a.coefficient, a.alpha)

    def cycles(number: int) -> Any:
        return lambda: multigrid_v_cycle(rhs, z, hierarchy, workspace, cycles=number)

    runs = {
        "V-cycle from zero": cycles(1),
        "two V-cycles": cycles(2),
        "split rows": lambda: split_rows(f, 1.0, out=rhs),
        "line search": lambda: conjugate_line_search(z, [p], r, hierarchy),
        "step": lambda: conjugate_direction_update(u, z, [], r, f, *arguments, lengths, 1.0),
        "residual norm": lambda: poisson_residual_norm(u, f, *arguments),
    }
    for run in runs.values():
        run()
    waits = ("residual norm",)  # for the host, which a graph cannot
    competitors = {name: timed(run if name in waits else captured(run)) for name, run in runs.items()}
    timings = interleave(competitors, settings.repetitions)
    rows: list[dict[str, Cell]] = []
    for name, timing in timings.items():
        floor = _cycle_floor() * (2 if "two" in name else 1) if "V-cycle" in name else FLOORS[name]
        seconds = Spread.of(timing.seconds).median
        rows.append(
            {
                "kernel": name,
                "µs": 1e6 * seconds,
                "floor, B per unknown": floor,
                "of the bandwidth, if it moved the floor": f"{floor * n**3 / seconds / bandwidth:.0%}",
                "G unknowns/s": n**3 / seconds / 1e9,
            }
        )
    kernels = Figures(f"Poisson kernels, {n}^3 cells, replayed as CUDA graphs", rows, "The norm is read by the host.")
    return kernels, _profiled(n, cycles(2))


def _cycle_floor() -> float:
    """Bytes per unknown of the finest level that a V-cycle's steps must move; each level has an eighth of the cells."""

    def level(sweeps: int) -> float:
        transfers = FLOORS["multigrid start"] + FLOORS[RESTRICT] + FLOORS[LOAD]
        return transfers + (4 * sweeps - 1) * FLOORS["multigrid relax"]

    return level(FINEST_SWEEPS) + level(COARSE_SWEEPS) / 7


def _profiled(n: int, run: Any) -> Figures:
    """Launch by launch, in order."""
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as recorded:
        run()
        torch.cuda.synchronize()
    launches = sorted(
        (event for event in recorded.events() or [] if event.device_type == DeviceType.CUDA),
        key=lambda event: event.time_range.start,
    )
    rows: list[dict[str, Cell]] = [
        {"launch": number, "kernel": event.name[:90], "µs": float(event.time_range.elapsed_us())}
        for number, event in enumerate(launches)
    ]
    return Figures(f"Two V-cycles at {n}^3, launch by launch", rows or [{"launch": "none seen"}])


def _solve(size: int, settings: Settings) -> Solved:
    solver = PoissonSolver((size,) * 3, spacing=1 / size, device="cuda", method="multigrid")
    f = torch.randn(size, size, size, dtype=torch.float64, device="cuda")
    for _ in range(3):  # loads the kernels, then captures, then replays
        result: Any = solver.solve(f, tol=TOLERANCE)
    if not result.converged:
        raise DisagreementError(f"the solve at {size}^3 did not converge: {result.reason}")
    check_residual(result.solution, f, size)
    seconds = []
    for _ in range(settings.repetitions):
        torch.cuda.synchronize()
        start = perf_counter()
        solver.solve(f, tol=TOLERANCE)
        torch.cuda.synchronize()
        seconds.append(perf_counter() - start)
    return Solved(size, Spread.of(seconds), result.iterations, result.cycles)


def check_residual(u: Tensor, f: Tensor, size: int) -> None:
    """By slices of a padded array, independent of every kernel of ours. Walls: u beyond them is -u before them.

    Raises:
        DisagreementError: the relative residual is not what the solver says.
    """
    residual = f - 6 * u * size**2
    for axis in range(3):
        for step, first in ((1, 0), (-1, size - 1)):
            inner = u.roll(step, axis)
            inner.select(axis, first).copy_(-u.select(axis, first))
            residual += inner * size**2
    relative = float(residual.norm() / f.norm())
    if not relative <= 2 * TOLERANCE:
        raise DisagreementError(f"the solution at {size}^3 has a relative residual of {relative:.1e}")


def _solves(solved: list[Solved]) -> Figures:
    rows: list[dict[str, Cell]] = [
        {
            "cells": f"{one.size}^3",
            "iterations": one.iterations,
            "cycles": one.cycles,
            "ms": Spread.of([1e3 * one.seconds.least, 1e3 * one.seconds.median, 1e3 * one.seconds.most]),
            "G unknowns/s": one.rate / 1e9,
        }
        for one in solved
    ]
    return Figures(f"Whole solves to {TOLERANCE:g}, float64, Dirichlet, from the second call of a solver on", rows)
