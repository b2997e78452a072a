"""What every test runs under: fixed seeds, and NaN in fresh memory, so that an output left unwritten shows."""

import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from cuda_on_host import HostOperators

if not torch.cuda.is_available():
    # It counts when triton is imported, which torch may do in any test.
    os.environ["TRITON_INTERPRET"] = "1"

# A run started in the background may have been told to ignore Ctrl-C, and would hand that on to the processes that
# tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

DEVICES = ["cpu", "cuda-host", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where a test's tensors are. On cuda-host that is the CPU, and the CUDA operators run on the host runtime."""
    if request.param != "cuda-host":
        return str(request.param)
    monkeypatch.setattr(torch.ops, "fastsciml", HostOperators())
    return "cpu"


@pytest.fixture(autouse=True)
def _fixed_seeds() -> None:
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(autouse=True)
def _poisoned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.empty and its kin give NaN instead of whatever was there."""

    def poisoned(make):
        def fill(*args, **kwargs):
            tensor = make(*args, **kwargs)
            return tensor.fill_(torch.nan) if tensor.is_floating_point() else tensor

        return fill

    monkeypatch.setattr(torch, "empty", poisoned(torch.empty))


@pytest.fixture(params=[1, 2], ids=["one-thread", "two-threads"])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
