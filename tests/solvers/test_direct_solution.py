import itertools

import numpy as np
import pytest
import torch

from fastsciml import solve_poisson

D, N, P = "dirichlet", "neumann", "periodic"
KINDS = [D, (D, N), (N, D), N, P]
SHAPES = [
    *[(n,) for n in (1, 2, 3, 8, 13)],
    *[(1, 9), (5, 1), (2, 3), (8, 6), (7, 13)],
    *[(1, 1, 1), (7, 1, 9), (6, 5, 4), (3, 7, 11), (8, 4, 16)],
]
SPACING = (0.5, 1.0, 0.7)
TOL = {np.float32: 1e-4, np.float64: 1e-12}
ERROR = {np.float32: 1e-2, np.float64: 1e-10}


def problems():
    """Every shape with every kind alone, then every pair and some triples of kinds on different axes."""
    for shape, kind in itertools.product(SHAPES, KINDS):
        yield shape, [kind] * len(shape)
    for pair in itertools.permutations(KINDS, 2):
        yield (7, 6), list(pair)
    for i in range(5):
        yield (5, 6, 7), [KINDS[i], KINDS[(i + 2) % 5], KINDS[(2 * i + 1) % 5]]


def check(direct, rhs, tol, error, **problem):
    result = solve_poisson(rhs, tol=tol, **problem)
    assert result.converged, str(result)
    assert direct(rhs, **problem).error(result.solution) <= error


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("shape", "boundary"), list(problems()), ids=str)
def test_every_boundary_dimension_and_extent(direct, shape, boundary, masked, dtype):
    rhs = np.random.randn(*shape).astype(dtype)
    solid = np.random.rand(*shape) < 0.3 if masked else None
    if masked:
        solid.flat[0] = False
    check(direct, rhs, TOL[dtype], ERROR[dtype], spacing=SPACING[: len(shape)], boundary=boundary, solid=solid)


def wall(shape):
    solid = np.zeros(shape, dtype=bool)
    solid[shape[0] // 2] = True
    return solid


def chambers(shape):
    return np.logical_or.reduce(np.meshgrid(*[np.arange(n) % 3 == 2 for n in shape], indexing="ij"))


def checkerboard(shape):
    return sum(np.indices(shape)) % 2 == 1


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning")
@pytest.mark.parametrize("boundary", [D, N, P, (D, N)], ids=str)
@pytest.mark.parametrize("shape", [(13,), (10, 9), (8, 7, 6)], ids=str)
@pytest.mark.parametrize("pattern", [wall, chambers, checkerboard])
def test_disconnected_regions(direct, pattern, shape, boundary):
    rhs = np.random.randn(*shape)
    check(direct, rhs, 1e-12, 1e-10, boundary=[boundary] * len(shape), solid=pattern(shape))


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning")
@pytest.mark.parametrize("boundary", [D, N, P, (N, D)], ids=str)
@pytest.mark.parametrize("spacing", [(1, 3, 10), (1, 0.01, 1), (100, 1, 1)], ids=str)
def test_anisotropic_spacing(direct, spacing, boundary):
    rhs = np.random.randn(8, 12, 6)
    check(direct, rhs, 1e-9, 1e-6, spacing=spacing, boundary=[boundary] * 3)


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning")
@pytest.mark.parametrize("boundary", [D, N, P])
@pytest.mark.parametrize("masked", [False, True])
def test_a_batch_is_its_samples(masked, boundary):
    rhs = torch.randn(2, 3, 8, 10, dtype=torch.float64)
    rhs[1, 0] = 0
    solid = torch.rand(8, 10) < 0.3 if masked else None
    batch = solve_poisson(rhs, dims=2, boundary=boundary, solid=solid)
    assert batch.residuals.shape == (batch.iterations + 1, 2, 3)
    for i, j in np.ndindex(2, 3):
        alone = solve_poisson(rhs[i, j], boundary=boundary, solid=solid)
        history = batch.residuals[:, i, j]
        assert torch.equal(batch.solution[i, j], alone.solution)
        np.testing.assert_array_equal(history[~np.isnan(history)], alone.residuals)
        assert np.isnan(history[alone.iterations + 1 :]).all()
    assert batch.unknowns == 6 * (80 if solid is None else int((~solid).sum()))
