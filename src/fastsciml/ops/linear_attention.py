"""Attention without softmax: bidirectional, causal, with decay, with a state that is carried along."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from fastsciml.kernels.dtypes import real_dtype
from fastsciml.ops.linear_attention_inputs import (
    check_inputs,
    count_sequences,
    log_of_decay,
    whole_numbers,
)
from fastsciml.ops.triton_kernels import has_kernel

CHUNK = 64
States = tuple[Tensor, Tensor]


def linear_attention_definition(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None = None,
    state: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    causal: bool = True,
    scale: float = 1.0,
) -> States:
    """S_t = exp(log_decay_t) S_{t-1} + k_t^T v_t and o_t = scale q_t S_t, or S_N for every t, in plain PyTorch.

    Chunk by chunk, so that memory stays O(N d): o = (q k^T * weights) v + weight * q S within a chunk. Returns o and
    the last S, both in q's dtype.
    """
    if cu_seqlens is not None:
        results = [
            linear_attention_definition(
                q[:, :, start:end],
                k[:, :, start:end],
                v[:, :, start:end],
                None if log_decay is None else log_decay[:, :, start:end],
                None if state is None else state[i : i + 1],
                causal=causal,
                scale=scale,
            )
            for i, (start, end) in enumerate(pairwise(cu_seqlens.tolist()))
        ]
        return torch.cat([out for out, _ in results], 2), torch.cat([last for _, last in results])
    k, v = (t.repeat_interleave(q.shape[1] // k.shape[1], 1) for t in (k, v))
    S = q.new_zeros((*q.shape[:2], q.shape[3], v.shape[3])) if state is None else state.to(q.dtype)
    if not causal:
        S = S + k.mT @ v
        return scale * (q @ S), S
    log_decay = q.new_zeros(q.shape[:3]) if log_decay is None else log_decay.to(q.dtype)
    outputs = []
    for start in range(0, q.shape[2], CHUNK):
        q_, k_, v_, a_ = (t[:, :, start : start + CHUNK] for t in (q, k, v, log_decay))
        total = a_.cumsum(-1)
        seen = torch.ones(a_.shape[-1], a_.shape[-1], dtype=torch.bool, device=q.device).tril()
        weights = (total[..., :, None] - total[..., None, :]).masked_fill(~seen, -torch.inf).exp()
        outputs.append(scale * ((q_ @ k_.mT * weights) @ v_ + total.exp()[..., None] * (q_ @ S)))
        whole = total[..., -1:]
        S = whole.exp()[..., None] * S + ((whole - total).exp()[..., None] * k_).mT @ v_
    return torch.cat(outputs, 2) if outputs else q.new_zeros((*q.shape[:3], v.shape[3])), S


def linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    causal: bool,
    decay: Tensor | None = None,
    state: Tensor | None = None,
    return_state: bool = False,
    normalize: Literal["sum"] | None = None,
    scale: float = 1.0,
    cu_seqlens: Tensor | None = None,
) -> Tensor | States:
    """Attention without softmax, o_t = scale q_t S_t, in time and memory linear in N.

    Causal: S_t = a_t S_{t-1} + k_t^T v_t with decay a_t. Not causal: S = state + the sum of all k_t^T v_t, for every t.
    Differentiable any number of times; the backward pass keeps the inputs alone.

    Args:
        q: [B, H, N, D], float32, float64, bfloat16 or float16; computed in float32 (float64 for float64).
        k: [B, G, N, D], where G divides H: H / G neighbouring heads of q share a head of k and v.
        v: [B, G, N, E]; k and v have q's dtype.
        causal: whether a token sees itself and those before it, or all.
        decay: a in (0, 1], [H] or [B, H, N]; causal only. None: 1. The values of a CUDA tensor are not looked at.
        state: S_0 [B, H, D, E], with `normalize` [B, H, D, E + 1]; with cu_seqlens the first dimension is that of
            the sequences. None: 0.
        return_state: also give the last S, which as `state` continues the sequence: pieces in turn equal the whole.
        normalize: "sum" divides o_t by scale q_t z_t, z_t = a_t z_{t-1} + k_t, so that the weights of v sum to one. It
            asks for q and k whose products are positive, and nothing is added to the divisor. z is the state's last
            column. None: no division.
        scale: a factor of o; without effect where o is normalised.
        cu_seqlens: [sequences + 1], int32 or int64, from 0 to N: sequence i has the tokens cu_seqlens[i] to
            cu_seqlens[i + 1] - 1 of a batch of one. On the CPU its use costs a GPU no wait.

    Returns:
        o [B, H, N, E] of q's dtype; with `return_state`, (o, S) with S in float32 (float64 for float64).

    Raises:
        TypeError: a dtype does not fit.
        ValueError: a shape or the decay does not fit; names the argument.

    Source: Katharopoulos, Vyas, Pappas, Fleuret, "Transformers are RNNs: Fast Autoregressive Transformers with Linear
    Attention" (ICML 2020); decays are not in it.
    """
    if normalize not in (None, "sum"):
        raise ValueError(f"normalize must be None or 'sum', got {normalize!r}")
    if normalize is not None and v.dim() == 4:
        v = torch.cat([v, v.new_ones((*v.shape[:3], 1))], -1)
    check_inputs(q, k, v, decay, state, cu_seqlens, causal)
    log_decay = None if decay is None else log_of_decay(decay, q)
    cu_seqlens = None if cu_seqlens is None else whole_numbers(cu_seqlens)
    out, last = _linear_attention(q, k, v, log_decay, state, cu_seqlens, causal, scale)
    if normalize is not None:
        out = out[..., :-1] / out[..., -1:]
    return (out, last) if return_state else out


def _linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None,
    state: Tensor | None,
    cu_seqlens: Tensor | None,
    causal: bool,
    scale: float,
) -> States:
    if not has_kernel(q, v):
        real = real_dtype(q)
        out, last = linear_attention_definition(
            q.to(real), k.to(real), v.to(real), log_decay, state, cu_seqlens, causal, scale
        )
        return out.to(q.dtype), last
    state = None if state is None else state.to(real_dtype(q)).contiguous()
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    result: States = torch.ops.fastsciml.linear_attention(q, k, v, log_decay, state, cu_seqlens, causal, scale)
    return result


@torch.library.register_fake("fastsciml::linear_attention")  # type: ignore[untyped-decorator]
def _fake(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None,
    state: Tensor | None,
    cu_seqlens: Tensor | None,
    causal: bool,
    scale: float,
) -> States:
    last = (count_sequences(q, cu_seqlens), q.shape[1], q.shape[3], v.shape[3])
    return q.new_empty((*q.shape[:3], v.shape[3])), q.new_empty(last, dtype=real_dtype(q))


@torch.library.register_fake("fastsciml::linear_attention_backward")  # type: ignore[untyped-decorator]
def _fake_backward(
    dout: Tensor,
    dlast: Tensor | None,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None,
    state: Tensor | None,
    cu_seqlens: Tensor | None,
    causal: bool,
    scale: float,
) -> tuple[Tensor, ...]:
    real = real_dtype(q)
    dstate = q.new_empty((count_sequences(q, cu_seqlens), q.shape[1], q.shape[3], v.shape[3]), dtype=real)
    dlog_decay = q.new_empty((0,), dtype=real) if log_decay is None else torch.empty_like(log_decay)
    return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v), dlog_decay, dstate


def _save(ctx: Any, inputs: tuple[Any, ...], output: States) -> None:
    *tensors, ctx.causal, ctx.scale = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, dout: Tensor, dlast: Tensor) -> tuple[Tensor | None, ...]:
    q, k, v, log_decay, state, cu_seqlens = ctx.saved_tensors
    dq, dk, dv, dlog_decay, dstate = torch.ops.fastsciml.linear_attention_backward(
        dout.contiguous(), dlast.contiguous(), q, k, v, log_decay, state, cu_seqlens, ctx.causal, ctx.scale
    )
    dlog_decay = None if log_decay is None else dlog_decay
    return dq, dk, dv, dlog_decay, None if state is None else dstate, None, None, None


def _save_again(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.causal, ctx.scale = inputs
    ctx.save_for_backward(*tensors)


def _backward_again(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients of the backward pass, by PyTorch on the definition."""
    *saved, cu_seqlens = ctx.saved_tensors
    real = real_dtype(saved[2])
    with torch.enable_grad():
        leaves: list[Any] = [None if t is None else t.detach().to(real).requires_grad_() for t in saved]
        dout, dlast, *inputs = leaves
        q, k, v, log_decay, state = inputs
        outputs = linear_attention_definition(q, k, v, log_decay, state, cu_seqlens, ctx.causal, ctx.scale)
        given = [(o, d) for o, d in zip(outputs, (dout, dlast), strict=True) if d is not None and o.requires_grad]
        present = [t for t in inputs if t is not None]
        first = torch.autograd.grad(
            [o for o, _ in given], present, [d for _, d in given], create_graph=True, allow_unused=True
        )
        of_present = [g for g, t in zip(gradients, inputs, strict=True) if t is not None]
        pairs = [(f, g.to(real)) for f, g in zip(first, of_present, strict=True) if f is not None and f.requires_grad]
        wanted = [t for t in leaves if t is not None]
        second = iter(torch.autograd.grad([f for f, _ in pairs], wanted, [g for _, g in pairs], allow_unused=True))
    found = [None if t is None else next(second) for t in leaves]
    typed = [g if g is None or t is None else g.to(t.dtype) for g, t in zip(found, saved, strict=True)]
    return (*typed, None, None, None)


torch.library.register_autograd("fastsciml::linear_attention", _backward, setup_context=_save)
torch.library.register_autograd("fastsciml::linear_attention_backward", _backward_again, setup_context=_save_again)
