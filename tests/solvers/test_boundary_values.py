import numpy as np
import pytest
import torch

from fastsciml import Dirichlet, Neumann, Robin, solve_poisson
from fastsciml.data import poisson_matrix


def cosine_sum(points):
    """Smooth, with no symmetry; minus its Laplacian is dims times itself. points: arrays to broadcast."""
    return sum(np.cos(x + axis) for axis, x in enumerate(points))


def faces(shape, h, axis, end):
    """Points on a face, and the outward normal derivative of cosine_sum there."""
    points = [h * (np.arange(n) + 0.5) for n in shape]
    place = 0.0 if end == 0 else shape[axis] * h
    others = [p for a, p in enumerate(points) if a != axis]
    grids = list(np.meshgrid(*others, indexing="ij", sparse=False)) if others else []
    grids.insert(axis, np.full(grids[0].shape if grids else (), place))
    slope = -np.sin(place + axis) * (-1 if end == 0 else 1)
    return cosine_sum(grids), np.full(grids[axis].shape, slope)


def condition(kind, value, slope):
    if kind == "dirichlet":
        return Dirichlet(value)
    if kind == "neumann":
        return Neumann(slope)
    return Robin(2.0, 0.5, 2.0 * value + 0.5 * slope)


CASES = [
    ("dirichlet", "dirichlet"),
    ("dirichlet", "neumann"),
    ("robin", "neumann"),
    ("robin", "robin"),
    ("robin", "dirichlet"),
]


@pytest.mark.parametrize("kinds", CASES, ids=str)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_smooth_solution_is_found_to_second_order(dims, kinds):
    errors = []
    for n in (12, 24):
        shape, h = (n, n + 2, n - 3)[:dims], 2.0 / n
        grid = np.meshgrid(*[h * (np.arange(m) + 0.5) for m in shape], indexing="ij", sparse=True)
        exact = np.broadcast_to(cosine_sum(grid), shape)
        boundary = [
            tuple(condition(kind, *faces(shape, h, axis, end)) for end, kind in zip((0, 1), kinds, strict=True))
            for axis in range(dims)
        ]
        result = solve_poisson(np.ascontiguousarray(exact), spacing=h, boundary=boundary, tol=1e-11)
        assert result.converged
        errors.append(np.abs(result.solution - exact).max())
    assert errors[1] < errors[0] / 3


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("h", [1.0, 1e-15, 1e15])
def test_robin_agrees_with_the_matrix_in_any_unit(masked, h):
    shape, boundary = (9, 8, 10), [(Robin(1, 0.7 * h), "neumann"), "periodic", (Robin(0.2, h), Robin(3, 0))]
    rhs = np.random.randn(*shape)
    solid = np.random.rand(*shape) < 0.2 if masked else None
    result = solve_poisson(rhs, spacing=h, boundary=boundary, solid=solid, tol=1e-10)
    matrix = poisson_matrix(shape, h, boundary, solid)
    b = rhs if solid is None else np.where(solid, 0, rhs)
    assert np.linalg.norm(matrix @ result.solution.ravel() - b.ravel()) <= 1.1e-10 * np.linalg.norm(b)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("robin", [(1, 1), (1, 1e-3), (1e-3, 1)], ids=str)
def test_robin_converges_as_fast(robin, masked):
    rhs = torch.randn(32, 33, 30, dtype=torch.float64)
    solid = torch.rand(32, 33, 30) < 0.05 if masked else None
    result = solve_poisson(rhs, spacing=1 / 32, boundary=Robin(*robin), solid=solid, tol=1e-10)
    assert result.converged
    assert result.residuals[-1] ** (1 / result.iterations) <= 0.15


def test_a_constant_value_everywhere_is_the_solution():
    result = solve_poisson(torch.zeros(7, 5, dtype=torch.float64), boundary=Dirichlet(2.5), tol=1e-12)
    torch.testing.assert_close(result.solution, torch.full((7, 5), 2.5, dtype=torch.float64))


def test_a_flux_through_opposite_faces_is_a_slope():
    result = solve_poisson(np.zeros((6, 4)), spacing=0.5, boundary=[(Neumann(-3), Neumann(3)), "neumann"], tol=1e-12)
    np.testing.assert_allclose(np.diff(result.solution, axis=0), 1.5)
    assert abs(result.solution.mean()) < 1e-12


def test_each_sample_of_a_batch_may_have_its_own_values():
    values = torch.randn(3, 5, dtype=torch.float64)
    rhs = torch.randn(3, 4, 5, dtype=torch.float64)
    batch = solve_poisson(rhs, dims=2, boundary=[(Dirichlet(values), "dirichlet"), "neumann"])
    for i in range(3):
        alone = solve_poisson(rhs[i], boundary=[(Dirichlet(values[i].numpy()), "dirichlet"), "neumann"])
        assert torch.equal(batch.solution[i], alone.solution)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Robin(-1, 1), "Robin needs a and b of at least 0"),
        (lambda: Robin(0, 0), "not both 0"),
        (lambda: Robin(1, float("inf")), "Robin needs"),
        (lambda: Dirichlet(np.zeros(4)), r"lower x face must broadcast to \(5,\), got shape \(4,\)"),
        (lambda: Neumann(float("nan")), "lower x face has NaN"),
    ],
)
def test_bad_values_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        solve_poisson(np.ones((4, 5)), boundary=[(make(), "neumann"), "dirichlet"])


@pytest.mark.filterwarnings("error")
def test_values_may_be_read_only():
    value = np.broadcast_to(1.0, 8)
    result = solve_poisson(np.zeros((8, 8)), boundary=[Dirichlet(value), "neumann"])
    np.testing.assert_allclose(result.solution, 1, rtol=1e-6)
