"""Problems that directions are learned for, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastsciml.data.smoke_plume import smoke_plume
from fastsciml.solvers import PoissonSolver

Mask = NDArray[np.bool_]
Boundary = Sequence[tuple[str, str]]
BALL_RADIUS = 0.22  # in widths of the box
MOST_OBSTACLES = 4
OBSTACLE_SIZES = (0.08, 0.22)  # half widths and radii, in widths of the box
LEAST_FLUID = 0.5  # share of cells, else the obstacles are drawn again


def direction_problem(
    name: str,
    shape: Sequence[int],
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> PoissonSolver:
    """A problem's solver, by multigrid.

    Args:
        name: "plume": `data.smoke_plume`, with walls, an open top and a ball; "plume-empty": without the ball; "box": u
            = 0 on all faces; "ball": the same with a solid ball; "obstacles": random balls and boxes, and faces of
            random kinds.
        shape: cells per axis, two or three extents of at least 4.
        seed: of the obstacles.
        dtype: of right-hand sides.
        device: likewise.

    Raises:
        ValueError: there is no such problem, or the shape does not fit.
    """
    if name not in PROBLEMS:
        raise ValueError(f"problem must be one of {', '.join(PROBLEMS)}, got {name!r}")
    shape = tuple(shape)
    if len(shape) not in (2, 3) or min(shape) < 4:
        raise ValueError(f"shape must be two or three extents of at least 4, got {shape}")
    solid, boundary = PROBLEMS[name](shape, seed)
    options: dict[str, Any] = {"solid": solid, "boundary": boundary, "spacing": 1 / shape[0]}
    return PoissonSolver(shape, method="multigrid", dtype=dtype, device=device, **options)


def _plume(obstacle: bool) -> Callable[[tuple[int, ...], int], tuple[Mask | None, Boundary]]:
    def make(shape: tuple[int, ...], _: int) -> tuple[Mask | None, Boundary]:
        plume = smoke_plume(shape, obstacle=obstacle)
        return (plume.solid if obstacle else None), plume.boundary

    return make


def _box(shape: tuple[int, ...], _: int) -> tuple[None, Boundary]:
    return None, [("dirichlet", "dirichlet")] * len(shape)


def _ball(shape: tuple[int, ...], seed: int) -> tuple[Mask, Boundary]:
    centre = [0.5 * n for n in shape]
    return _in_ball(shape, centre, BALL_RADIUS * min(shape)), _box(shape, seed)[1]


def _obstacles(shape: tuple[int, ...], seed: int) -> tuple[Mask, Boundary]:
    """One to `MOST_OBSTACLES` solids, half of them balls; each face is a wall or open, the last one open."""
    rng = np.random.default_rng(seed)
    kinds = np.where(rng.random((len(shape), 2)) < 0.5, "neumann", "dirichlet")
    kinds[-1, 1] = "dirichlet"  # so that most of the fluid is held
    solid = _random_solids(shape, rng)
    while solid.mean() > 1 - LEAST_FLUID:
        solid = _random_solids(shape, rng)
    return solid, [(str(lower), str(upper)) for lower, upper in kinds]


def _random_solids(shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
    solid: Mask = np.zeros(shape, dtype=bool)
    for _ in range(int(rng.integers(1, MOST_OBSTACLES + 1))):
        centre = [float(rng.uniform(0.1, 0.9)) * n for n in shape]
        sizes = rng.uniform(*OBSTACLE_SIZES, len(shape)) * min(shape)
        solid |= _in_ball(shape, centre, float(sizes[0])) if rng.random() < 0.5 else _in_box(shape, centre, sizes)
    return solid


def _offsets(shape: tuple[int, ...], centre: Sequence[float]) -> list[NDArray[Any]]:
    """From the centre to each cell's, in cells, along each axis; shaped to broadcast."""
    axes = (np.arange(n) + 0.5 - c for n, c in zip(shape, centre, strict=True))
    return list(np.meshgrid(*axes, indexing="ij", sparse=True))


def _in_ball(shape: tuple[int, ...], centre: Sequence[float], radius: float) -> Mask:
    return np.asarray(sum(x * x for x in _offsets(shape, centre)) < radius**2)


def _in_box(shape: tuple[int, ...], centre: Sequence[float], sizes: NDArray[Any]) -> Mask:
    inside = [np.abs(x) < size for x, size in zip(_offsets(shape, centre), sizes, strict=True)]
    return np.asarray(reduce(np.logical_and, inside))


PROBLEMS: dict[str, Callable[[tuple[int, ...], int], tuple[Mask | None, Boundary]]] = {
    "plume": _plume(obstacle=True),
    "plume-empty": _plume(obstacle=False),
    "box": _box,
    "ball": _ball,
    "obstacles": _obstacles,
}
