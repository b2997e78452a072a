import json

import pytest
import torch
from torch.nn import functional

from fastsciml.operators import MgNO
from fastsciml.operators.presets import PRESETS


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_papers_count():
    assert round(count(MgNO.preset("darcy-rough")) / 1e6, 2) == 0.57


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
@pytest.mark.parametrize(("dims", "shape"), [(1, (33,)), (2, (17, 30)), (3, (8, 9, 10))])
def test_every_parameter_learns_on_any_grid(dims, shape, boundary):
    model = MgNO(2, 3, width=4, layers=2, levels=3, post=1, dims=dims, boundary=boundary, use_residual=True)
    y = model(torch.randn(2, 2, *shape))
    assert y.shape == (2, 3, *shape)
    y.square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().max() > 0 for p in model.parameters())


@pytest.mark.parametrize("transfers", ["boundary", "zeros", "inner"])
@pytest.mark.parametrize(("dims", "shape"), [(1, (33,)), (2, (18, 35)), (3, (17, 18, 19))])
def test_every_variant_learns_on_any_grid(dims, shape, transfers):
    variant = {"growing": True, "bias": True, "norm": ["layer", None], "end": "cycle", "add_input": True}
    model = MgNO(2, 2, width=3, layers=2, levels=3, boundary="neumann", transfers=transfers, dims=dims, **variant)
    y = model(torch.randn(2, 2, *shape))
    assert y.shape == (2, 2, *shape)
    y.square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().max() > 0 for p in model.parameters())


@pytest.mark.parametrize("name", PRESETS)
def test_settings_make_the_model_again(name):
    model = MgNO.preset(name, width=4, activation="silu", checkpoint=True)
    settings = json.loads(json.dumps(model.settings()))
    again = MgNO(**settings)
    again.load_state_dict(model.state_dict())
    assert again.settings() == settings
    x = torch.randn(1, 1, 64, 65)
    torch.testing.assert_close(again(x), model(x))


@pytest.mark.parametrize(
    ("activation", "function"),
    [("gelu", functional.gelu), ("relu", functional.relu), ("silu", functional.silu), ("tanh", torch.tanh)],
)
def test_layers_end_with_the_activation(activation, function):
    model = MgNO(width=4, layers=1, levels=2, activation=activation)
    x = torch.randn(2, 1, 9, 8)
    torch.testing.assert_close(model(x), model.end(function(model.cycles[0](x) + model.pointwise[0](x))))


def test_other_grids_than_in_training_are_taken():
    model = MgNO(width=4, levels=3)
    assert [tuple(model(torch.randn(1, 1, n, n)).shape[2:]) for n in (16, 31, 64)] == [(16, 16), (31, 31), (64, 64)]


def test_periodic_models_commute_with_shifts_of_the_coarsest_grid():
    model = MgNO(width=4, levels=3, boundary="periodic").double()
    x = torch.randn(1, 1, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(model(x.roll((4, 8), (2, 3))), model(x).roll((4, 8), (2, 3)))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"width": 0}, "width must be positive"),
        ({"layers": 0}, "layers must be positive"),
        ({"in_channels": 0}, "in_channels must be positive"),
        ({"end": "other"}, "end must be one of pointwise, cycle"),
        ({"in_channels": 2, "add_input": True}, "as many channels out as in, got 1 and 2"),
        ({"dims": 4}, "dims must be 1, 2 or 3"),
        ({"activation": "other"}, "activation must be one of"),
        ({"boundary": "other"}, "boundary must be one of"),
        ({"pre": [1, 1]}, "pre must be one number, or one for each of the 6 levels"),
        ({"pre": 0}, "pre must be positive on the finest level"),
    ],
)
def test_settings_that_do_not_fit_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        MgNO(**arguments)


def test_unknown_preset_is_refused():
    with pytest.raises(ValueError, match="name must be one of darcy-smooth"):
        MgNO.preset("other")
