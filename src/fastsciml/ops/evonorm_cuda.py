"""The EvoNorm operators for CUDA tensors: Triton kernels, looked for at the first call, since only they need triton."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

OPERATORS = (
    "evonorm_s",
    "evonorm_s_backward",
    "evonorm_moments",
    "evonorm_b_map",
    "evonorm_b_sums",
    "evonorm_b_slope",
)


def _launcher(name: str) -> Any:
    def launch(*arguments: Any) -> Any:
        try:
            kernels = import_module("fastsciml.kernels.evonorm_launch")
        except ImportError as error:
            raise RuntimeError("EvoNorm on CUDA tensors needs triton: pip install triton") from error
        return getattr(kernels, name)(*arguments)

    return launch


LAUNCHERS = {name: _launcher(name) for name in OPERATORS}
for _name, _launch in LAUNCHERS.items():
    torch.library.impl(f"fastsciml::{_name}", "cuda")(_launch)
