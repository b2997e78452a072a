"""Starts the kernels of attention by the Gram matrix: the operators of csrc/operators.cpp for CUDA tensors."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from fastsciml.kernels import gram_attention as kernels
from fastsciml.kernels.dtypes import real_dtype
from torch import Tensor

# Shares of the tasks whose parts of the weights' gradients are summed side by side, at most: some for every
# multiprocessor of a GPU.
SHARES = 1024
# The smallest operand of a product in the tensor cores.
LEAST = 16


def options(kernel: Any, dtype: torch.dtype, width: int) -> dict[str, Any]:
    block = max(1 << (width - 1).bit_length(), LEAST)
    return {
        "REAL": tl.float64 if dtype == torch.float64 else tl.float32,
        "PRECISION": "ieee" if dtype in (torch.float32, torch.float64) else "tf32",
        "BLOCK_N": LEAST,
        "BLOCK_T": block,
        "num_warps": _warps(kernel, dtype, block),
    }


def _warps(kernel: Any, dtype: torch.dtype, block: int) -> int:
    """So many that no register is spilled on sm_80, sm_90 and sm_100."""
    if block == LEAST:
        return 1 if dtype.itemsize == 2 else 4
    return 4 if kernel is kernels.tokens_gradient_kernel and dtype == torch.float64 else 8


def gram_attention(tokens: Tensor, left: Tensor, right: Tensor, context: int) -> Tensor:
    batch, length, width = tokens.shape
    out = torch.empty_like(tokens)
    kernel = kernels.output_kernel
    kernel[(batch,)](
        tokens, left, right, out, length, width, left.shape[0], context, **options(kernel, tokens.dtype, width)
    )
    return out


def gram_attention_backward(
    dout: Tensor, tokens: Tensor, left: Tensor, right: Tensor, context: int, of_tokens: bool
) -> tuple[Tensor, Tensor, Tensor]:
    batch, length, width = tokens.shape
    heads, share = left.shape[0], triton.cdiv(batch, SHARES)
    dtokens = torch.empty_like(tokens) if of_tokens else tokens.new_empty((0,))
    if of_tokens:
        kernel = kernels.tokens_gradient_kernel
        kernel[(batch,)](
            dout, tokens, left, right, dtokens, length, width, heads, context, **options(kernel, tokens.dtype, width)
        )
    shares = triton.cdiv(batch, share)
    sums = tokens.new_empty((shares, 2, *left.shape), dtype=real_dtype(tokens))
    kernel = kernels.weights_gradient_kernel
    kernel[(shares, heads)](
        dout, tokens, left, right, sums, batch, share, length, width, heads, context,
        **options(kernel, tokens.dtype, width),
    )  # fmt: skip
    dleft, dright = sums.sum(0).to(left.dtype).unbind()
    return dtokens, dleft.clone(), dright.clone()
