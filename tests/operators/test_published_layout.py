import json

import pytest
import torch
from published_mgno import GRIDS, PUBLISHED, Darcy, randomised

from fastsciml.operators import MgNO
from fastsciml.operators.published_layout import from_published, to_published


def pair(name):
    """The published model, and ours for its parameters."""
    grid = (GRIDS[name],) * 2
    make, changes = PUBLISHED[name]
    norm_grid = {"grid": grid} if name in ("navier-stokes", "helmholtz") else {}
    return randomised(make(grid)), MgNO.preset(name, **changes, **norm_grid), grid


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_are_the_published_models(name):
    published, model, grid = pair(name)
    unread = [v for k, v in published.state_dict().items() if name == "helmholtz" and ".layer0.0.A" in k]
    count = sum(p.numel() for p in published.parameters()) - sum(p.numel() for p in unread)
    assert sum(p.numel() for p in model.parameters()) == count
    model.load_state_dict(from_published(published.state_dict(), json.loads(json.dumps(model.settings()))))
    x = torch.randn(2, 1, *grid)
    with torch.no_grad():
        torch.testing.assert_close(model(x), published(x))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_load_ours(name):
    published, model, grid = pair(name)
    state = to_published(randomised(model).state_dict(), model.settings())
    published.load_state_dict(state)
    x = torch.randn(2, 1, *grid)
    with torch.no_grad():
        torch.testing.assert_close(published(x), model(x))
    back = from_published(state, model.settings())
    assert back.keys() == model.state_dict().keys()
    assert all(torch.equal(back[key], value) for key, value in model.state_dict().items())


def test_iterations_on_the_way_up():
    published = Darcy(3, 2, [(1, 1), (2, 2), (2, 0)], [4, 4], in_channels=2)
    model = MgNO(2, width=3, layers=2, levels=3, pre=[1, 2, 2], post=[1, 2, 0])
    model.load_state_dict(from_published(published.state_dict(), model.settings()))
    x = torch.randn(2, 2, 8, 12)
    torch.testing.assert_close(model(x), published(x))


def test_a_normaliser_is_left_out():
    model = MgNO(width=2, layers=1, levels=2)
    state = to_published(model.state_dict(), model.settings()) | {"normalizer.mean": torch.zeros(4, 4)}
    assert from_published(state, model.settings()).keys() == model.state_dict().keys()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"linear.weight": None}, "must not miss linear.weight"),
        ({"conv_list.0.RTlayers.0.weight": None}, "must not miss conv_list.0.RTlayers.0.weight"),
        ({"conv_list.1.layer0.0.S.weight": torch.ones(1)}, "unexpected conv_list.1.layer0.0.S.weight"),
        ({"linear_list.0.bias": torch.ones(3)}, r"linear_list.0.bias of shape \(2,\), got \(3,\)"),
    ],
)
def test_faults_of_a_published_state_are_named(change, sentence):
    model = MgNO(width=2, layers=1, levels=2)
    state = to_published(model.state_dict(), model.settings()) | change
    state = {name: value for name, value in state.items() if value is not None}
    with pytest.raises(ValueError, match=sentence):
        from_published(state, model.settings())


def test_faults_of_our_state_are_named():
    model = MgNO(width=2, layers=1, levels=2)
    state = model.state_dict()
    del state["pointwise.0.bias"]
    with pytest.raises(ValueError, match=r"must not miss pointwise\.0\.bias"):
        to_published(state, model.settings())


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (MgNO(width=2, layers=1, levels=2, norm="layer"), "published model in pointwise, end"),
        (MgNO(width=2, layers=1, levels=2, dims=1), "must have dims 2"),
        (MgNO.preset("navier-stokes", boundary="neumann"), 'must have boundary "periodic"'),
        (MgNO.preset("navier-stokes", transfers="zeros"), "must have the grid"),
        (MgNO.preset("navier-stokes", grid=(16, 16)), 'transfers "zeros"'),
        (MgNO.preset("helmholtz", grid=(37, 37)), 'transfers "inner"'),
        (MgNO(width=2, layers=1, levels=2, transfers="inner"), 'transfers "zeros"'),
    ],
)
def test_settings_that_were_not_published_are_refused(model, sentence):
    with pytest.raises(ValueError, match=sentence):
        to_published(model.state_dict(), model.settings())
