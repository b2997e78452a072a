"""Means and squared deviations of the channels of each sample, chunk by chunk of the space; moves x once.

The deviations are taken from a block's own mean and blocks merged exactly: no cancellation, however far the mean is
from 0. Called by evonorm_launch.py for B, and for S where a group does not fit in registers.
"""

import triton
import triton.language as tl
from fastsciml.kernels.evonorm_blocks import block_at


@triton.jit
def moments_kernel(
    x, # [N, C, space]
    out, # [N, chunks, 2, C]: mean (or 0) and squares
    channel_units, space_units,
    CENTRED: tl.constexpr, UNIT_C: tl.constexpr, UNIT_S: tl.constexpr, INTERLEAVED: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    n, chunk, chunks = tl.program_id(2).to(tl.int64), tl.program_id(0), tl.num_programs(0)
    channels, space, first = channel_units * UNIT_C, space_units * UNIT_S, tl.program_id(1) * BLOCK_C
    real: tl.constexpr = out.dtype.element_ty
    x += n * channels * space
    count = tl.zeros((), real)
    mean = tl.zeros((BLOCK_C,), real)
    squares = tl.zeros((BLOCK_C,), real)
    for step in range(STEPS):
        position = (chunk * STEPS + step) * BLOCK_S
        if position < space:
            _c, offsets, inside = block_at(first, position, channels, channels, space,
                                          INTERLEAVED, WIDE, BLOCK_C, BLOCK_S)  # fmt: skip
            block = tl.load(x + offsets, mask=inside, other=0.0).to(real)
            more = tl.minimum(space - position, BLOCK_S).to(real)
            its_mean = tl.zeros((BLOCK_C,), real)
            if CENTRED:
                its_mean = tl.sum(block, 1) / more
            apart = tl.where(inside, block - its_mean[:, None], 0.0)
            between, share = its_mean - mean, more / (count + more)
            squares += tl.sum(apart * apart, 1) + between * between * count * share
            mean += between * share
            count += more
    c = first + tl.arange(0, BLOCK_C)
    out += (n * chunks + chunk) * 2 * channels
    tl.store(out + c, mean, mask=c < channels)
    tl.store(out + channels + c, squares, mask=c < channels)


@triton.jit
def merged(partials, first, end, channels, space, chunks, CHUNK: tl.constexpr, BLOCK_K: tl.constexpr,
           BLOCK_C: tl.constexpr):  # fmt: skip
    """Count, mean and squares of each channel from a sample's partials [chunks, 2, C]."""
    c, k = first + tl.arange(0, BLOCK_C), tl.arange(0, BLOCK_K)
    real: tl.constexpr = partials.dtype.element_ty
    here = (c < end)[:, None] & (k < chunks)[None, :]
    at = partials + k[None, :] * (2 * channels) + c[:, None]
    means, squares = tl.load(at, mask=here, other=0.0), tl.load(at + channels, mask=here, other=0.0)
    counts = tl.maximum(tl.minimum(space - k * CHUNK, CHUNK), 0).to(real)[None, :]
    count = tl.zeros((), real) + space
    mean = tl.sum(counts * means, 1) / count
    apart = tl.where(here, means - mean[:, None], 0.0)
    return count, mean, tl.sum(squares + counts * apart * apart, 1)
