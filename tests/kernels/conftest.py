"""The Triton kernels, run by triton's interpreter where there is no GPU."""

import os
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch


@pytest.fixture(scope="package")
def launch() -> Iterator[ModuleType]:
    """The module that starts the kernels. The variable counts when triton is imported, and while a kernel runs."""
    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"
    from fastsciml.kernels import evonorm_launch

    yield evonorm_launch
    os.environ.pop("TRITON_INTERPRET", None)
