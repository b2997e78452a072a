"""What CUDA kernels do, counted while the host runtime of the tests runs them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

RUNTIME = Path(__file__).parents[1] / "tests" / "cuda_on_host.py"
# torch's allocator aligns memory on a device to so many bytes, on the CPU to fewer: there, rows would straddle lines.
ALIGNMENT = 512


@dataclass(frozen=True)
class Launch:
    """One launch. Lines of memory, 128 bytes, count once for each block that touches them, sectors, 32 bytes, likewise:
    as if caches lived as long as a block.
    """

    kernel: str
    blocks: int
    line_bytes: int
    sector_bytes: int
    flops: int


class Counter:
    """The host runtime, counting; building it takes a minute or two where its sources have changed.

    Args:
        count_flops: by a build of its own, the only one that a process may then load; else they are 0.
    """

    def __init__(self, count_flops: bool = True) -> None:
        runtime = _module(RUNTIME)
        self._host = runtime.host_module(count_flops)
        self._operators = runtime.HostOperators(count_flops)

    def launches(self, run: Callable[[], object]) -> list[Launch]:
        """Those of `run`, whose CUDA operators run on the host, on CPU tensors."""
        with self._instead_of_the_cpu():
            self._host.count(True)
            try:
                run()
                counted = self._host.traffic()
            finally:
                self._host.count(False)
        return [_launch(launch) for launch in counted]

    @contextmanager
    def _instead_of_the_cpu(self) -> Iterator[None]:
        operators: Any = torch.ops
        shipped = operators.fastsciml
        operators.fastsciml = self._operators
        try:
            yield
        finally:
            operators.fastsciml = shipped


def aligned(tensor: Tensor) -> Tensor:
    """A copy that lies as it would on a device."""
    memory = torch.empty(tensor.nbytes + ALIGNMENT, dtype=torch.uint8)
    first = -memory.data_ptr() % ALIGNMENT
    copy = memory[first : first + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
    return copy.copy_(tensor)


def _launch(counted: dict[str, Any]) -> Launch:
    lines, sectors = (counted[f"read_{unit}_bytes"] + counted[f"written_{unit}_bytes"] for unit in ("lines", "sectors"))
    return Launch(counted["kernel"], counted["blocks"], lines, sectors, counted.get("flops", 0))


def _module(path: Path) -> ModuleType:
    # The tests have loaded it already, and operators can be registered once.
    if path.stem in sys.modules:
        return sys.modules[path.stem]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
