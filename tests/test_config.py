import dataclasses

import pytest
import torch

import fastsciml
from fastsciml import config
from fastsciml._library import LOADED


def row(name):
    (text,) = [line for line in fastsciml.show_config().splitlines() if line.startswith(f"{name} ")]
    return text.removeprefix(name).strip()


def test_tells_versions_level_threads_and_folder():
    assert row("fastsciml") == fastsciml.__version__
    assert torch.__version__ in row("torch")
    assert row("cpu").startswith(LOADED.simd_level)
    assert row("threads") == str(torch.get_num_threads())
    assert row("libraries") == str(LOADED.folder)


@pytest.mark.parametrize(
    ("nvcc", "cuda", "because", "says"),
    [
        ("", False, "no nvcc was found when fastsciml was built", "absent: no nvcc was found when fastsciml was built"),
        ("13.0", False, "this torch is a CPU build", "absent: this torch is a CPU build (built with nvcc 13.0)"),
        ("13.0", False, "x.so is missing", "absent: x.so is missing (built with nvcc 13.0)"),
        ("13.0", True, "loaded, but torch finds no device", "built with nvcc 13.0; loaded, but torch finds no device"),
    ],
)
def test_tells_why_cuda_is_absent(nvcc, cuda, because, says, monkeypatch):
    record = dataclasses.replace(LOADED, nvcc=nvcc, cuda=cuda, cuda_absent_because=because)
    monkeypatch.setattr(config, "LOADED", record)
    assert row("cuda") == says


def test_names_the_device_where_there_is_one(monkeypatch):
    monkeypatch.setattr(config, "LOADED", dataclasses.replace(LOADED, nvcc="13.0", cuda=True, cuda_absent_because=""))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a device")
    assert row("cuda") == "built with nvcc 13.0; a device"


def test_tells_that_triton_is_absent(monkeypatch):
    monkeypatch.setattr(config, "find_spec", lambda name: None)
    assert row("triton") == "absent: triton is not installed; EvoNorm and attention need it for CUDA tensors"
