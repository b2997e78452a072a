"""Triton kernels, looked for when a CUDA tensor comes, since only they need triton; and for which tensors there are
kernels at all, Triton's or C++'s.
"""

from importlib import import_module
from typing import Any

import torch
from torch import Tensor

KERNEL_DEVICES = ("cpu", "cuda", "meta")
KERNEL_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def triton_kernels(module: str, who: str) -> Any:
    """The module of that name in fastsciml.kernels.

    Raises:
        RuntimeError: triton is not installed; names who needs it.
    """
    try:
        return import_module(f"fastsciml.kernels.{module}")
    except ImportError as error:
        raise RuntimeError(f"{who} on CUDA tensors needs triton: pip install triton") from error


def has_kernel(*tensors: Tensor) -> bool:
    """Other devices and dtypes, and tensors without elements, go by the definition."""
    first = tensors[0]
    known = first.device.type in KERNEL_DEVICES and first.dtype in KERNEL_DTYPES
    return known and all(tensor.numel() > 0 for tensor in tensors)
