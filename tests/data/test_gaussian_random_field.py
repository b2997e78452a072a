import math

import pytest
import torch

from fastsciml.data import GaussianRandomField

BOUNDARIES = ["neumann", "periodic", "dirichlet"]


def _seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def _eigenfunctions(n, boundary):
    """(eigenvalue, values at the points) of every mode of a line, written out one by one."""
    points = [i / (n if boundary == "periodic" else n - 1) for i in range(n)]
    found = []
    for k in range(n):
        if boundary == "neumann":
            found.append((math.pi * k, [math.cos(math.pi * k * x) * (2**0.5 if k else 1) for x in points]))
        elif boundary == "dirichlet" and 1 <= k <= n - 2:
            found.append((math.pi * k, [2**0.5 * math.sin(math.pi * k * x) for x in points]))
        elif boundary == "periodic" and 2 * k < n:
            found.append((2 * math.pi * k, [math.cos(2 * math.pi * k * x) * (2**0.5 if k else 1) for x in points]))
            if k:
                found.append((2 * math.pi * k, [2**0.5 * math.sin(2 * math.pi * k * x) for x in points]))
    return [(number**2, torch.tensor(values, dtype=torch.float64)) for number, values in found]


def _covariance(shape, boundary, tau, alpha, sigma):
    total = torch.zeros((math.prod(shape),) * 2, dtype=torch.float64)
    modes = [(0.0, torch.ones(1, dtype=torch.float64))]
    for n in shape:
        modes = [(a + b, torch.outer(f, g).reshape(-1)) for a, f in modes for b, g in _eigenfunctions(n, boundary)]
    for square, values in modes:
        total += sigma**2 * (square + tau**2) ** -alpha * torch.outer(values, values)
    return total


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", [(9,), (6, 5), (4, 3, 4)])
def test_covariance_is_that_of_the_operator(shape, boundary):
    field = GaussianRandomField(shape, tau=3.0, alpha=2.0, sigma=1.7, boundary=boundary)
    samples = field.sample(40_000, generator=_seeded(), dtype=torch.float64).reshape(40_000, -1)
    expected = _covariance(shape, boundary, 3.0, 2.0, 1.7)
    assert samples.mean(0).abs().max() < 0.03 * expected.max() ** 0.5
    torch.testing.assert_close(samples.T @ samples / len(samples), expected, rtol=0, atol=0.03 * float(expected.max()))


@pytest.mark.parametrize(("shape", "sigma"), [((8,), 7**2.0), ((8, 8), 7**1.5), ((8, 8, 8), 7**1.0)])
def test_default_sigma_is_the_published_one(shape, sigma):
    assert GaussianRandomField(shape, tau=7.0, alpha=2.5).scale == pytest.approx(sigma)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_finer_grid_shows_the_same_field(boundary, d):
    coarse, fine = (16, 32) if boundary == "periodic" else (16, 31)
    fields = [
        GaussianRandomField((n,) * d, 5.0, 2.0, boundary=boundary, modes=7).sample(
            3, generator=_seeded(4), dtype=torch.float64
        )
        for n in (coarse, fine)
    ]
    sampled = fields[1][(slice(None), *[slice(None, None, 2)] * d)]
    torch.testing.assert_close(sampled, fields[0], rtol=0, atol=1e-12)


def test_a_finer_grid_only_adds_modes():
    n = 17
    coarse, fine = (
        GaussianRandomField((m, m), 3.0, 2.0).sample(2, generator=_seeded(1), dtype=torch.float64)
        for m in (n, 4 * n - 3)
    )
    _, cosines = zip(*_eigenfunctions(4 * n - 3, "neumann"), strict=True)
    weights = torch.ones(4 * n - 3, dtype=torch.float64)
    weights[0] = weights[-1] = 0.5
    low = torch.stack(cosines[:n]) * weights / (4 * n - 4)
    projected = low @ fine @ low.T
    shown = torch.stack([values for _, values in _eigenfunctions(n, "neumann")])
    torch.testing.assert_close(shown.T @ projected @ shown, coarse, rtol=0, atol=1e-12)


def test_boxes_share_the_modes_of_a_cube():
    square, wide = (
        GaussianRandomField(shape, 3.0, 2.0, modes=9).sample(2, generator=_seeded(2), dtype=torch.float64)
        for shape in ((9, 9), (9, 33))
    )
    torch.testing.assert_close(wide[:, :, ::4], square, rtol=0, atol=1e-12)
    for shape in ((5, 12), (12, 5), (3, 4, 7)):
        assert GaussianRandomField(shape, 3.0, 2.0).sample(2).isfinite().all()


def test_boundary_conditions_hold():
    smooth = {"tau": 3.0, "alpha": 4.0, "modes": 6}
    n = 401
    zero = GaussianRandomField((n,), boundary="dirichlet", **smooth).sample(5, dtype=torch.float64)
    assert (zero[:, [0, -1]] == 0).all()
    flat = GaussianRandomField((n,), boundary="neumann", **smooth).sample(5, dtype=torch.float64)
    slopes = flat.diff(dim=1).abs() * (n - 1)
    assert (slopes[:, [0, -1]].amax(1) < 0.05 * slopes.amax(1)).all()
    wrapped = GaussianRandomField((n,), boundary="periodic", **smooth).sample(5, dtype=torch.float64)
    seam = (wrapped[:, 0] - wrapped[:, -1]).abs()
    assert (seam <= 1.01 * wrapped.diff(dim=1).abs().amax(1)).all()


def test_without_the_constant_mode_the_mean_is_zero():
    field = GaussianRandomField((16, 15), 7.0, 2.5, boundary="periodic", zero_mean=True).sample(3, dtype=torch.float64)
    assert field.mean((1, 2)).abs().max() < 1e-14


def test_a_seed_gives_the_same_field_in_both_precisions():
    field = GaussianRandomField((12, 12), 3.0, 2.0)
    double = field.sample(2, generator=_seeded(), dtype=torch.float64)
    single = field.sample(2, generator=_seeded())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, double.float(), rtol=0, atol=0)


def test_tau_may_be_zero_where_no_mode_is_constant():
    for boundary, zero_mean in (("dirichlet", False), ("neumann", True)):
        field = GaussianRandomField((9, 9), 0.0, 2.0, 1.0, boundary, zero_mean)
        assert field.sample(2, generator=_seeded()).isfinite().all()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"shape": ()}, "shape must be one to three"),
        ({"shape": (8, 1)}, "shape must be one to three extents of at least 2"),
        ({"shape": (8, 2), "boundary": "dirichlet"}, "at least 3"),
        ({"tau": -1.0}, "tau must be finite"),
        ({"tau": 0.0}, "tau must be positive unless"),
        ({"alpha": 0.0}, "alpha must be positive"),
        ({"sigma": math.nan}, "sigma must be positive"),
        ({"boundary": "open"}, "boundary must be"),
        ({"modes": 0}, "modes must be positive"),
    ],
)
def test_bad_input_is_refused(changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        GaussianRandomField(**{"shape": (8, 8), "tau": 3.0, "alpha": 2.0, **changed})


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="batch must be positive"):
        GaussianRandomField((8,), 3.0, 2.0).sample(0)
