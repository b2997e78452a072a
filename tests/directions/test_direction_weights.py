import json

import pytest
import torch
from torch import nn

from fastsciml.checkpoint import write_checkpoint
from fastsciml.directions import DCDM, load_direction, save_direction, weights
from fastsciml.directions.weights import described_direction


@pytest.fixture
def network():
    return DCDM(2, channels=3, layers=(2, 1, 0))


@pytest.fixture
def file(tmp_path, network):
    save_direction(tmp_path / "d.safetensors", network, {"settings": {"rate": 1e-3}})
    return tmp_path / "d.safetensors"


def test_network_comes_back(file, network):
    back = load_direction(file, dims=2)
    assert not back.training
    assert back.config() == network.config()
    x = torch.randn(2, 1, 6, 7)
    with torch.no_grad():
        assert back(x).equal(network.eval()(x))


def test_file_tells_what_it_is(file):
    described, tensors = described_direction(str(file))
    assert described["kind"] == "dcdm"
    assert described["config"] == {"dims": 2, "channels": 3, "layers": [2, 1, 0]}
    assert described["about"] == {"settings": {"rate": 1e-3}}
    assert set(described["versions"]) == {"fastsciml", "torch"}
    assert all(value.dtype == torch.float32 for value in tensors.values())


def test_double_precision_comes_back_where_it_is_asked_for(tmp_path, network):
    save_direction(tmp_path / "d.safetensors", network.double())
    assert (
        load_direction(tmp_path / "d.safetensors", dtype=torch.float64)(torch.randn(1, 1, 4, 4, dtype=torch.float64))
        .isfinite()
        .all()
    )
    with pytest.raises(ValueError, match=r"has weights of torch.float64, not of torch.float32"):
        load_direction(tmp_path / "d.safetensors")


def test_name_means_a_network_of_the_package(tmp_path, file, network, monkeypatch):
    (tmp_path / "weights").mkdir()
    file.rename(tmp_path / "weights" / "small-2d.safetensors")
    monkeypatch.setattr(weights, "files", lambda package: tmp_path)
    assert load_direction("small-2d").config() == network.config()
    with pytest.raises(ValueError, match=r"no file large-2d, nor a network of this name: the package has small-2d"):
        load_direction("large-2d")


def test_what_is_none_is_refused(tmp_path, file):
    with pytest.raises(ValueError, match="is for 2 axes, not for 3"):
        load_direction(file, dims=3)
    with pytest.raises(ValueError, match="there is no file"):
        load_direction(tmp_path / "none.safetensors")
    (tmp_path / "text").write_text("weights")
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        load_direction(tmp_path / "text")
    write_checkpoint(tmp_path / "other", {"x": torch.ones(1)}, {"model": "mgno"})
    with pytest.raises(ValueError, match="is no checkpoint of a direction network"):
        load_direction(tmp_path / "other")
    write_checkpoint(tmp_path / "little", {"x": torch.ones(1)}, {"direction": "{}"})
    with pytest.raises(ValueError, match="does not tell what its network is"):
        load_direction(tmp_path / "little")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kind": "unet"}, "kind must be one of dcdm, multigrid, got 'unet'"),
        ({"config": {"dims": 2, "depth": 3}}, "cannot be made of"),
        ({"config": {"dims": 2, "channels": 4}}, "of another architecture"),
    ],
)
def test_other_networks_are_refused(tmp_path, file, changes, sentence):
    described, tensors = described_direction(file)
    write_checkpoint(tmp_path / "changed", tensors, {"direction": json.dumps({**described, **changes})})
    with pytest.raises(ValueError, match=sentence):
        load_direction(tmp_path / "changed")


def test_only_known_networks_are_saved(tmp_path):
    with pytest.raises(TypeError, match="one of the kinds dcdm, multigrid, got Linear"):
        save_direction(tmp_path / "d.safetensors", nn.Linear(1, 1))
