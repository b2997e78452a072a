"""The host runtime, its orders, and the memory its own test kernels run on."""

from collections.abc import Iterator
from types import ModuleType

import pytest
from cuda_on_host import host_module
from guarded import GuardedMemory


@pytest.fixture(scope="session")
def host_kernels() -> ModuleType:
    return host_module()


@pytest.fixture(params=[0, 1, 2, 3], ids=lambda seed: f"order{seed}")
def order(request, host_kernels) -> Iterator[int]:
    """The order in which blocks run and threads take turns: by number, and shuffled."""
    host_kernels.set_order(request.param)
    yield request.param
    host_kernels.set_order(0)


@pytest.fixture
def guarded() -> Iterator[GuardedMemory]:
    """Guarded memory, checked once more when the test ends."""
    memory = GuardedMemory()
    yield memory
    memory.check()
