"""Linear attention for CUDA tensors, by Triton kernels."""

from typing import Any

import torch

from fastsciml.ops.triton_kernels import triton_kernels


def linear_attention(*arguments: Any) -> Any:
    return triton_kernels("linear_attention_launch", "linear attention").linear_attention(*arguments)


def linear_attention_backward(*arguments: Any) -> Any:
    return triton_kernels("linear_attention_launch", "linear attention").linear_attention_backward(*arguments)


IMPLEMENTATIONS = (linear_attention, linear_attention_backward)
for _implementation in IMPLEMENTATIONS:
    torch.library.impl(f"fastsciml::{_implementation.__name__}", "cuda")(_implementation)
