"""Linear attention of short sequences that all see the same tokens, by the tokens' Gram matrix."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastsciml.kernels.dtypes import real_dtype
from fastsciml.ops.triton_kernels import has_kernel

# The widest token whose matrices are a block of a program on a GPU; wider ones PyTorch's products serve well.
WIDEST_ON_CUDA = 32
Gradients = tuple[Tensor, Tensor, Tensor]


def gram_attention_definition(tokens: Tensor, left: Tensor, right: Tensor, context: int) -> Tensor:
    """o_j = sum_h A_h G B_h e_j with G = sum_{i < context} e_i e_i^T, in plain PyTorch."""
    seen = tokens[:, :context]
    G = seen.mT @ seen
    M = (left @ G[:, None] @ right).sum(1)
    return tokens @ M.mT


def gram_attention(tokens: Tensor, left: Tensor, right: Tensor, context: int | None = None) -> Tensor:
    """Bidirectional linear attention of all heads at once, o_j = sum_h A_h G B_h e_j, G = sum_{i < context} e_i e_i^T.

    With A_h = P_h V_h and B_h = K_h^T Q_h this is sum_h P_h (V_h E^T) (K_h E^T)^T Q_h e_j: linear self-attention with
    its projections, whose order of products is the cheap one where a token is no wider than a head. Differentiable
    any number of times; the backward pass keeps the inputs alone.

    Args:
        tokens: e [B, N, T], float32, float64, bfloat16 or float16; computed in float32 (float64 for float64).
        left: A [H, T, T], of the tokens' dtype.
        right: B [H, T, T], likewise.
        context: how many of the first tokens are seen, 0 to N. None: all.

    Returns:
        o [B, N, T] of the tokens' dtype.

    Raises:
        TypeError: a dtype does not fit.
        ValueError: a shape or the context does not fit; names the argument.

    Source of the layer: von Oswald et al., "Transformers Learn In-Context by Gradient Descent" (ICML 2023).
    """
    _check(tokens, left, right, context)
    context = tokens.shape[1] if context is None else context
    wide = tokens.is_cuda and tokens.shape[2] > WIDEST_ON_CUDA
    if wide or not has_kernel(tokens, left):
        real = real_dtype(tokens)
        out = gram_attention_definition(tokens.to(real), left.to(real), right.to(real), context)
        return out.to(tokens.dtype)
    result: Tensor = torch.ops.fastsciml.gram_attention(
        tokens.contiguous(), left.contiguous(), right.contiguous(), context
    )
    return result


def _check(tokens: Tensor, left: Tensor, right: Tensor, context: int | None) -> None:
    if not tokens.is_floating_point():
        raise TypeError(f"tokens must be floating, got {tokens.dtype}")
    if tokens.dim() != 3:
        raise ValueError(f"tokens must be [batch, length, width], got {tokens.dim()} dimensions")
    width = tokens.shape[2]
    for name, weights in (("left", left), ("right", right)):
        if weights.dtype != tokens.dtype:
            raise TypeError(f"{name} must have the dtype of tokens, {tokens.dtype}, got {weights.dtype}")
        if weights.dim() != 3 or weights.shape[1:] != (width, width):
            raise ValueError(f"{name} must have shape (heads, {width}, {width}), got {tuple(weights.shape)}")
    if right.shape[0] != left.shape[0]:
        raise ValueError(f"right must have the heads of left, {left.shape[0]}, got {right.shape[0]}")
    if context is not None and not 0 <= context <= tokens.shape[1]:
        raise ValueError(f"context must be from 0 to the length {tokens.shape[1]} of tokens, got {context}")


@torch.library.register_fake("fastsciml::gram_attention")  # type: ignore[untyped-decorator]
def _fake(tokens: Tensor, left: Tensor, right: Tensor, context: int) -> Tensor:
    return torch.empty_like(tokens)


@torch.library.register_fake("fastsciml::gram_attention_backward")  # type: ignore[untyped-decorator]
def _fake_backward(
    dout: Tensor, tokens: Tensor, left: Tensor, right: Tensor, context: int, of_tokens: bool
) -> Gradients:
    dtokens = torch.empty_like(tokens) if of_tokens else tokens.new_empty((0,))
    return dtokens, torch.empty_like(left), torch.empty_like(right)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.context = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
    of_tokens = ctx.needs_input_grad[0]
    dtokens, dleft, dright = torch.ops.fastsciml.gram_attention_backward(
        dout.contiguous(), *ctx.saved_tensors, ctx.context, of_tokens
    )
    return dtokens if of_tokens else None, dleft, dright, None


def _save_again(ctx: Any, inputs: tuple[Any, ...], output: Gradients) -> None:
    *tensors, ctx.context, ctx.of_tokens = inputs
    ctx.save_for_backward(*tensors)


def _backward_again(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients of the backward pass, by PyTorch on the definition."""
    saved = ctx.saved_tensors
    real = real_dtype(saved[0])
    with torch.enable_grad():
        dout, *inputs = (t.detach().to(real).requires_grad_() for t in saved)
        out = gram_attention_definition(inputs[0], inputs[1], inputs[2], ctx.context)
        first = torch.autograd.grad(out, inputs, dout, create_graph=True)
        wanted = slice(0 if ctx.of_tokens else 1, None)
        given = [g.to(real) for g in gradients[wanted]]
        second = torch.autograd.grad(first[wanted], (dout, *inputs), given, allow_unused=True)
    typed = [None if g is None else g.to(t.dtype) for g, t in zip(second, saved, strict=True)]
    return (*typed, None, None)


torch.library.register_autograd("fastsciml::gram_attention", _backward, setup_context=_save)
torch.library.register_autograd("fastsciml::gram_attention_backward", _backward_again, setup_context=_save_again)
