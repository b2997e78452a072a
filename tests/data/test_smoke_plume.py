import numpy as np
import pytest
from scipy.sparse.linalg import spsolve

from fastsciml.data import divergence, smoke_plume
from fastsciml.data.staggered import face_is_open

SHAPES = [(12, 16), (10, 12, 14)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_have_the_promised_shapes_and_dtype(shape, dtype):
    plume = smoke_plume(shape, dtype=dtype)
    for axis, component in enumerate(plume.velocity):
        assert component.shape == tuple(n + (a == axis) for a, n in enumerate(shape))
    for array in (*plume.velocity, plume.density, plume.rhs):
        assert array.dtype == dtype
        assert np.isfinite(array).all()
    assert plume.solid.shape == plume.density.shape == plume.rhs.shape == shape
    assert plume.spacing == (1 / shape[0],) * len(shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_crosses_walls_or_solids_at_first(shape):
    plume = smoke_plume(shape)
    assert plume.solid.any()
    for axis, component in enumerate(plume.velocity):
        assert not component[~face_is_open(axis, plume.boundary, plume.solid)].any()
    top = plume.velocity[-1][..., -1]
    assert top.any()


@pytest.mark.parametrize("shape", SHAPES)
def test_smoke_lies_between_nothing_and_one_outside_the_ball(shape):
    plume = smoke_plume(shape)
    assert plume.density.min() >= 0
    assert 0.5 < plume.density.max() <= 1
    assert not plume.density[plume.solid].any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("open_top", [True, False])
def test_projection_removes_the_divergence(shape, open_top, poisson_matrix):
    plume = smoke_plume(shape, open_top=open_top, spacing=(0.1, 0.07, 0.12)[: len(shape)])
    np.testing.assert_array_equal(plume.rhs, -divergence(plume.velocity, plume.spacing))
    assert not plume.rhs[plume.solid].any()
    unknown = np.flatnonzero(~plume.solid)
    if not open_top:
        # The closed box fixes the pressure up to a constant: pin it in one cell.
        assert abs(plume.rhs.sum()) < 1e-10 * abs(plume.rhs).sum()
        unknown = unknown[1:]
    matrix = poisson_matrix(shape, plume.spacing, plume.boundary, plume.solid)
    pressure = np.zeros(plume.rhs.size)
    pressure[unknown] = spsolve(matrix[unknown][:, unknown].tocsc(), plume.rhs.ravel()[unknown])

    after = divergence(plume.projected(pressure.reshape(shape)), plume.spacing)

    assert abs(plume.rhs).max() > 0.1
    assert abs(after).max() < 1e-10 * abs(plume.rhs).max()


def test_without_obstacle_every_cell_is_fluid():
    plume = smoke_plume((8, 8, 8), obstacle=False)
    assert not plume.solid.any()
    assert np.isfinite(plume.rhs).all()


def test_seed_decides_the_eddies():
    one, same, other = (smoke_plume((8, 10), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.rhs, same.rhs)
    assert abs(one.rhs - other.rhs).max() > 0.01 * abs(one.rhs).max()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"shape": (8,)}, "two or three extents"),
        ({"shape": (8, 3, 8)}, "at least 4"),
        ({"shape": (8, 8), "spacing": -1.0}, "spacing must be positive"),
        ({"shape": (8, 8), "spacing": (1.0, 1.0, 1.0)}, "one per axis"),
        ({"shape": (8, 8), "spacing": (1.0, float("nan"))}, "spacing must be positive"),
        ({"shape": (8, 8), "dtype": np.int32}, "float32 or float64, not int32"),
    ],
)
def test_bad_arguments_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        smoke_plume(**arguments)
