"""What fastsciml runs on: versions, backends, SIMD level, threads."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import torch

from fastsciml._library import LOADED


def package_version() -> str:
    """The installed version, or "0+source" from a checkout that is not installed."""
    try:
        return version("fastsciml")
    except PackageNotFoundError:
        return "0+source"


def simd_level() -> str:
    """The SIMD level of the loaded library: generic, avx2 or avx512."""
    return LOADED.simd_level


def show_config() -> str:
    """A table of versions and backends, with the reason where a backend is absent."""
    rows = {
        "fastsciml": package_version(),
        "torch": f"{torch.__version__} (libraries built against {LOADED.torch})",
        "python": platform.python_version(),
        "compiler": LOADED.compiler,
        "cpu": f"{LOADED.simd_level} (can run: {', '.join(LOADED.available_levels)})",
        "threads": str(torch.get_num_threads()),
        "cuda": _cuda(),
        "triton": _triton(),
        "libraries": str(LOADED.folder),
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows.items())


def _cuda() -> str:
    built = f"built with nvcc {LOADED.nvcc}"
    if not LOADED.cuda:
        return f"absent: {LOADED.cuda_absent_because}" + (f" ({built})" if LOADED.nvcc else "")
    return f"{built}; {LOADED.cuda_absent_because or torch.cuda.get_device_name()}"


def _triton() -> str:
    if find_spec("triton") is None:
        return "absent: triton is not installed; EvoNorm and attention need it for CUDA tensors"
    return f"{version('triton')}: EvoNorm and attention on CUDA tensors"
