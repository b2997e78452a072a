"""Blocks [channels, positions] of a sample, which the EvoNorm kernels take at a time.

x is [N, C, space], its channels in runs (plain) or beside each other at every position (interleaved, channels_last).
Extents arrive as so many units of a power of 2, so that the compiler knows what divides them and loads 16 bytes at
once.
"""

import triton
import triton.language as tl


@triton.jit
def block_at(
    channel, position, end_channel, channels, space,
    INTERLEAVED: tl.constexpr, WIDE: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    """Channels, offsets in the sample and mask of a block. WIDE: a sample has more elements than 32 bits count."""
    c = channel + tl.arange(0, BLOCK_C)
    s = position + tl.arange(0, BLOCK_S)
    wide_c, wide_s = c, s
    if WIDE:
        wide_c, wide_s = c.to(tl.int64), s.to(tl.int64)
    step_c = 1 if INTERLEAVED else space
    step_s = channels if INTERLEAVED else 1
    offsets = wide_c[:, None] * step_c + wide_s[None, :] * step_s
    return c, offsets, (c < end_channel)[:, None] & (s < space)[None, :]


@triton.jit
def of_channel(values, c, known, otherwise: tl.constexpr, real: tl.constexpr):
    """Parameters [BLOCK_C, 1]; None stands for `otherwise`."""
    if values is None:  # compiled away; but what follows a return is compiled
        result = tl.full(c.shape, otherwise, real)
    else:
        result = tl.load(values + c, mask=known, other=0.0).to(real)
    return result[:, None]
