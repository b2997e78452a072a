"""The CUDA operators, built for the host and put in the place of the CPU's: what runs then is what runs on a device."""

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
NAMESPACE = "fastsciml_cuda_host"


@functools.cache
def host_module() -> ModuleType:
    """The module fastsciml_cuda_host, built if a source changed, its operators registered."""
    build = ROOT / "build" / "cuda_host" / sys.implementation.cache_tag
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    configure = ["cmake", "-S", str(ROOT / "tests/cuda_host"), "-B", str(build), "-G", "Ninja"]
    for command in [[*configure, f"-DPython_EXECUTABLE={sys.executable}"], ["cmake", "--build", str(build)]]:
        done = subprocess.run(command, env={**os.environ, "PATH": tools}, text=True, capture_output=True)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    (library,) = build.glob("fastsciml_cuda_host.*.so")
    _define_operators()
    spec = importlib.util.spec_from_file_location("fastsciml_cuda_host", library)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _define_operators() -> None:
    """The schemas of the shipped operators once more, under the host's name."""
    library = torch.library.Library(NAMESPACE, "DEF")
    for schema in torch._C._jit_get_all_schemas():
        if schema.name.startswith("fastsciml::"):
            library.define(str(schema).removeprefix("fastsciml::"))
    torch.library.register_autograd(f"{NAMESPACE}::poisson_apply", _backward, setup_context=_save)
    _define_operators.library = library  # its definitions last as long as it does


class HostOperators:
    """What torch.ops.fastsciml is where tensors are on a CUDA device: the CUDA operators, and for the set-up, which the
    CPU does, its own.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        host_module()

    def __getattr__(self, name: str):
        if torch._C._dispatch_has_kernel_for_dispatch_key(f"{NAMESPACE}::{name}", "CPU"):
            self.calls.append(name)
            return getattr(getattr(torch.ops, NAMESPACE), name)
        return getattr(SHIPPED, name)


SHIPPED = torch.ops.fastsciml
