import numpy as np
import pytest

from fastsciml.data import poisson_matrix
from fastsciml.solvers.boundary import parse_boundary
from fastsciml.solvers.grid import cell_axis, make_grid, parse_spacing

D, N, P = "dirichlet", "neumann", "periodic"


@pytest.mark.parametrize("given", [N, [N, N], ((N, N), N), [[N, N], [N, N]]], ids=str)
def test_a_boundary_may_be_written_short(given):
    assert parse_boundary(given, 2) == ((N, N), (N, N))


@pytest.mark.parametrize("given", [2, 2.0, [2], (2, 2.0), np.array([2, 2]), np.float32(2)], ids=repr)
def test_a_spacing_may_be_written_short(given):
    assert parse_spacing(given, (3, 4)) == (2.0, 2.0)


@pytest.mark.parametrize("shape", [(5,), (4, 5), (3, 4, 5)], ids=str)
def test_the_kernels_see_three_axes_and_the_last_one_last(shape):
    grid = make_grid(shape, (1.0,) * len(shape), parse_boundary(D, len(shape)))
    assert np.prod(grid.extents) == np.prod(shape)
    assert grid.extents[2] == shape[-1]


@pytest.mark.parametrize("n", [1, 2, 3, 8])
@pytest.mark.parametrize("pair", [(D, D), (D, N), (N, D), (N, N), (P, P)], ids=str)
def test_face_couplings_add_up_to_the_diagonal(n, pair):
    lower, upper = cell_axis(n, 0.5, pair).face_couplings()
    np.testing.assert_allclose(lower + upper, poisson_matrix((n,), 0.5, [pair]).diagonal())
