"""The Poisson problem as a SciPy matrix: the reference of the tests, and what the benchmarks give to other solvers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from ..solvers.boundary import BoundaryConditions, kind_of, parse_conditions, robin_coefficients
from ..solvers.grid import parse_spacing


def poisson_matrix(
    shape: tuple[int, ...],
    spacing: float | Sequence[float] = 1.0,
    boundary: BoundaryConditions = "dirichlet",
    solid: NDArray[np.bool_] | None = None,
    alpha: float = 0.0,
) -> Any:
    """The matrix of -div(grad u) + alpha u as `solve_poisson` understands the problem, float64, CSR [cells, cells].

    Cells count in C order. Rows and columns of solid cells are 0. Each coupling of two fluid cells is a
    2 x 2 block [[1, -1], [-1, 1]] / h^2, so a periodic axis of one or two cells comes out right. Values of boundary
    conditions belong to the right-hand side and do not matter here.

    Raises ValueError for a spacing or boundary that does not fit the shape.
    """
    widths = parse_spacing(spacing, len(shape))
    pairs = [tuple(kind_of(face) for face in pair) for pair in parse_conditions(boundary, len(shape))]
    fluid = np.ones(shape, dtype=bool) if solid is None else ~np.asarray(solid)
    cells = np.arange(fluid.size).reshape(shape)
    diagonal = np.full(shape, float(alpha))
    rows, columns, values = [], [], []
    for axis, (h, pair) in enumerate(zip(widths, pairs, strict=True)):
        below = cells if pair[0] == "periodic" else np.delete(cells, -1, axis)
        above = np.roll(cells, -1, axis) if pair[0] == "periodic" else np.delete(cells, 0, axis)
        coupled = fluid.flat[below.ravel()] & fluid.flat[above.ravel()]
        a, b = below.ravel()[coupled], above.ravel()[coupled]
        np.add.at(diagonal.reshape(-1), np.concatenate([a, b]), h**-2)
        rows += [a, b]
        columns += [b, a]
        values += [np.full(2 * len(a), -(h**-2))]
        for end, kind in zip((0, -1), pair, strict=True):
            value, slope = robin_coefficients(kind)
            face = np.take(cells, end, axis).ravel()
            np.add.at(diagonal.reshape(-1), face, 2 * value / (h * (value * h + 2 * slope)))
    diagonal[~fluid] = 0.0
    entries = np.concatenate([*values, diagonal.ravel()])
    where = (np.concatenate([*rows, cells.ravel()]), np.concatenate([*columns, cells.ravel()]))
    return sparse.coo_array((entries, where), shape=(cells.size, cells.size)).tocsr()
