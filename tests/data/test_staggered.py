import numpy as np
import pytest
from scipy.sparse.linalg import spsolve

from fastsciml.data import divergence, project
from fastsciml.data.staggered import face_is_open, on_cells, on_faces, places
from fastsciml.solvers.boundary import parse_boundary

BOUNDARIES = {
    2: ["dirichlet", "neumann", "periodic", [("neumann", "dirichlet"), "periodic"]],
    3: [
        "dirichlet",
        "neumann",
        ["periodic", ("dirichlet", "neumann"), "neumann"],
        ["neumann", "neumann", ("neumann", "dirichlet")],
    ],
}
CASES = [(d, boundary) for d in BOUNDARIES for boundary in BOUNDARIES[d]]
SHAPES = {2: (7, 5), 3: (5, 4, 6)}
SPACINGS = {2: (0.2, 0.35), 3: (0.2, 0.35, 0.11)}


def _random_velocity(shape, pairs, random):
    """Normal random faces; on a periodic axis the two end faces are one and the same."""
    velocity = []
    for axis in range(len(shape)):
        faces = [n + (a == axis) for a, n in enumerate(shape)]
        component = random.standard_normal(faces)
        if pairs[axis][0] == "periodic":
            np.moveaxis(component, axis, 0)[-1] = np.moveaxis(component, axis, 0)[0]
        velocity.append(component)
    return tuple(velocity)


def test_divergence_of_a_linear_velocity_is_its_trace():
    shape, spacing = (4, 3, 5), (0.5, 0.25, 0.1)
    velocity = []
    for axis, rate in enumerate((2.0, -3.0, 7.0)):
        faces = [n + (a == axis) for a, n in enumerate(shape)]
        line = [-1 if a == axis else 1 for a in range(3)]
        position = spacing[axis] * np.arange(shape[axis] + 1)
        velocity.append(np.broadcast_to((rate * position).reshape(line), faces))
    np.testing.assert_allclose(divergence(velocity, spacing), 6.0)


@pytest.mark.parametrize(("dimensions", "boundary"), CASES)
@pytest.mark.parametrize("with_solid", [False, True])
def test_projection_adds_the_operator_to_the_divergence(dimensions, boundary, with_solid, poisson_matrix):
    random = np.random.default_rng(3)
    shape, spacing = SHAPES[dimensions], SPACINGS[dimensions]
    pairs = parse_boundary(boundary, dimensions)
    solid = random.random(shape) < 0.3 if with_solid else None
    velocity = _random_velocity(shape, pairs, random)
    pressure = random.standard_normal(shape)
    matrix = poisson_matrix(shape, spacing, pairs, solid)

    after = divergence(project(velocity, pressure, spacing, boundary, solid), spacing)

    expected = divergence(velocity, spacing) + (matrix @ pressure.ravel()).reshape(shape)
    np.testing.assert_allclose(after, expected, rtol=0, atol=1e-12 * abs(expected).max())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_projected_velocity_is_free_of_divergence(axis, poisson_matrix):
    random = np.random.default_rng(4)
    shape, spacing = (5, 6, 4), (0.1, 0.2, 0.15)
    boundary = ["neumann"] * 3
    boundary[axis] = ("dirichlet", "neumann")
    pairs = parse_boundary(boundary, 3)
    solid = np.zeros(shape, dtype=bool)
    solid[2:4, 2:4, 1:3] = True
    velocity = tuple(
        component * face_is_open(a, boundary, solid)
        for a, component in enumerate(_random_velocity(shape, pairs, random))
    )
    fluid = ~solid.ravel()
    rhs = -divergence(velocity, spacing)
    matrix = poisson_matrix(shape, spacing, pairs, solid)
    pressure = np.zeros(rhs.size)
    pressure[fluid] = spsolve(matrix[fluid][:, fluid].tocsc(), rhs.ravel()[fluid])

    projected = project(velocity, pressure.reshape(shape), spacing, boundary, solid)

    assert abs(rhs).max() > 1
    assert abs(divergence(projected, spacing)).max() < 1e-11 * abs(rhs).max()


def test_faces_are_closed_at_walls_and_solids_only():
    solid = np.array([[False, True, False], [False, False, False]])
    boundary = [("dirichlet", "neumann"), "periodic"]
    np.testing.assert_array_equal(face_is_open(0, boundary, solid), [[1, 0, 1], [1, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(face_is_open(1, boundary, solid), [[1, 0, 0, 1], [1, 1, 1, 1]])


def test_places_are_centres_or_faces():
    x, y = places((2, 3), (0.5, 2.0))
    np.testing.assert_array_equal(x, [[0.25], [0.75]])
    np.testing.assert_array_equal(y, [[1.0, 3.0, 5.0]])
    x, y = places((2, 3), (0.5, 2.0), 1)
    assert x.shape == (2, 1)
    np.testing.assert_array_equal(y, [[0.0, 2.0, 4.0, 6.0]])


@pytest.mark.parametrize("axis", [0, 1])
def test_means_on_faces_and_cells(axis):
    shape, spacing = (4, 5), (0.5, 0.25)
    x = places(shape, spacing)[axis]
    cells = np.broadcast_to(x, shape)
    faces = on_faces(cells, axis)
    inner = np.take(faces, range(1, shape[axis]), axis)
    expected = np.take(
        np.broadcast_to(places(shape, spacing, axis)[axis], faces.shape),
        range(1, shape[axis]),
        axis,
    )
    np.testing.assert_allclose(inner, expected)
    np.testing.assert_array_equal(faces.take(0, axis), cells.take(0, axis))
    exact = np.broadcast_to(places(shape, spacing, axis)[axis], faces.shape)
    np.testing.assert_allclose(on_cells(exact, axis), cells)
