import pytest
import torch
from torch import nn

from fastsciml.nn import EvoNormB0, EvoNormS0, convert_norm_activation


class Block(nn.Module):
    """A residual block as torchvision writes it: one ReLU module for both places."""

    def __init__(self, channels, activation):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = activation
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + x)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(8, eps=1e-3), nn.BatchNorm2d(8)

    def forward(self, x):
        return nn.functional.relu(self.bn1(x)) + self.bn2(x).relu() * torch.relu(x)


def resnet(activation=None):
    stem = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, momentum=0.3), nn.SiLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*stem, Block(8, activation or nn.ReLU(inplace=True)), nn.Flatten(), nn.LazyLinear(5))


@pytest.mark.parametrize("layer", ["evonorm_b0", "evonorm_b1", "evonorm_b2", "evonorm_s0", "evonorm_s1", "evonorm_s2"])
def test_pairs_of_a_residual_network_are_replaced(layer):
    model, x = resnet(), torch.randn(4, 3, 12, 12)
    model(x)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    options = {"groups": 2} if layer[8] == "s" else {}
    converted = convert_norm_activation(model, layer, **options)
    kinds = {name: type(module).__name__ for name, module in converted.named_modules()}
    expected = "EvoNorm" + layer[-2:].upper()
    assert kinds["1"] == kinds["4.bn1"] == expected
    assert kinds["4.bn2"] == "BatchNorm2d"
    assert "2" not in kinds
    assert sum(kind in ("ReLU", "SiLU") for kind in kinds.values()) == 1
    converted(x).square().sum().backward()
    assert converted.get_parameter("4.bn1.weight").grad.isfinite().all()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
        if name.endswith("conv1.weight"):
            assert torch.equal(converted.state_dict()[name], value)


def test_weights_running_variance_and_options_are_taken_over():
    model = resnet()
    nn.init.uniform_(model[1].weight)
    model(torch.randn(4, 3, 12, 12))
    converted = convert_norm_activation(model.eval(), "evonorm_b0")
    layer = converted.get_submodule("1")
    assert isinstance(layer, EvoNormB0)
    assert torch.equal(layer.weight, model[1].weight)
    assert torch.equal(layer.running_var, model[1].running_var)
    assert (layer.momentum, layer.eps, layer.training) == (0.3, 1e-5, False)


def test_functional_activations_count():
    converted = convert_norm_activation(Functional(), "evonorm_s0", groups=4)
    assert isinstance(converted.bn1, EvoNormS0)
    assert isinstance(converted.bn2, EvoNormS0)
    assert converted.bn1.eps == 1e-3
    x = torch.randn(2, 8, 3, 3)
    torch.testing.assert_close(converted(x), converted.bn1(x) + converted.bn2(x) * x.relu())


def test_other_activations_stay():
    model = nn.Sequential(nn.BatchNorm2d(8), nn.Tanh())
    kinds = [type(module) for module in convert_norm_activation(model, "evonorm_b0").children()]
    assert kinds == [nn.BatchNorm2d, nn.Tanh]


def test_errors():
    with pytest.raises(ValueError, match="layer must be one of evonorm_b0"):
        convert_norm_activation(resnet(), "evonorm_x0")
    with pytest.raises(ValueError, match="8 channels cannot be divided into 32 groups"):
        convert_norm_activation(resnet(), "evonorm_s0")
