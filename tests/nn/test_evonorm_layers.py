import importlib
import math
import sys
import types
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

from fastsciml.nn import EvoNormB0, EvoNormB1, EvoNormB2, EvoNormS0, EvoNormS1, EvoNormS2

WITH_BATCH = [EvoNormB0, EvoNormB1, EvoNormB2]
WITH_GROUPS = [EvoNormS0, EvoNormS1, EvoNormS2]
LAYERS = WITH_BATCH + WITH_GROUPS


def make(layer, channels=4, **options):
    return layer(channels, **({"groups": 2} if layer in WITH_GROUPS else {}), **options)


@pytest.mark.parametrize("layer", LAYERS)
def test_starts_with_the_papers_values(layer):
    names = {"weight", "bias"} | ({"v"} if layer in (EvoNormB0, EvoNormS0) else set())
    made = make(layer)
    assert {name: float(p.detach().mean()) for name, p in made.named_parameters()} == {
        name: float(name != "bias") for name in names
    }
    assert ("running_var" in made.state_dict()) == (layer in WITH_BATCH)
    assert not [name for name, _ in make(layer, affine=False).named_parameters() if name != "v"]
    assert make(layer, dtype=torch.float64).weight.dtype == torch.float64


@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 7), (2, 4, 5, 6), (2, 4, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("layer", LAYERS)
def test_trains_on_every_number_of_dimensions(layer, affine, shape):
    made, x = make(layer, affine=affine), torch.randn(shape).requires_grad_()
    y = made(x)
    y.square().sum().backward()
    assert y.shape == x.shape
    assert all(t.grad.isfinite().all() for t in (x, *made.parameters()))


@pytest.mark.parametrize("layer", LAYERS)
def test_without_the_nonlinearity_is_affine(layer):
    made, x = make(layer, nonlinear=False), torch.randn(2, 4, 5)
    with torch.no_grad():
        made.weight.copy_(torch.arange(4.0))
        made.bias.fill_(3.0)
    torch.testing.assert_close(made(x), x * torch.arange(4.0)[:, None] + 3)
    assert made.v is None


@pytest.mark.parametrize("momentum", [0.1, 0.25, None])
@pytest.mark.parametrize("layer", WITH_BATCH)
def test_the_running_variance_is_that_of_batch_norm(layer, momentum):
    made, norm = make(layer, momentum=momentum), nn.BatchNorm2d(4, momentum=momentum)
    for size in (2, 3, 5):
        x = torch.randn(size, 4, 5, 6) * size
        made(x)
        norm(x)
    torch.testing.assert_close(made.running_var, norm.running_var)
    assert made.num_batches_tracked == 3
    made.reset_running_stats()
    assert made.running_var.eq(1).all()


@pytest.mark.parametrize("layer", WITH_BATCH)
def test_evaluation_uses_the_running_variance_and_leaves_it(layer):
    made = make(layer).eval()
    made.running_var.copy_(torch.tensor([0.5, 1.0, 2.0, 4.0]))
    x = torch.randn(6, 4, 5, 5)
    torch.testing.assert_close(made(x)[:2], made(x[:2]))
    assert made.running_var.tolist() == [0.5, 1.0, 2.0, 4.0]
    assert made(torch.randn(1, 4)).shape == (1, 4)


def test_errors_say_what_does_not_fit():
    with pytest.raises(ValueError, match="6 channels cannot be divided into 4 groups"):
        EvoNormS0(6, groups=4)
    with pytest.raises(ValueError, match="num_features must be positive"):
        EvoNormB0(0)
    with pytest.raises(ValueError, match="for x with 6 channels"):
        EvoNormB0(4)(torch.randn(2, 6, 3))
    with pytest.raises(ValueError, match="more than one element per channel"):
        EvoNormB1(4)(torch.randn(1, 4))


@pytest.mark.parametrize("layer", LAYERS)
def test_compiles_whole_in_training(layer):
    torch.manual_seed(3)
    plain, x = make(layer), torch.randn(4, 4, 6, 6)
    other = make(layer)
    compiled = torch.compile(other, fullgraph=True, backend="aot_eager")
    plain(x).square().sum().backward()
    compiled(x).square().sum().backward()
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(dict(other.named_parameters())[name].grad, parameter.grad)
    for name, buffer in plain.named_buffers():
        torch.testing.assert_close(dict(other.named_buffers())[name], buffer)


@pytest.mark.parametrize("layer", LAYERS)
def test_keeps_the_dtype_that_autocast_gives_it(layer):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), make(layer))
    with torch.autocast("cpu", torch.bfloat16):
        y = model(torch.randn(2, 3, 8, 8))
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in model.parameters())


def timms(name):
    """A layer of timm's, whose package itself asks for torchvision, which these layers do not use."""
    spec = find_spec("timm")
    if spec is None:
        pytest.skip("NO timm: its layers are not compared")
    root = Path(spec.origin).parent
    saved = {key: module for key, module in sys.modules.items() if key.split(".")[0] == "timm"}
    try:
        for package, folder in (("timm", root), ("timm.layers", root / "layers")):
            module = types.ModuleType(package)
            module.__path__ = [str(folder)]
            sys.modules[package] = module
        return getattr(importlib.import_module("timm.layers.evo_norm"), name)
    finally:
        for key in [key for key in sys.modules if key.split(".")[0] == "timm"]:
            del sys.modules[key]
        sys.modules.update(saved)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layer", LAYERS)
def test_agrees_with_timm_and_loads_its_state(layer, training):
    peer = timms(layer.__name__.replace("EvoNorm", "EvoNorm2d"))(64, eps=1e-3)
    for tensor in peer.state_dict().values():
        tensor.uniform_(0.5, 1.5)
    ours = layer(64, eps=1e-3, **({"groups": peer.groups} if layer in WITH_GROUPS else {}))
    ours.load_state_dict(peer.state_dict())
    x = torch.randn(6, 64, 7, 9)
    for model in (peer, ours):
        model.train(training)
    torch.testing.assert_close(ours(x), peer(x))
    for name, value in peer.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)


@pytest.mark.parametrize("layer", LAYERS)
def test_loads_the_names_of_timm(layer):
    """Without timm: the names it gives its tensors."""
    state = {"weight": torch.rand(4), "bias": torch.rand(4)}
    if layer in (EvoNormB0, EvoNormS0):
        state["v"] = torch.rand(4)
    if layer in WITH_BATCH:
        state["running_var"] = torch.rand(4)
    made = make(layer)
    made.load_state_dict(state)
    for name, value in state.items():
        assert torch.equal(made.state_dict()[name], value)


def test_cumulative_average_is_a_plain_mean():
    made, variances = EvoNormB0(1, momentum=None), []
    for scale in (1.0, 2.0, 4.0):
        x = torch.randn(8, 1, 9) * scale
        made(x)
        variances.append(float(x.var()))
    assert math.isclose(float(made.running_var), sum(variances) / 3, rel_tol=1e-5)
