import math

import numpy as np
import pytest
import torch

from fastsciml.data import Helmholtz, generate, solve_helmholtz

BOUNDARIES = ["dirichlet", "neumann"]


def _seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def _points(n):
    ticks = torch.linspace(0, 1, n, dtype=torch.float64)
    return torch.meshgrid(ticks, ticks, indexing="ij")


def _dense(c, f, omega, boundary):
    """The solution [n, n] by a matrix put together point by point."""
    n = len(c)
    matrix, rhs = np.zeros((n * n, n * n)), np.zeros(n * n)
    for i in range(n):
        for j in range(n):
            row, wall = i * n + j, {i, j} & {0, n - 1}
            if wall and boundary == "dirichlet":
                matrix[row, row] = 1.0
                continue
            rhs[row] = f[i, j]
            matrix[row, row] -= (omega / c[i, j]) ** 2
            for k, l in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                mirrored = [2 * (n - 1) - m if m >= n else abs(m) for m in (k, l)]
                matrix[row, row] += (n - 1) ** 2
                matrix[row, mirrored[0] * n + mirrored[1]] -= (n - 1) ** 2
    return np.linalg.solve(matrix, rhs).reshape(n, n)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("omega", [3.0, 40.0])
def test_solution_is_that_of_the_five_point_scheme(boundary, omega):
    c = 1 + torch.rand(2, 14, 14, generator=_seeded(), dtype=torch.float64)
    f = torch.randn(2, 14, 14, generator=_seeded(1), dtype=torch.float64)
    found = solve_helmholtz(c, f, omega, boundary)
    for sample in range(2):
        expected = _dense(c[sample].numpy(), f[sample].numpy(), omega, boundary)
        assert abs(found[sample].numpy() - expected).max() < 1e-9 * abs(expected).max()


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_halving_the_spacing_quarters_the_error(boundary):
    wave = torch.sin if boundary == "dirichlet" else torch.cos
    errors = []
    for n in (17, 33, 65):
        x, y = _points(n)
        c = 1.5 + 0.5 * torch.sin(3 * x + y)
        u = wave(math.pi * x) * wave(2 * math.pi * y)
        rhs = (5 * math.pi**2 - (7 / c) ** 2) * u
        errors.append(float((solve_helmholtz(c[None], rhs, 7.0, boundary)[0] - u).abs().max()))
    assert errors[-1] < 2e-3
    assert 3.6 < errors[0] / errors[1] < 4.4
    assert 3.6 < errors[1] / errors[2] < 4.4


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_samples_solve_the_equation(boundary):
    problem = Helmholtz(49, omega=500.0, boundary=boundary, refine=1)
    data = problem.sample(2, generator=_seeded(), dtype=torch.float64)
    c, u = data.x[:, 0], data.y[:, 0]
    assert ((c > 19) & (c < 21)).all()
    assert c.std() > 0.1
    x, y = _points(49)
    f = torch.exp(-((x - 0.5) ** 2 + (y - 0.5) ** 2) / (2 * 0.05**2))[1:-1, 1:-1]
    middle = u[:, 1:-1, 1:-1]
    around = u[:, 2:, 1:-1] + u[:, :-2, 1:-1] + u[:, 1:-1, 2:] + u[:, 1:-1, :-2]
    residual = f - (4 * middle - around) * 48**2 + (500.0 / c[:, 1:-1, 1:-1]) ** 2 * middle
    assert residual.abs().max() < 1e-9
    if boundary == "dirichlet":
        for edge in (u[:, 0], u[:, -1], u[:, :, 0], u[:, :, -1]):
            assert (edge == 0).all()


def test_slopes_vanish_on_neumann_walls():
    x, _ = _points(65)
    u = solve_helmholtz(torch.ones(1, 65, 65, dtype=torch.float64), torch.exp(x), 4.0, "neumann")[0]
    slope = (-3 * u[0] + 4 * u[1] - u[2]) * 32
    assert slope.abs().max() < 5e-3 * (u.diff(dim=0).abs().max() * 64)
    assert u.std(dim=1).max() < 1e-10


def test_a_finer_solve_is_thinned_and_seeds_are_kept():
    fine = Helmholtz(33, omega=200.0, refine=1).sample(2, generator=_seeded(), dtype=torch.float64)
    data = Helmholtz(17, omega=200.0, refine=2).sample(2, generator=_seeded(), dtype=torch.float64)
    assert torch.equal(data.x, fine.x[..., ::2, ::2])
    assert torch.equal(data.y, fine.y[..., ::2, ::2])
    assert data.about["name"] == "helmholtz"
    assert Helmholtz(17, omega=200.0).sample(1).y.dtype == torch.float32


def test_samples_can_be_generated(tmp_path):
    problem = Helmholtz(17, omega=200.0, refine=1)
    whole = generate(problem, 3, tmp_path / "whole.npz", chunk=2)
    assert whole.x.shape == whole.y.shape == (3, 1, 17, 17)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"resolution": 3}, "resolution must be at least 4"),
        ({"omega": 0.0}, "omega must be positive"),
        ({"contrast": 20.0}, "contrast must be from 0 to below speed"),
        ({"boundary": "periodic"}, "boundary must be"),
        ({"source": (0.5,)}, "source must be two"),
        ({"width": 0.0}, "width must be positive"),
        ({"refine": 0}, "refine must be positive"),
    ],
)
def test_bad_input_is_refused(changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        Helmholtz(**changed)


def test_other_arrays_are_refused():
    c = torch.ones(1, 5, 5)
    with pytest.raises(ValueError, match="c must be"):
        solve_helmholtz(c[0], c, 1.0)
    with pytest.raises(ValueError, match="c must be positive"):
        solve_helmholtz(0 * c, c, 1.0)
    with pytest.raises(ValueError, match="rhs must have"):
        solve_helmholtz(c, torch.ones(5), 1.0)
