"""What neural operators are compared on: pairs of functions with their boundary, from a file or by formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastsciml import solve_poisson
from fastsciml.data import DarcyFlow, OperatorData, load_operator_data
from fastsciml.data.gaussian_random_field import GaussianRandomField
from fastsciml.operators import RelativeH1
from fastsciml.ops.multigrid_conv import GridBoundary

CHUNK = 20
TAU, ALPHA = 3.0, 2.0
TOLERANCE = 1e-10


@dataclass(frozen=True)
class Task:
    """Pairs to learn from and to be judged by, in float32.

    Attributes:
        name: of `TASKS`.
        train: what is learned from.
        test: what errors are told of.
        boundary: what stencils see beyond the grid.
        layout: of the points along an axis, for people.
    """

    name: str
    train: OperatorData
    test: OperatorData
    boundary: GridBoundary
    layout: str

    @property
    def points(self) -> int:
        return self.train.x.shape[-1]

    def h1(self) -> RelativeH1:
        return RelativeH1(periodic=self.boundary == "periodic")


@dataclass(frozen=True)
class Source:
    """Where a task's pairs come from.

    Attributes:
        draw: (points, samples, generator) -> pairs in float64 or float32.
        points: the usual ones along an axis.
        file: the file's name; its points are `points`. None: always drawn.
    """

    draw: Callable[[int, int, torch.Generator], OperatorData]
    points: int
    boundary: GridBoundary
    layout: str
    file: str | None = None


def load(name: str, samples: int, test: int = 100, *, points: int | None = None, folder: Path | None = None) -> Task:
    """A task with so many samples to train on; the first ones of its file where `folder` has it.

    Raises:
        ValueError: a name is unknown, or the file has too few samples.
    """
    if name not in TASKS:
        raise ValueError(f"problem must be one of {', '.join(TASKS)}, got {name!r}")
    source = TASKS[name]
    file = folder / source.file if folder is not None and source.file is not None else None
    if file is not None and file.is_file() and points in (None, source.points):
        data = load_operator_data(file)
        if len(data) < samples + test:
            raise ValueError(f"{file} has {len(data)} samples, and {samples} + {test} are asked for")
    else:
        generator = torch.Generator().manual_seed(0)
        sizes = [min(CHUNK, samples + test - done) for done in range(0, samples + test, CHUNK)]
        parts = [source.draw(points or source.points, size, generator) for size in sizes]
        data = OperatorData(torch.cat([part.x for part in parts]), torch.cat([part.y for part in parts]))
    x, y = data.x.float(), data.y.float()
    # Of a file: the last ones, so that they are the same whatever number is trained on.
    train, held_out = (OperatorData(x[part], y[part]) for part in (slice(samples), slice(len(data) - test, None)))
    return Task(name, train, held_out, source.boundary, source.layout)


def _darcy(coefficient: Any, refine: int) -> Callable[[int, int, torch.Generator], OperatorData]:
    def draw(points: int, samples: int, generator: torch.Generator) -> OperatorData:
        return DarcyFlow(points, coefficient, refine=refine).sample(samples, generator=generator)

    return draw


def _darcy_cells(points: int, samples: int, generator: torch.Generator) -> OperatorData:
    """At cell centres, the boundary half a cell beyond: at vertices on it the solution is 0, without relative error.

    Solved on this very grid, so that nothing decides about the solution that the coefficient's cells do not show.
    """
    a = DarcyFlow(points, "smooth", refine=1).draw_coefficient(samples, generator=generator)
    u = solve_poisson(torch.ones_like(a), spacing=1 / points, coefficient=a, dims=2, tol=TOLERANCE).solution
    return OperatorData(a[:, None], u[:, None])


def poisson(points: int, samples: int, generator: torch.Generator, alpha: float = 0.0) -> OperatorData:
    """F and u of -lap u + alpha u = f at the points inside the unit square, u = 0 on its boundary."""
    f = GaussianRandomField((points + 2,) * 2, TAU, ALPHA).sample(samples, generator=generator, dtype=torch.float64)
    inside = f[:, 1:-1, 1:-1].contiguous()
    u = _solved(inside, 1 / (points + 1), "dirichlet", alpha)
    return OperatorData(inside[:, None], u[:, None])


def _screened(boundary: Any) -> Callable[[int, int, torch.Generator], OperatorData]:
    """-lap u + u = f on the unit square with zero slope or periodic; its points include both ends, or one."""

    def draw(points: int, samples: int, generator: torch.Generator) -> OperatorData:
        field = GaussianRandomField((points, points), TAU, ALPHA, boundary=boundary)
        f = field.sample(samples, generator=generator, dtype=torch.float64)
        u = _solved(f, 1 / points if boundary == "periodic" else 1 / (points - 1), boundary, 1.0)
        return OperatorData(f[:, None], u[:, None])

    return draw


def _solved(f: Tensor, spacing: float, boundary: Any, alpha: float) -> Tensor:
    return solve_poisson(
        f, spacing=spacing, boundary=boundary, centering="vertex", alpha=alpha, dims=2, tol=TOLERANCE
    ).solution


INSIDE, ENDS, PERIOD, CELLS = "inside", "with both ends", "with one end", "cell centres"
TASKS = {
    "darcy-rough": Source(_darcy("rough", 5), 85, "dirichlet", ENDS, "darcy-rough-85.npz"),
    "darcy-small": Source(_darcy("smooth", 28), 16, "dirichlet", ENDS, "darcy-16.npz"),
    "darcy-cells": Source(_darcy_cells, 32, "dirichlet", CELLS),
    "dirichlet": Source(partial(poisson, alpha=1.0), 31, "dirichlet", INSIDE),
    "neumann": Source(_screened("neumann"), 33, "neumann", ENDS),
    "periodic": Source(_screened("periodic"), 32, "periodic", PERIOD),
    "poisson": Source(poisson, 63, "dirichlet", INSIDE),
}
