"""The geometries that directions are learned for, each with its right-hand sides on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fastsciml.directions.growing_array import Rows
from fastsciml.directions.lanczos import lanczos
from fastsciml.directions.matrix import Matrix
from fastsciml.directions.problems import direction_problem
from fastsciml.directions.right_hand_sides import right_hand_sides
from fastsciml.directions.settings import Settings
from fastsciml.seeds import mixed_seed
from fastsciml.solvers import PoissonSolver

BASIS, RIGHT_HAND_SIDES = "basis.npy", "right_hand_sides.npy"
GEOMETRY, START, COMBINATION = range(3)  # what a seed is mixed for

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Geometry:
    """One problem and its right-hand sides.

    Attributes:
        solver: in float32, on the CPU.
        seed: of the problem.
        rows: float32 [validation + train, n], a memory map; the first ones are validated on.
        validation: how many those are.
    """

    solver: PoissonSolver
    seed: int
    rows: Rows
    validation: int

    @property
    def train(self) -> int:
        """Right-hand sides to train on."""
        return len(self.rows) - self.validation

    def to_train(self, indices: Tensor) -> Tensor:
        """[batch, 1, *shape] of the right-hand sides to train on."""
        return self._fields(self.rows[self.validation + indices.numpy()])

    def to_validate(self, first: int, last: int) -> Tensor:
        """[last - first, 1, *shape] of those to validate on."""
        return self._fields(self.rows[first : min(last, self.validation)])

    def _fields(self, rows: Rows) -> Tensor:
        return torch.from_numpy(np.array(rows)).reshape(len(rows), 1, *self.solver.shape)


def training_data(settings: Settings, folder: Path, tell: Tell = lambda what, done, total: None) -> list[Geometry]:
    """Make the data in a folder, go on with what was interrupted, or open what is there.

    Args:
        settings: of the run; those in `OF_DATA` count.
        folder: is made where it is not there.
        tell: called as tell(what is made, done, total).

    Raises:
        ValueError: a number does not fit the problem, or the folder holds other data.

    Source of the right-hand sides: Kaneda et al., "A Deep Conjugate Direction Method for Iteratively Solving Linear
    Systems" (ICML 2023); Lanczos, J. Res. Nat. Bur. Standards 45 (1950).
    """
    return [_geometry(settings, folder / f"geometry-{number}", number, tell) for number in range(settings.geometries)]


def solver_of(settings: Settings, number: int, **options: torch.device | torch.dtype) -> tuple[PoissonSolver, int]:
    """A geometry's solver, and its seed."""
    seed = mixed_seed(settings.seed, GEOMETRY, number)
    return direction_problem(settings.problem, settings.shape, seed=seed, **options), seed  # type: ignore[arg-type]


def _geometry(settings: Settings, folder: Path, number: int, tell: Tell) -> Geometry:
    solver, seed = solver_of(settings, number)
    matrix = Matrix(solver)
    if settings.ritz > matrix.unknowns:
        raise ValueError(f"ritz must be at most the problem's {matrix.unknowns} unknowns, got {settings.ritz}")
    folder.mkdir(parents=True, exist_ok=True)
    named = f" of geometry {number + 1}" if settings.geometries > 1 else ""
    known = {name: value for name, value in settings.of_data().items() if name in ("problem", "size", "dims", "seed")}
    about = json.dumps({**known, "geometry": number})
    drawn = np.random.default_rng(mixed_seed(settings.seed, START, number)).standard_normal(int(np.prod(solver.shape)))
    start = matrix.apply_flat(matrix.restrict_flat(drawn.astype(np.float32)))
    basis = lanczos(
        matrix.apply_flat,
        start,
        settings.ritz,
        folder / BASIS,
        about,
        lambda done, total: tell(f"Lanczos vectors{named}", done, total),
        matrix.restrict_flat,
    )
    rows = right_hand_sides(
        basis,
        settings.validation + settings.count,
        folder / RIGHT_HAND_SIDES,
        seed=mixed_seed(settings.seed, COMBINATION, number),
        low_share=settings.low_share,
        about=f"{about}, ritz {settings.ritz}",
        progress=lambda done, total: tell(f"right-hand sides{named}", done, total),
    )
    return Geometry(solver, seed, rows, settings.validation)
