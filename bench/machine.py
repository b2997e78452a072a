"""Which machine and which versions a figure belongs to."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import torch

from fastsciml.config import package_version, simd_level

LIBRARIES = ("torch", "numpy", "scipy", "pyamg")
ABSENT = "not installed"


def describe() -> dict[str, str]:
    return {
        "cpu": _cpu_model(),
        "threads": str(torch.get_num_threads()),
        "simd": simd_level(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "fastsciml": package_version(),
        **{name: installed_version(name) for name in LIBRARIES},
    }


def installed_version(name: str) -> str:
    """The version, or ABSENT."""
    if find_spec(name) is None:
        return ABSENT
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def load() -> str:
    """How busy others keep the machine: ratios survive that, up to a point."""
    if not hasattr(os, "getloadavg"):
        return "load unknown"
    return f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
