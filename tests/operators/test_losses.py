import math

import numpy as np
import pytest
import torch

from fastsciml.operators import RelativeH1, RelativeL2

GRIDS = [(9,), (7, 5), (4, 5, 6)]


def pairs(grid, batch=3, channels=2):
    return torch.randn(2, batch, channels, *grid, dtype=torch.float64)


def norms(v, slopes):
    """H1 norms by numpy: `slopes` are the derivatives of one channel along every axis."""
    squares = [sum((channel**2).sum() + sum((s**2).sum() for s in slopes(channel)) for channel in v_i) for v_i in v]
    return np.sqrt(squares)


@pytest.mark.parametrize("grid", GRIDS)
def test_l2_is_the_mean_of_ratios_of_norms(grid):
    found, y = pairs(grid)
    ratios = [(p - t).norm() / t.norm() for p, t in zip(found, y, strict=True)]
    torch.testing.assert_close(RelativeL2()(found, y), torch.stack(ratios).mean())
    torch.testing.assert_close(RelativeL2().per_sample(found, y), torch.stack(ratios))


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("sides", [(1.0,) * 3, (2 * math.pi,) * 3, (0.5, 1.0, 2.0)])
def test_h1_has_numpys_slopes(grid, sides):
    found, y = pairs(grid)
    sides = sides[: len(grid)]
    spacing = [side / (n - 1) for side, n in zip(sides, grid, strict=True)]

    def slopes(v):
        return [np.gradient(v, h, axis=axis) for axis, h in enumerate(spacing)]

    ratios = norms((found - y).numpy(), slopes) / norms(y.numpy(), slopes)
    torch.testing.assert_close(
        RelativeH1(sides[0] if len(set(sides)) == 1 else sides).per_sample(found, y), torch.from_numpy(ratios)
    )


@pytest.mark.parametrize("grid", GRIDS)
def test_periodic_h1_has_central_differences_across_the_edges(grid):
    found, y = pairs(grid)

    def slopes(v):
        return [(np.roll(v, -1, i) - np.roll(v, 1, i)) * n / (2 * 3.0) for i, n in enumerate(grid)]

    ratios = norms((found - y).numpy(), slopes) / norms(y.numpy(), slopes)
    torch.testing.assert_close(RelativeH1(3.0, periodic=True).per_sample(found, y), torch.from_numpy(ratios))


def test_error_of_a_wave_on_a_square_of_2_pi_is_that_of_calculus():
    ticks = torch.arange(256, dtype=torch.float64) * 2 * math.pi / 256
    wave = {k: torch.sin(k * ticks).expand(1, 1, 256, 256) for k in (1, 5)}
    found = wave[1] + 0.1 * wave[5]
    loss = RelativeH1(periodic=True)(found, wave[1])
    assert float(loss) == pytest.approx(0.1 * math.sqrt(26 / 2), rel=5e-3)


@pytest.mark.parametrize("loss", [RelativeL2(), RelativeH1(), RelativeH1(periodic=True)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_neither_overflows_nor_loses_digits(loss, dtype):
    y = (1000 * torch.randn(4, 1, 33, 33)).to(dtype)
    found = y + (10 * torch.randn(4, 1, 33, 33)).to(dtype)
    exact = loss(found.double(), y.double())
    assert loss(found, y).dtype == torch.float32
    torch.testing.assert_close(loss(found, y).double(), exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("loss", [RelativeL2(), RelativeH1(), RelativeH1(periodic=True)])
def test_gradient_is_the_loss_own(loss):
    found, y = pairs((4, 5), batch=2, channels=1)
    assert torch.autograd.gradcheck(loss, (found.requires_grad_(), y))


@pytest.mark.parametrize("loss", [RelativeL2(), RelativeH1()])
def test_called_as_neuraloperator_calls_losses(loss):
    found, y = pairs((6, 6))
    assert loss(y_pred=found, y=y, x=y, sample_index=3) == loss(found, y)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: RelativeL2()(torch.ones(2, 1, 4), torch.ones(2, 1, 5)), "y_pred and y must both be"),
        (lambda: RelativeL2()(torch.ones(2, 4), torch.ones(2, 4)), "y_pred and y must both be"),
        (lambda: RelativeH1()(torch.ones(2, 1, 1, 4), torch.ones(2, 1, 1, 4)), "at least 2 points"),
        (lambda: RelativeH1((1.0,))(torch.ones(2, 1, 4, 4), torch.ones(2, 1, 4, 4)), "one for each of 2 axes"),
        (lambda: RelativeH1(0.0), "side must be positive"),
        (lambda: RelativeH1((1.0, -1.0)), "side must be positive"),
    ],
)
def test_what_does_not_fit_is_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
