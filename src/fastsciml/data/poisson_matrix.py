"""The Poisson problem as a SciPy matrix: the reference of the tests, and what the benchmarks give to other solvers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from ..solvers.boundary import BoundaryConditions, KindPair, kind_of, parse_conditions, robin_coefficients
from ..solvers.grid import Centering, Spacing, parse_spacing

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def poisson_matrix(
    shape: tuple[int, ...],
    spacing: Any = 1.0,
    boundary: BoundaryConditions = "dirichlet",
    solid: Mask | None = None,
    alpha: float | Array = 0.0,
    *,
    centering: Centering = "cell",
    fixed: Mask | None = None,
    coefficient: Array | Sequence[Array] | None = None,
) -> Any:
    """The matrix of -div(k grad u) + alpha u as `solve_poisson` understands the problem, float64, CSR [cells, cells].

    Cells count in C order. Rows and columns of solid and fixed cells are 0; what couples an unknown to a fixed one
    stands on its diagonal. Each coupling of two cells is counted once for either, so a periodic axis of one or two
    cells comes out right. Values of boundary conditions and of fixed cells belong to the right-hand side and do not
    matter here.

    Args:
        shape: unknowns along 1 to 3 axes.
        spacing: as in `solve_poisson`.
        boundary: likewise.
        solid: likewise.
        alpha: likewise.
        centering: likewise.
        fixed: likewise.
        coefficient: likewise.

    Returns:
        SciPy's `csr_array`.

    Raises:
        ValueError: the spacing or the boundary does not fit the shape.
    """
    pairs = [(kind_of(lower), kind_of(upper)) for lower, upper in parse_conditions(boundary, len(shape))]
    spacings = parse_spacing(spacing, shape, pairs, centering)
    nowhere = np.zeros(shape, dtype=bool)
    solid = nowhere if solid is None else np.asarray(solid)
    unknown = ~(solid | (nowhere if fixed is None else np.asarray(fixed)))
    cells = np.arange(unknown.size).reshape(shape)
    diagonal = np.broadcast_to(alpha, shape).astype(np.float64).copy()
    rows, columns, values = [], [], []
    for axis, (h, pair) in enumerate(zip(spacings, pairs, strict=True)):
        widths, apart, reach = _geometry(shape[axis], h, pair, centering)
        conducts = _conductivity(coefficient, axis, shape, widths, pair[0] == "periodic")
        for i in range(shape[axis] + (pair[0] == "periodic") - 1):
            j = (i + 1) % shape[axis]
            k = np.take(conducts, i + 1, axis) * ~(np.take(solid, i, axis) | np.take(solid, j, axis)) / apart[i]
            for here, there in ((i, j), (j, i)):
                coupling = (k * np.take(unknown, here, axis) / widths[here]).ravel()
                row, column = np.take(cells, here, axis).ravel(), np.take(cells, there, axis).ravel()
                np.add.at(diagonal.reshape(-1), row, coupling)
                rows.append(row)
                columns.append(column)
                values.append(-coupling * np.take(unknown, there, axis).ravel())
        if pair[0] != "periodic":
            for end, face, far in ((0, 0, reach[0]), (-1, shape[axis], reach[1])):
                np.add.at(
                    diagonal.reshape(-1),
                    np.take(cells, end, axis).ravel(),
                    (np.take(conducts, face, axis) / (widths[end] * far)).ravel(),
                )
    diagonal[~unknown] = 0.0
    entries = np.concatenate([*values, diagonal.ravel()])
    where = (np.concatenate([*rows, cells.ravel()]), np.concatenate([*columns, cells.ravel()]))
    matrix = sparse.coo_array((entries, where), shape=(cells.size, cells.size)).tocsr()
    matrix.eliminate_zeros()
    return matrix


def _geometry(n: int, h: Spacing, pair: KindPair, centering: Centering) -> tuple[Array, Array, list[float]]:
    """Widths [n], distances from each unknown to the next (the last one's across the seam), and how far beyond either
    end u falls to 0.
    """
    periodic, dirichlet = pair[0] == "periodic", [robin_coefficients(kind)[1] == 0 for kind in pair]
    if centering == "cell":
        widths = np.full(n, h) if np.ndim(h) == 0 else np.asarray(h)
        apart = (widths + np.roll(widths, -1)) / 2
        gaps = [widths[0] / 2, widths[-1] / 2]
    elif periodic:
        apart = np.full(n, h) if np.ndim(h) == 0 else np.asarray(h)
        widths, gaps = (apart + np.roll(apart, 1)) / 2, [0.0, 0.0]
    else:
        count = n - 1 + sum(dirichlet)
        steps = np.full(count, h) if np.ndim(h) == 0 else np.asarray(h)
        # Every vertex with the intervals to both sides, those past a Neumann end being of no length.
        around = np.concatenate([[0.0] * (not dirichlet[0]), steps, [0.0] * (not dirichlet[1])])
        widths, apart = (around[:-1] + around[1:]) / 2, around[1:]
        gaps = [float(around[0]), float(around[-1])]
    reach = []
    for gap, kind in zip(gaps, pair, strict=True):
        a, b = robin_coefficients(kind)
        reach.append(gap + b / a if a else np.inf)
    return widths, apart, reach


def _conductivity(
    coefficient: Array | Sequence[Array] | None, axis: int, shape: tuple[int, ...], widths: Array, periodic: bool
) -> Array:
    """Of the faces across an axis, which has one more."""
    if coefficient is None:
        return np.ones([n + (a == axis) for a, n in enumerate(shape)])
    if not isinstance(coefficient, np.ndarray):
        return np.asarray(coefficient[axis], dtype=np.float64)
    ends = [[-1], [0]] if periodic else [[0], [-1]]
    before, after = (np.take(coefficient, end, axis) for end in ends)
    wrapped = np.concatenate([before, coefficient, after], axis)
    w = np.concatenate([widths[-1:], widths, widths[:1]]).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    lower, upper = (np.take(wrapped, range(s, s + shape[axis] + 1), axis) for s in (0, 1))
    below, above = (np.take(w, range(s, s + shape[axis] + 1), axis) for s in (0, 1))
    faces: Array = (below + above) / (below / lower + above / upper)
    return faces
