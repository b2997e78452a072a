import pytest
import torch

from fastsciml.data import OperatorData
from fastsciml.operators import MgNO
from fastsciml.operators.models import MODELS, ModelDescription

SMALL = {"width": 4, "layers": 2, "levels": 3}


class TellingModel(MgNO):
    """One that tells its arguments and checkpoints its layers itself."""

    def __init__(self, in_channels=1, out_channels=1, *, checkpoint=False, **arguments):
        super().__init__(in_channels, out_channels, **arguments)
        self.checkpoint = checkpoint
        self.told = {"in_channels": in_channels, "out_channels": out_channels, "checkpoint": checkpoint, **arguments}

    def settings(self):
        return self.told


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_channels_and_axes_are_those_of_data():
    data = OperatorData(torch.ones(2, 3, 16), torch.ones(2, 5, 16))
    model = ModelDescription.for_data("mgno", "darcy-rough", SMALL, data).build()
    assert model(data.x).shape == data.y.shape


def test_first_weights_depend_on_the_seed_alone():
    description = ModelDescription("mgno", "darcy-rough", SMALL)
    torch.manual_seed(5)
    one = description.build(1)
    torch.manual_seed(6)
    assert weights(one).equal(weights(description.build(1)))
    assert not weights(one).equal(weights(description.build(2)))


def test_model_that_tells_its_settings_is_described_without_its_preset(monkeypatch):
    description = ModelDescription("telling", "darcy-rough", SMALL)
    monkeypatch.setitem(MODELS, "telling", TellingModel)
    monkeypatch.setattr("fastsciml.operators.mgno.PRESETS", {"darcy-rough": {"activation": "tanh"}})
    model = description.build(checkpoint_gradients=True)
    assert model.checkpoint
    told = description.of(model)
    assert told == ModelDescription(
        "telling", None, {"in_channels": 1, "out_channels": 1, "activation": "tanh", **SMALL}
    )
    monkeypatch.setattr("fastsciml.operators.mgno.PRESETS", {})
    x = torch.randn(1, 1, 8, 8)
    assert told.build()(x).equal(model(x))


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        (ModelDescription("other", None, {}), "model must be one of mgno, got 'other'"),
        (ModelDescription("mgno", "other", {}), "name must be one of darcy-smooth"),
        (ModelDescription("mgno", None, {"deepness": 1}), "MgNO has no deepness"),
    ],
)
def test_unknown_names_are_refused(description, sentence):
    with pytest.raises(ValueError, match=sentence):
        description.build()
