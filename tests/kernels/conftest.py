"""The Triton kernels, run by triton's interpreter where there is no GPU (tests/conftest.py)."""

from types import ModuleType

import pytest


@pytest.fixture(scope="package")
def launch() -> ModuleType:
    """The module that starts the kernels."""
    from fastsciml.kernels import evonorm_launch

    return evonorm_launch
