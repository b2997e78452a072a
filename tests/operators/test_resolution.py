import math

import pytest
import torch
from torch import nn

from fastsciml.operators import MgNO
from fastsciml.operators.resolution import AtTrainingResolution

# What goes to zero, has no slope, or comes back at the boundary.
WAVES = {"dirichlet": lambda t: (math.pi * t).sin(), "neumann": lambda t: (math.pi * t).cos()}
WAVES["periodic"] = lambda t: (2 * math.pi * t + 0.3).sin()


def positions(n, points, boundary):
    i = torch.arange(n, dtype=torch.float64)
    if boundary == "periodic":
        return i / n
    return (i + 0.5) / n if points == "cells" else i / (n - 1)


def wave(grid, points, boundary):
    out = torch.ones(1, 1, *[1] * len(grid), dtype=torch.float64)
    for axis, n in enumerate(grid):
        values = WAVES[boundary](positions(n, points, boundary))
        out = out * values.view(-1, *[1] * (len(grid) - axis - 1))
    return out


class Given(nn.Module):
    """A model with one answer."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x):
        assert x.shape[2:] == self.answer.shape[2:]
        return self.answer


@pytest.mark.parametrize("boundary", WAVES)
@pytest.mark.parametrize("points", ["vertices", "cells"])
@pytest.mark.parametrize(("extents", "grid"), [((12,), (40,)), ((12, 13), (23, 9)), ((10, 11, 12), (12, 21, 12))])
def test_waves_are_interpolated_to_fourth_order(extents, grid, points, boundary):
    answer = wave(extents, points, boundary)
    model = AtTrainingResolution(Given(answer), extents, points=points, boundary=boundary)
    error = (model(torch.zeros(1, 1, *grid).double()) - wave(grid, points, boundary)).abs().max()
    assert error < 4e-3 if boundary == "periodic" else error < 4e-4


@pytest.mark.parametrize("boundary", WAVES)
def test_points_that_meet_keep_their_values(boundary):
    model = MgNO(width=4, levels=3, boundary=boundary).double()
    coarse, fine, step = ((9, 8), (18, 24), (2, 3)) if boundary == "periodic" else ((9, 9), (17, 25), (2, 3))
    x = torch.randn(2, 1, *fine, dtype=torch.float64)
    sampled = (..., slice(None, None, step[0]), slice(None, None, step[1]))
    y = AtTrainingResolution(model, coarse, boundary=boundary)(x)
    torch.testing.assert_close(y[sampled], model(x[sampled]))


def test_the_training_grid_is_left_alone():
    model, x = MgNO(width=4, levels=3), torch.randn(2, 1, 9, 12)
    assert torch.equal(AtTrainingResolution(model, (9, 12), average=True)(x), model(x))


class Squares(nn.Module):
    def forward(self, x):
        return x.square()


def test_cells_are_averaged_over_the_two_beside_them():
    x = torch.randn(1, 1, 8, dtype=torch.float64)
    expected = AtTrainingResolution(Given(x.square().unfold(2, 2, 2).mean(3)), (4,), points="cells")(x)
    actual = AtTrainingResolution(Squares(), (4,), points="cells", average=True)(x)
    torch.testing.assert_close(actual, expected)


def test_vertices_are_averaged_over_their_neighbours():
    x = torch.randn(1, 1, 8, dtype=torch.float64)
    weights = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)
    means = sum(w * x.square().roll(1 - i, 2)[..., ::2] for i, w in enumerate(weights))
    expected = AtTrainingResolution(Given(means), (4,), boundary="periodic")(x)
    torch.testing.assert_close(AtTrainingResolution(Squares(), (4,), boundary="periodic", average=True)(x), expected)


@pytest.mark.parametrize("points", ["vertices", "cells"])
@pytest.mark.parametrize("grid", [(21, 25), (24, 9)])
def test_weights_of_averages_sum_to_one(grid, points):
    model = AtTrainingResolution(nn.Identity(), (11, 13), points=points, boundary="neumann", average=True)
    torch.testing.assert_close(model(torch.ones(1, 2, *grid)), torch.ones(1, 2, *grid))


@pytest.mark.parametrize("average", [False, True])
def test_gradients_reach_input_and_parameters(average):
    model = AtTrainingResolution(MgNO(width=4, levels=2), (7, 7), average=average)
    x = torch.randn(1, 1, 13, 10, requires_grad=True)
    model(x).square().sum().backward()
    assert x.grad.isfinite().all()
    assert all(p.grad.abs().max() > 0 for p in model.parameters())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"extents": (1, 4)}, "extents must be 1 to 3 numbers of at least 2"),
        ({"points": "other"}, "points must be one of vertices, cells"),
        ({"boundary": "other"}, "boundary must be one of dirichlet"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        AtTrainingResolution(nn.Identity(), **{"extents": (4, 4), **arguments})


@pytest.mark.parametrize("shape", [(1, 1, 8), (1, 1, 1, 8)])
def test_other_axes_are_refused(shape):
    with pytest.raises(ValueError, match="x must have 2 axes of at least 2 points"):
        AtTrainingResolution(nn.Identity(), (4, 4))(torch.zeros(shape))
