import itertools
import math

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from scipy.sparse.linalg import spsolve

from fastsciml.data import DarcyFlow, multiscale_coefficient, solve_darcy

KINDS = ["smooth", "rough", "multiscale"]


def _seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def _five_points(a, f):
    """The solution [n, n] by a matrix put together point by point."""
    n = len(a)
    matrix, rhs = sparse.lil_matrix((n * n, n * n)), np.zeros(n * n)
    for i in range(n):
        for j in range(n):
            row = i * n + j
            if i in (0, n - 1) or j in (0, n - 1):
                matrix[row, row] = 1.0
                continue
            rhs[row] = f[i, j]
            for k, l in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                coupling = 0.5 * (a[i, j] + a[k, l]) * (n - 1) ** 2
                matrix[row, row] += coupling
                matrix[row, k * n + l] -= coupling
    return spsolve(matrix.tocsr(), rhs).reshape(n, n)


@pytest.mark.parametrize("kind", KINDS)
def test_solution_is_that_of_the_five_point_scheme(kind):
    data = DarcyFlow(21, kind, refine=1, tol=1e-11).sample(2, generator=_seeded(), dtype=torch.float64)
    assert data.x.shape == data.y.shape == (2, 1, 21, 21)
    for a, u in zip(data.x[:, 0].numpy(), data.y[:, 0].numpy(), strict=True):
        expected = _five_points(a, np.ones_like(a))
        assert abs(u - expected).max() < 1e-8 * abs(expected).max()


def test_the_right_hand_side_may_vary():
    a = 1 + torch.rand(1, 12, 12, generator=_seeded(), dtype=torch.float64)
    f = torch.randn(1, 12, 12, generator=_seeded(1), dtype=torch.float64)
    expected = _five_points(a[0].numpy(), f[0].numpy())
    assert abs(solve_darcy(a, f, tol=1e-11)[0].numpy() - expected).max() < 1e-8 * abs(expected).max()


def test_halving_the_spacing_quarters_the_error_where_the_coefficient_is_smooth():
    errors = []
    for n in (17, 33, 65):
        ticks = torch.linspace(0, 1, n, dtype=torch.float64)
        x, y = torch.meshgrid(ticks, ticks, indexing="ij")
        a = 2 + torch.sin(2 * x + y)
        slope = torch.cos(2 * x + y)
        u = torch.sin(math.pi * x) * torch.sin(2 * math.pi * y)
        u_x = math.pi * torch.cos(math.pi * x) * torch.sin(2 * math.pi * y)
        u_y = 2 * math.pi * torch.sin(math.pi * x) * torch.cos(2 * math.pi * y)
        rhs = 5 * math.pi**2 * a * u - 2 * slope * u_x - slope * u_y
        errors.append(float((solve_darcy(a[None], rhs[None], tol=1e-11)[0] - u).abs().max()))
    assert errors[-1] < 2e-3
    for coarse, fine in itertools.pairwise(errors):
        assert 3.6 < coarse / fine < 4.4


@pytest.mark.parametrize("kind", KINDS)
def test_solutions_vanish_on_the_boundary_and_are_positive_inside(kind):
    y = DarcyFlow(17, kind, refine=2).sample(3, generator=_seeded(3)).y[:, 0]
    assert y.dtype == torch.float32
    for edge in (y[:, 0], y[:, -1], y[:, :, 0], y[:, :, -1]):
        assert (edge == 0).all()
    assert (y[:, 1:-1, 1:-1] > 0).all()


@pytest.mark.parametrize("kind", ["smooth", "rough"])
def test_two_values_take_half_of_the_square_each(kind):
    x = DarcyFlow(33, kind, values=(7.0, 0.5), refine=1).draw_coefficient(64, generator=_seeded())
    assert set(x.unique().tolist()) == {0.5, 7.0}
    assert abs(float((x == 7.0).double().mean()) - 0.5) < 0.03


def test_rough_coefficients_change_more_often():
    jumps = [
        float(
            (DarcyFlow(65, kind, refine=1).draw_coefficient(32, generator=_seeded()).diff(dim=1) != 0).double().mean()
        )
        for kind in ("smooth", "rough")
    ]
    assert jumps[1] > 1.2 * jumps[0]


def test_a_finer_solve_is_thinned_to_the_same_points():
    coarse, fine = (DarcyFlow(17, "multiscale", refine=r).draw_coefficient(2, generator=_seeded()) for r in (1, 4))
    torch.testing.assert_close(fine[:, ::4, ::4], coarse, rtol=1e-9, atol=0)
    data = DarcyFlow(17, "multiscale", refine=4).sample(2, generator=_seeded(), dtype=torch.float64)
    torch.testing.assert_close(data.x[:, 0], coarse, rtol=1e-9, atol=0)
    torch.testing.assert_close(data.y[:, 0], solve_darcy(fine)[:, ::4, ::4], rtol=0, atol=1e-12)


def test_multiscale_coefficient_is_its_formula():
    frequencies = torch.tensor([[1.3, 2.2, 5.0]], dtype=torch.float64)
    a = multiscale_coefficient(frequencies, 9)[0]
    for i, j in ((0, 0), (2, 7), (5, 4), (8, 1)):
        s, t = i / 4 - 1, j / 4 - 1
        expected = 1.0
        for k in (1.3, 2.2, 5.0):
            expected *= 1 + 0.5 * math.cos(k * math.pi * (s + t))
            expected *= 1 + 0.5 * math.sin(k * math.pi * (t - 3 * s))
        assert float(a[i, j]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_same_bits(kind):
    first, second = (DarcyFlow(17, kind, refine=1).sample(2, generator=_seeded(9)) for _ in range(2))
    assert torch.equal(first.x, second.x)
    assert torch.equal(first.y, second.y)
    assert first.about == {
        "name": "darcy",
        "resolution": 17,
        "coefficient": kind,
        "values": (12.0, 3.0),
        "refine": 1,
        "tol": 1e-9,
    }


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"resolution": 2}, "resolution must be at least 3"),
        ({"coefficient": "flat"}, "coefficient must be"),
        ({"values": (1.0, 0.0)}, "values must be two positive"),
        ({"values": (1.0,)}, "values must be two positive"),
        ({"refine": 0}, "refine must be positive"),
        ({"tol": 0.0}, "tol must be between"),
    ],
)
def test_bad_input_is_refused(changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        DarcyFlow(**changed)


def test_an_empty_batch_and_other_shapes_are_refused():
    with pytest.raises(ValueError, match="batch must be positive"):
        DarcyFlow(17).sample(0)
    with pytest.raises(ValueError, match="a must be"):
        solve_darcy(torch.ones(4, 4))
