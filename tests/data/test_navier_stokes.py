import math

import pytest
import torch

from fastsciml.data import GaussianRandomField, NavierStokes, solve_navier_stokes


def _seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def _points(n):
    ticks = torch.arange(n, dtype=torch.float64) / n
    return torch.meshgrid(ticks, ticks, indexing="ij")


def _swirls(n, batch=2, modes=9):
    """Random vorticity of a few low modes, with speeds of about one."""
    field = GaussianRandomField((n, n), 7.0, 2.5, 400.0, "periodic", zero_mean=True, modes=modes)
    return field.sample(batch, generator=_seeded(), dtype=torch.float64)


def _energy(w):
    n = w.shape[-1]
    number = 2 * math.pi * torch.fft.fftfreq(n, 1 / n, dtype=torch.float64)
    squares = number[:, None] ** 2 + number**2
    squares[0, 0] = math.inf
    return (torch.fft.fft2(w).abs() ** 2 / squares).sum((-1, -2))


def test_taylor_green_vortices_decay_as_they_should():
    x, y = _points(24)
    start = torch.stack([torch.sin(2 * math.pi * k * x) * torch.sin(2 * math.pi * k * y) for k in (1, 3)])
    found = solve_navier_stokes(start, None, 0.02, time=0.5, records=5, step=1e-3)
    for record in range(5):
        for sample, k in enumerate((1, 3)):
            expected = start[sample] * math.exp(-0.02 * 8 * math.pi**2 * k**2 * 0.1 * (record + 1))
            assert (found[sample, record] - expected).abs().max() < 2e-4 * expected.abs().max()


def test_one_step_is_the_equation():
    n, viscosity = 32, 0.01
    w = _swirls(n)
    x, y = _points(n)
    f = torch.sin(2 * math.pi * (x + y))
    number = 2 * math.pi * torch.fft.fftfreq(n, 1 / n, dtype=torch.float64)
    k, l = number[:, None], number[None]
    squares = k**2 + l**2
    modes = torch.fft.fft2(w)
    psi = modes / squares.clamp(min=1.0)

    def real(spectrum):
        return torch.fft.ifft2(spectrum).real

    expected = -real(1j * l * psi) * real(1j * k * modes) + real(1j * k * psi) * real(1j * l * modes)
    expected += f - viscosity * real(squares * modes)
    # The curl of that velocity is w.
    torch.testing.assert_close(real(1j * k * -1j * k * psi) - real(1j * l * 1j * l * psi), w, rtol=0, atol=1e-10)
    step = 1e-7
    found = (solve_navier_stokes(w, f, viscosity, time=step, step=step)[:, 0] - w) / step
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


def test_halving_the_step_quarters_the_error():
    w = _swirls(24)
    x, _ = _points(24)
    results = [
        solve_navier_stokes(w, torch.cos(2 * math.pi * x), 0.01, time=0.4, step=step) for step in (0.01, 0.005, 0.0025)
    ]
    ratio = (results[0] - results[1]).norm() / (results[1] - results[2]).norm()
    assert 3.6 < ratio < 4.4


def test_the_mean_stays():
    w = _swirls(16) + torch.tensor([0.7, -2.0], dtype=torch.float64)[:, None, None]
    found = solve_navier_stokes(w, None, 1e-3, time=0.5, records=2, step=0.01)
    torch.testing.assert_close(found.mean((2, 3)), w.mean((1, 2))[:, None].expand(2, 2), rtol=0, atol=1e-13)


def test_without_viscosity_energy_and_enstrophy_stay():
    w = _swirls(32, modes=7)
    found = solve_navier_stokes(w, None, 0.0, time=0.3, step=5e-4)[:, 0]
    assert (found - w).norm() > 0.2 * w.norm()
    torch.testing.assert_close(_energy(found), _energy(w), rtol=1e-6, atol=0)
    torch.testing.assert_close((found**2).sum((1, 2)), (w**2).sum((1, 2)), rtol=1e-6, atol=0)


def test_products_have_no_aliases():
    n, step = 24, 1e-6
    coarse, fine = _swirls(n, modes=15), _swirls(2 * n, modes=15)
    torch.testing.assert_close(fine[:, ::2, ::2], coarse, rtol=0, atol=1e-10)
    slopes = [
        torch.fft.rfft2((solve_navier_stokes(w, None, 0.0, time=step, step=step)[:, 0] - w) / step, norm="forward")
        for w in (coarse, fine)
    ]
    low = 8
    for rows in (slice(0, low), slice(1 - low, None)):
        a, b = (slope[:, rows, :low] for slope in slopes)
        assert (a - b).abs().max() < 1e-4 * b.abs().max()
    assert slopes[0][:, low : 1 - low].abs().max() < 1e-7
    assert slopes[0][:, :, low:].abs().max() < 1e-7


def test_records_are_those_of_shorter_runs():
    w = _swirls(16)
    whole = solve_navier_stokes(w, None, 1e-3, time=0.3, records=3, step=0.03)
    first = solve_navier_stokes(w, None, 1e-3, time=0.2, records=2, step=0.03)
    torch.testing.assert_close(whole[:, :2], first, rtol=0, atol=1e-10)


def test_samples_do_not_depend_on_their_neighbours():
    w = _swirls(16, batch=3)
    together = solve_navier_stokes(w, None, 1e-3, time=0.1, step=0.02)
    alone = solve_navier_stokes(w[1:2], None, 1e-3, time=0.1, step=0.02)
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-11)


def test_a_finer_solve_is_thinned():
    flow = NavierStokes(16, 1e-3, time=0.2, records=2, step=0.02, refine=2)
    data = flow.sample(2, generator=_seeded(), dtype=torch.float64)
    fine = NavierStokes(32, 1e-3, time=0.2, records=2, step=0.02).sample(2, generator=_seeded(), dtype=torch.float64)
    assert torch.equal(data.x, fine.x[..., ::2, ::2])
    assert torch.equal(data.y, fine.y[..., ::2, ::2])
    assert data.about["name"] == "navier_stokes"
    assert flow.sample(1).y.dtype == torch.float32


def test_forcing_drives_a_flow_at_rest():
    x, y = _points(16)
    f = 0.1 * (torch.sin(2 * math.pi * (x + y)) + torch.cos(2 * math.pi * (x + y)))
    found = solve_navier_stokes(torch.zeros(1, 16, 16, dtype=torch.float64), f, 0.0, time=0.5, step=0.05)
    torch.testing.assert_close(found[0, 0], 0.5 * f, rtol=0, atol=1e-12)


def test_single_precision_is_close():
    w = _swirls(16)
    double = solve_navier_stokes(w, None, 1e-3, time=0.1, step=0.01)
    single = solve_navier_stokes(w.float(), None, 1e-3, time=0.1, step=0.01)
    assert single.dtype == torch.float32
    assert (single - double).norm() < 1e-5 * double.norm()


def test_a_flow_that_blows_up_is_told():
    with pytest.raises(RuntimeError, match=r"blew up before time 40: step, 0.5, is too long"):
        solve_navier_stokes(20 * _swirls(16), None, 0.0, time=40.0, step=0.5)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"resolution": 3}, "resolution must be at least 4"),
        ({"viscosity": -1.0}, "viscosity must be finite"),
        ({"forcing": math.inf}, "forcing must be finite"),
        ({"time": 0.0}, "time must be positive"),
        ({"records": 0}, "records must be positive"),
        ({"step": math.nan}, "step must be positive"),
        ({"refine": 0}, "refine must be positive"),
    ],
)
def test_bad_input_is_refused(changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        NavierStokes(**changed)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="start must be"):
        solve_navier_stokes(torch.ones(4, 4), None, 0.1, time=1.0)
    with pytest.raises(ValueError, match="start must be"):
        solve_navier_stokes(torch.ones(1, 4, 4).int(), None, 0.1, time=1.0)
    with pytest.raises(ValueError, match="forcing must have"):
        solve_navier_stokes(torch.ones(1, 4, 4), torch.ones(4), 0.1, time=1.0)
    with pytest.raises(ValueError, match="viscosity must be"):
        solve_navier_stokes(torch.ones(1, 4, 4), None, -0.1, time=1.0)
