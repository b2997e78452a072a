"""What linear attention asks of its tensors."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from fastsciml.kernels.dtypes import real_dtype


def check_inputs(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    decay: Tensor | None,
    state: Tensor | None,
    cu_seqlens: Tensor | None,
    causal: bool,
) -> None:
    """Raise unless all fits together; v with the column of ones that normalising adds.

    Raises:
        TypeError: a dtype does not fit.
        ValueError: a shape or a value does not fit.
    """
    _check_rows(q, k, v)
    if cu_seqlens is not None:
        _check_cu_seqlens(cu_seqlens, q)
    expected = (count_sequences(q, cu_seqlens), q.shape[1], q.shape[3], v.shape[3])
    if state is not None and state.shape != expected:
        raise ValueError(f"state must have shape {expected}, got {tuple(state.shape)}")
    if decay is not None:
        _check_decay(decay, q, causal)


def _check_rows(q: Tensor, k: Tensor, v: Tensor) -> None:
    for name, tensor in (("q", q), ("k", k), ("v", v)):
        if not tensor.is_floating_point():
            raise TypeError(f"{name} must be floating, got {tensor.dtype}")
        if tensor.dtype != q.dtype:
            raise TypeError(f"{name} must have the dtype of q, {q.dtype}, got {tensor.dtype}")
        if tensor.dim() != 4:
            raise ValueError(f"{name} must be [batch, heads, length, width], got {tensor.dim()} dimensions")
        if tensor.shape[0] != q.shape[0]:
            raise ValueError(f"{name} must have the batch of q, {q.shape[0]}, got {tensor.shape[0]}")
        if tensor.shape[2] != q.shape[2]:
            raise ValueError(f"{name} must have the length of q, {q.shape[2]}, got {tensor.shape[2]}")
    if k.shape[3] != q.shape[3]:
        raise ValueError(f"k must have the width of q, {q.shape[3]}, got {k.shape[3]}")
    if k.shape[1] == 0 or q.shape[1] % k.shape[1]:
        raise ValueError(f"k must have a number of heads that divides the {q.shape[1]} of q, got {k.shape[1]}")
    if v.shape[1] != k.shape[1]:
        raise ValueError(f"v must have the heads of k, {k.shape[1]}, got {v.shape[1]}")


def _check_cu_seqlens(cu_seqlens: Tensor, q: Tensor) -> None:
    if cu_seqlens.dtype not in (torch.int32, torch.int64):
        raise TypeError(f"cu_seqlens must be int32 or int64, got {cu_seqlens.dtype}")
    if cu_seqlens.dim() != 1 or cu_seqlens.shape[0] < 2:
        raise ValueError(f"cu_seqlens must be [sequences + 1], got shape {tuple(cu_seqlens.shape)}")
    if q.shape[0] != 1:
        raise ValueError(f"cu_seqlens needs a batch of one, got {q.shape[0]}")
    if not _can_be_read(cu_seqlens):
        return
    ends = cu_seqlens.tolist()
    if ends[0] != 0 or ends[-1] != q.shape[2] or any(a > b for a, b in pairwise(ends)):
        raise ValueError(f"cu_seqlens must run from 0 to the length {q.shape[2]} without decreasing, got {ends[:8]}")


def _check_decay(decay: Tensor, q: Tensor, causal: bool) -> None:
    if not causal:
        raise ValueError("decay needs causal=True: without an order of time nothing decays")
    if decay.shape not in ((q.shape[1],), q.shape[:3]):
        raise ValueError(f"decay must have shape ({q.shape[1]},) or {tuple(q.shape[:3])}, got {tuple(decay.shape)}")
    if _can_be_read(decay) and decay.numel() and not bool(((decay > 0) & (decay <= 1)).all()):
        raise ValueError(f"decay must be in (0, 1], got values from {float(decay.min())} to {float(decay.max())}")


def _can_be_read(tensor: Tensor) -> bool:
    """Values are looked at where that neither breaks a graph nor waits for a device."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def count_sequences(q: Tensor, cu_seqlens: Tensor | None) -> int:
    return q.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1


def log_of_decay(decay: Tensor, q: Tensor) -> Tensor:
    """[H] or [B, H, N] -> [B, H, N]."""
    logarithm = decay.to(real_dtype(q)).log()
    if decay.dim() == 1:
        logarithm = logarithm[None, :, None].expand(q.shape[:3])
    return logarithm.contiguous()


def whole_numbers(cu_seqlens: Tensor) -> Tensor:
    return cu_seqlens.to(torch.int64).contiguous()
