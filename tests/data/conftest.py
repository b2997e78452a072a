"""The 5-point and 7-point matrix, built cell by cell: slow, and independent of the package."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sparse


def _matrix(shape, spacing, pairs, solid=None):
    cells = np.arange(np.prod(shape)).reshape(shape)
    solid = np.zeros(shape, dtype=bool) if solid is None else solid
    matrix = sparse.lil_matrix((cells.size, cells.size))
    for cell in itertools.product(*map(range, shape)):
        for axis, step in itertools.product(range(len(shape)), (-1, 1)):
            if solid[cell]:
                continue
            coupling = spacing[axis] ** -2
            at = cell[axis] + step
            wall = pairs[axis][0 if step < 0 else 1]
            if wall == "periodic":
                at %= shape[axis]
            if 0 <= at < shape[axis]:
                other = (*cell[:axis], at, *cell[axis + 1 :])
                if not solid[other]:
                    matrix[cells[cell], cells[cell]] += coupling
                    matrix[cells[cell], cells[other]] -= coupling
            elif wall == "dirichlet":
                matrix[cells[cell], cells[cell]] += 2 * coupling
    return matrix.tocsr()


@pytest.fixture
def poisson_matrix() -> Callable[..., sparse.csr_matrix]:
    """poisson_matrix(shape, spacing, pairs, solid=None): rows of solid cells are zero."""
    return _matrix
