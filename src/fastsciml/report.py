"""What the command line tells of a solve, on the terminal and in the result's file."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich import box
from rich.table import Table

from . import config
from .data.staggered import divergence
from .problem import Problem
from .solvers import PoissonResult


def summary(problem: Problem, result: PoissonResult[NDArray[Any]], tolerance: float) -> Table:
    """The table printed at the end."""
    seconds = result.seconds
    per_second = result.unknowns / max(seconds.total, 1e-9)
    rows = {
        "unknowns": f"{result.unknowns:,} of {problem.rhs.size:,} cells",
        "grid": " × ".join(map(str, problem.rhs.shape)),
        "spacing": _spacing(problem.spacing),
        "boundary conditions": _boundary(problem.boundary),
        "iterations": str(result.iterations),
        "true relative residual": f"{result.residuals[-1]:.2e} (tolerance {tolerance:.0e})",
        "set-up": f"{seconds.setup:.3f} s",
        "solve": f"{seconds.solve:.3f} s",
        "unknowns per second": f"{per_second / 1e6:.2f} million, set-up included",
        "threads, SIMD": f"{torch.get_num_threads()}, {config.simd_level()}",
    }
    if problem.plume is not None:
        before, after = largest_divergence(problem, result)
        rows["largest divergence"] = f"{before:.3g} 1/s before, {after:.2e} 1/s after"
    state = "[green]converged[/]" if result.converged else "[red]not converged[/]"
    table = Table(title=f"{problem.title}: {state}", box=box.ROUNDED, show_header=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def archive(problem: Problem, result: PoissonResult[NDArray[Any]], tolerance: float) -> dict[str, NDArray[Any]]:
    """The arrays of the result's .npz file; none of them needs pickle."""
    arrays = {
        "solution": result.solution,
        "residuals": result.residuals,
        "spacing": problem.spacing,
        "boundary": problem.boundary,
        "converged": result.converged,
        "iterations": result.iterations,
        "reason": str(result.reason),
        "tolerance": tolerance,
        "removed_mean": result.removed_mean,
        "unknowns": result.unknowns,
        "seconds_setup": result.seconds.setup,
        "seconds_solve": result.seconds.solve,
    }
    if problem.solid is not None:
        arrays["solid"] = problem.solid
    if problem.plume is not None:
        arrays["rhs"] = problem.rhs
        arrays["density"] = problem.plume.density
        arrays["largest_divergence"] = largest_divergence(problem, result)
    return {name: np.asarray(value) for name, value in arrays.items()}


def largest_divergence(problem: Problem, result: PoissonResult[NDArray[Any]]) -> tuple[float, float]:
    """Largest magnitude [1/s] in any cell, before and after the projection of the plume."""
    assert problem.plume is not None
    after = divergence(problem.plume.projected(result.solution), problem.spacing)
    return float(np.abs(problem.rhs).max()), float(np.abs(after).max())


def _spacing(spacing: tuple[float, ...]) -> str:
    if len(set(spacing)) == 1:
        return f"{spacing[0]:.6g}"
    return ", ".join(f"{h:.6g}" for h in spacing)


def _boundary(boundary: tuple[tuple[str, str], ...]) -> str:
    parts = [a if a == b else f"{a} below, {b} above" for a, b in boundary]
    if len(set(parts)) == 1:
        return f"{parts[0]} on all faces"
    return "\n".join(f"{axis}: {part}" for axis, part in zip("xyz", parts, strict=False))
