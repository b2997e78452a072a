import itertools

import numpy as np
import pytest
import scipy.sparse as sparse
from scipy.sparse.linalg import spsolve

from fastsciml.data import manufactured

KINDS = [
    ("dirichlet", "dirichlet"),
    ("dirichlet", "neumann"),
    ("neumann", "dirichlet"),
    ("neumann", "neumann"),
    ("periodic", "periodic"),
]
BOUNDARIES = [
    *itertools.product(KINDS, repeat=1),
    *itertools.product(KINDS, repeat=2),
    *[(KINDS[i], KINDS[(i + 2) % 5], KINDS[(2 * i + 1) % 5]) for i in range(5)],
]
REFINED = {1: (64, 128), 2: (24, 48), 3: (10, 20)}


def _second_difference(n, pair):
    """-d^2/dx^2 on n cells of the unit interval."""
    matrix = sparse.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(n, n)).tolil()
    ends = {"dirichlet": 3.0, "neumann": 1.0, "periodic": 2.0}
    matrix[0, 0], matrix[-1, -1] = ends[pair[0]], ends[pair[1]]
    if pair[0] == "periodic":
        matrix[0, -1] = matrix[-1, 0] = -1.0
    return matrix.tocsr() * n**2


def _error(n, boundary):
    """Largest difference between the discrete solution and the exact one, on slightly odd grids."""
    shape = tuple(n + axis for axis in range(len(boundary)))
    rhs, exact = manufactured(shape, boundary)
    matrix = sparse.csr_matrix((1, 1))
    for extent, pair in zip(shape, boundary, strict=True):
        line = _second_difference(extent, pair)
        matrix = sparse.kronsum(line, matrix, format="csr")
    if not any("dirichlet" in pair for pair in boundary):
        # Solvable up to a constant: replace it by the demand of a zero mean.
        matrix = sparse.bmat([[matrix, np.ones((rhs.size, 1))], [np.ones((1, rhs.size)), None]])
        found = spsolve(matrix.tocsc(), np.append(rhs, 0.0))[:-1]
    else:
        found = spsolve(matrix.tocsc(), rhs.ravel())
    return abs(found.reshape(shape) - exact).max() / abs(exact).max()


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
def test_halving_the_spacing_quarters_the_error(boundary):
    coarse, fine = (_error(n, boundary) for n in REFINED[len(boundary)])
    assert fine < 0.02
    assert 3.3 < coarse / fine < 4.7


@pytest.mark.parametrize("shape", [(9,), (8, 9), (7, 8, 9)])
@pytest.mark.parametrize("kind", ["neumann", "periodic"])
def test_without_dirichlet_faces_the_means_are_zero(shape, kind):
    for array in manufactured(shape, kind):
        assert array.shape == shape
        assert abs(array.mean()) < 1e-13 * abs(array).max()


@pytest.mark.parametrize("shape", [(), (4, 4, 4, 4), (4, 0)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="one to three positive extents"):
        manufactured(shape)


def test_unknown_boundary_is_refused():
    with pytest.raises(ValueError, match="unknown boundary 'open'"):
        manufactured((4, 4), "open")
