"""The CUDA kernels built for the host, and the memory they run on."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from guarded import GuardedMemory

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def host_kernels() -> ModuleType:
    """The module fastsciml_cuda_host, built if a source changed. A failure to build fails the test."""
    build = ROOT / "build" / "cuda_host" / sys.implementation.cache_tag
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    configure = ["cmake", "-S", str(ROOT / "tests/cuda_host"), "-B", str(build), "-G", "Ninja"]
    for command in [[*configure, f"-DPython_EXECUTABLE={sys.executable}"], ["cmake", "--build", str(build)]]:
        done = subprocess.run(command, env={**os.environ, "PATH": tools}, text=True, capture_output=True)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    (library,) = build.glob("fastsciml_cuda_host.*.so")
    spec = importlib.util.spec_from_file_location("fastsciml_cuda_host", library)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def guarded() -> Iterator[GuardedMemory]:
    """Guarded memory, checked once more when the test ends."""
    memory = GuardedMemory()
    yield memory
    memory.check()


@pytest.fixture
def run_apply(host_kernels: ModuleType, guarded: GuardedMemory) -> Callable[..., np.ndarray]:
    """run_apply(u, couplings, periodic, faces, coefficient, alpha): A u by the kernel, on guarded copies."""

    def run(
        u: np.ndarray,
        couplings: np.ndarray,
        periodic: list[int],
        faces: np.ndarray | None,
        coefficient: list[np.ndarray],
        alpha: np.ndarray | None,
    ) -> np.ndarray:
        def copy(array: np.ndarray | None) -> np.ndarray | None:
            return None if array is None else guarded.copy(array)

        out = guarded.empty(u.shape, u.dtype)
        operator = [copy(couplings), periodic, copy(faces), [copy(k) for k in coefficient], copy(alpha)]
        host_kernels.poisson_apply(copy(u), *operator, out)
        return out

    return run
