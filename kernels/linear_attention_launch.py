"""Starts the linear attention kernels: the operators of csrc/operators.cpp for CUDA tensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
import triton
import triton.language as tl
from fastsciml.kernels import linear_attention as kernels
from fastsciml.kernels.dtypes import real_dtype
from fastsciml.kernels.linear_attention_tiles import DECAYED_OUTPUTS, OUTPUTS, PIECE, STATES, Tiles, fitted
from torch import Tensor

# What operands of products are, and how exact products of float32 are: float16 is multiplied as TF32, which has as
# many digits and a float32's range. Triton's interpreter multiplies bfloat16's bits.
OPERANDS: dict[torch.dtype, tuple[Any, str]] = {
    torch.bfloat16: (tl.float32 if triton.knobs.runtime.interpret else tl.bfloat16, "ieee"),
    torch.float16: (tl.float32, "tf32"),
    torch.float32: (tl.float32, "ieee"),
    torch.float64: (tl.float64, "ieee"),
}
BLOCK_OF_STATE = 1024


@dataclass(frozen=True)
class Sequences:
    """Tables for the kernels, on the device."""

    table: Tensor  # [sequences, 4] int64: batch, start, length, first chunk
    chunk_sequences: Tensor  # [chunks] int64
    parts: tuple[int, ...]  # into how many pieces each sequence was cut

    @property
    def count(self) -> int:
        return self.table.shape[0]

    @property
    def chunks(self) -> int:
        return self.chunk_sequences.shape[0]


@lru_cache(maxsize=64)
def _tables(
    batches: int, length: int, ends: tuple[int, ...] | None, chunk: int, piece: int | None, device: torch.device
) -> Sequences:
    """Every sequence of its own, or cut into pieces of so many tokens."""
    if ends is None:
        spans = [(batch, 0, length) for batch in range(batches)]
    else:
        spans = [(0, start, end - start) for start, end in pairwise(ends)]
    parts = tuple(1 if piece is None else triton.cdiv(tokens, piece) for _, _, tokens in spans)
    if piece is not None:
        spans = [
            (batch, start + first, min(piece, tokens - first))
            for batch, start, tokens in spans
            for first in range(0, tokens, piece)
        ]
    rows = torch.tensor(spans, dtype=torch.int64).reshape(-1, 3)
    chunks = (rows[:, 2] + chunk - 1) // chunk
    table = torch.cat([rows, (chunks.cumsum(0) - chunks)[:, None]], 1)
    return Sequences(table.to(device), torch.arange(len(spans)).repeat_interleave(chunks).to(device), parts)


def _sequences(q: Tensor, cu_seqlens: Tensor | None, piece: int | None = None) -> Sequences:
    ends = None if cu_seqlens is None else tuple(cu_seqlens.tolist())
    return _tables(q.shape[0], q.shape[2], ends, _tiles(STATES, q).chunk, piece, q.device)


def linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None,
    state: Tensor | None,
    cu_seqlens: Tensor | None,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor]:
    sequences, heads = _sequences(q, cu_seqlens), q.shape[1]
    if causal:
        states, last = _states(sequences, heads, k, v, log_decay, state, 1.0)
    else:
        states = last = _whole_state(q, cu_seqlens, k, v, state, 1.0)
    out = q.new_empty((*q.shape[:3], v.shape[3]))
    _outputs(sequences, heads, (q, k, v), log_decay, states, (scale, 1.0), out, whole=not causal)
    return out, last


def linear_attention_backward(
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
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    sequences, heads = _sequences(q, cu_seqlens), q.shape[1]
    dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
    if causal:
        before, last = _states(sequences, heads, k, v, log_decay, state, 1.0)
        after, dstate = _states(sequences, heads, q, dout, log_decay, dlast, scale, backward=True)
    else:
        before = last = _whole_state(q, cu_seqlens, k, v, state, 1.0)
        after = dstate = _whole_state(q, cu_seqlens, q, dout, dlast, scale)
    whole, decayed = not causal, log_decay is not None
    q_dots = _outputs(
        sequences, heads, (dout, v, k), log_decay, before.mT, (scale, 1.0), dq,
        whole=whole, dot_with=q if decayed else None,
    )  # fmt: skip
    k_dots = _outputs(
        sequences, heads, (v, dout, q), log_decay, after.mT, (1.0, scale), dk,
        whole=whole, backward=True, dot_with=k if decayed else None,
    )  # fmt: skip
    _outputs(sequences, heads, (k, q, dout), log_decay, after, (1.0, scale), dv, whole=whole, backward=True)
    if log_decay is None or q_dots is None or k_dots is None:
        return dq, dk, dv, q.new_empty((0,), dtype=real_dtype(q)), dstate
    dlog_decay = torch.empty_like(log_decay)
    kernels.decay_gradient_kernel[(sequences.chunks * heads,)](
        before, last, after, q_dots, k_dots, dlog_decay, sequences.table, sequences.chunk_sequences,
        heads, q.shape[2], q.shape[3] * v.shape[3], q_dots.shape[0], k_dots.shape[0], log_decay.numel(),
        CHUNK=_tiles(STATES, q).chunk, BLOCK=BLOCK_OF_STATE,
    )  # fmt: skip
    return dq, dk, dv, dlog_decay, dstate


def _states(
    sequences: Sequences,
    heads: int,
    y: Tensor,
    z: Tensor,
    log_decay: Tensor | None,
    first: Tensor | None,
    scale: float,
    backward: bool = False,
    keeps: bool = True,
) -> tuple[Tensor, Tensor]:
    """The states that the chunks begin with (in the order of walking), and those at the end."""
    depth, width = y.shape[3], z.shape[3]
    tiles = fitted(_tiles(STATES, y), depth, width)
    last = y.new_empty((sequences.count, heads, depth, width), dtype=real_dtype(y))
    states = last.new_empty((sequences.chunks if keeps else 0, heads, depth, width))
    dot, precision = OPERANDS[y.dtype]
    blocks = triton.cdiv(depth, tiles.depth) * triton.cdiv(width, tiles.width)
    kernels.states_kernel[(sequences.count * heads, blocks)](
        y, z, last if log_decay is None else log_decay, last if first is None else first, states if keeps else last,
        last, sequences.table, heads, y.shape[1], z.shape[1], y.shape[2], depth, width, float(scale),
        DECAYED=log_decay is not None, HAS_FIRST=first is not None, KEEPS=keeps, BACKWARD=backward,
        CHUNK=tiles.chunk, BLOCK_D=tiles.depth, BLOCK_E=tiles.width, DOT=dot, PRECISION=precision,
        num_warps=tiles.warps, num_stages=tiles.stages,
    )  # fmt: skip
    return states, last


def _whole_state(
    q: Tensor, cu_seqlens: Tensor | None, y: Tensor, z: Tensor, first: Tensor | None, scale: float
) -> Tensor:
    """First + scale * the sum of y^T z over each sequence, from the sums of its pieces."""
    pieces = _sequences(q, cu_seqlens, PIECE)
    _, sums = _states(pieces, q.shape[1], y, z, None, None, scale, keeps=False)
    if len(set(pieces.parts)) == 1:
        whole = sums.unflatten(0, (-1, pieces.parts[0])).sum(1)
    else:
        whole = torch.stack([piece.sum(0) for piece in sums.split(pieces.parts)])
    return whole if first is None else whole + first


def _outputs(
    sequences: Sequences,
    heads: int,
    rows: tuple[Tensor, Tensor, Tensor],
    log_decay: Tensor | None,
    states: Tensor,
    scales: tuple[float, float],
    out: Tensor,
    whole: bool = False,
    backward: bool = False,
    dot_with: Tensor | None = None,
) -> Tensor | None:
    """Fills `out`; returns its products with `dot_with`, [blocks, batch, heads, length]."""
    x, y, z = rows
    batches, x_heads, length, depth = x.shape
    width = z.shape[3]
    tiles = fitted(_tiles(OUTPUTS if log_decay is None else DECAYED_OUTPUTS, x), depth, width)
    blocks = triton.cdiv(width, tiles.width)
    dots = None if dot_with is None else states.new_empty((blocks, batches, heads, length))
    dot, precision = OPERANDS[x.dtype]
    kernels.outputs_kernel[(sequences.chunks * x_heads, blocks)](
        x, y, z, states if log_decay is None else log_decay, states, out,
        out if dot_with is None else dot_with, states if dots is None else dots,
        sequences.table, sequences.chunk_sequences,
        batches, heads, x_heads, y.shape[1], z.shape[1], 1 if dot_with is None else dot_with.shape[1],
        length, depth, width, float(scales[0]), float(scales[1]), states.stride(2), states.stride(3),
        DECAYED=log_decay is not None, DOTS=dots is not None, WHOLE=whole, BACKWARD=backward,
        CHUNK=tiles.chunk, BLOCK_D=tiles.depth, BLOCK_E=tiles.width, DOT=dot, PRECISION=precision,
        num_warps=tiles.warps, num_stages=tiles.stages,
    )  # fmt: skip
    return dots


def _tiles(tiles: dict[str, Tiles], tensor: Tensor) -> Tiles:
    return tiles[str(tensor.dtype).removeprefix("torch.")]
