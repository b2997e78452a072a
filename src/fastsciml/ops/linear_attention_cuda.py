"""Linear attention for CUDA tensors: Triton kernels, looked for at the first call, since only they need triton."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

OPERATORS = ("linear_attention", "linear_attention_backward")


def _launcher(name: str) -> Any:
    def launch(*arguments: Any) -> Any:
        try:
            kernels = import_module("fastsciml.kernels.linear_attention_launch")
        except ImportError as error:
            raise RuntimeError("linear attention on CUDA tensors needs triton: pip install triton") from error
        return getattr(kernels, name)(*arguments)

    return launch


LAUNCHERS = {name: _launcher(name) for name in OPERATORS}
for _name, _launch in LAUNCHERS.items():
    torch.library.impl(f"fastsciml::{_name}", "cuda")(_launch)
