"""Attention by the Gram matrix for CUDA tensors, by Triton kernels."""

from typing import Any

import torch

from fastsciml.ops.triton_kernels import triton_kernels


def gram_attention(*arguments: Any) -> Any:
    return triton_kernels("gram_attention_launch", "attention by the Gram matrix").gram_attention(*arguments)


def gram_attention_backward(*arguments: Any) -> Any:
    return triton_kernels("gram_attention_launch", "attention by the Gram matrix").gram_attention_backward(*arguments)


IMPLEMENTATIONS = (gram_attention, gram_attention_backward)
for _implementation in IMPLEMENTATIONS:
    torch.library.impl(f"fastsciml::{_implementation.__name__}", "cuda")(_implementation)
