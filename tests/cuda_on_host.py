"""The CUDA operators, built for the host and put in the place of the CPU's: what runs then is what runs on a device."""

import fcntl
import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import torch

from fastsciml.ops.poisson_apply import _backward, _save

ROOT = Path(__file__).parents[1]


def host_module(count_flops: bool = False) -> ModuleType:
    """The module fastsciml_cuda_host, built if a source changed, its operators registered. The one that counts
    floating-point operations, too, has another name and takes twice as long to build.
    """
    return _load(_name(count_flops), count_flops)


def _name(count_flops: bool) -> str:
    """Of the module, and of its operators' namespace."""
    return "fastsciml_cuda_host_counted" if count_flops else "fastsciml_cuda_host"


def build(count_flops: bool = False) -> Path:
    """The module's file, built if a source changed; with the sanitizers that FASTSCIML_SANITIZE names, if any."""
    sanitizers = os.environ.get("FASTSCIML_SANITIZE", "")
    variant = ("-flops" if count_flops else "") + ("-sanitized" if sanitizers else "")
    folder = ROOT / "build" / "cuda_host" / (sys.implementation.cache_tag + variant)
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    configure = ["cmake", "-S", str(ROOT / "tests/cuda_host"), "-B", str(folder), "-G", "Ninja"]
    configure += [f"-DPython_EXECUTABLE={sys.executable}", f"-DFASTSCIML_COUNT_FLOPS={count_flops}"]
    configure += [f"-DFASTSCIML_SANITIZE={sanitizers}"]
    folder.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        # Tests in several processes build it once: the others wait, and find it built.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in [configure, ["cmake", "--build", str(folder)]]:
            done = subprocess.run(command, env={**os.environ, "PATH": tools}, text=True, capture_output=True)
            assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    (library,) = folder.glob(f"{_name(count_flops)}.*.so")
    return library


@functools.cache
def _load(name: str, count_flops: bool) -> ModuleType:
    library = build(count_flops)
    _define_operators(name)
    spec = importlib.util.spec_from_file_location(name, library)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _define_operators(namespace: str) -> None:
    """The schemas of the shipped operators once more, under the host's name."""
    library = torch.library.Library(namespace, "DEF")
    for schema in torch._C._jit_get_all_schemas():
        if schema.name.startswith("fastsciml::"):
            library.define(str(schema).removeprefix("fastsciml::"))
    torch.library.register_autograd(f"{namespace}::poisson_apply", _backward, setup_context=_save)
    _DEFINITIONS.append(library)


class HostOperators:
    """What torch.ops.fastsciml is where tensors are on a CUDA device: the CUDA operators, and for the set-up, which the
    CPU does, its own.
    """

    def __init__(self, count_flops: bool = False) -> None:
        self.calls: list[str] = []
        self._namespace = _name(count_flops)
        host_module(count_flops)

    def __getattr__(self, name: str):
        if torch._C._dispatch_has_kernel_for_dispatch_key(f"{self._namespace}::{name}", "CPU"):
            self.calls.append(name)
            return getattr(getattr(torch.ops, self._namespace), name)
        return getattr(SHIPPED, name)


_DEFINITIONS: list[torch.library.Library] = []  # last as long as these do
SHIPPED = torch.ops.fastsciml
