"""B0, B1, B2 for CUDA tensors; formulae in csrc/evonorm/operators.h.

Forward: moments (evonorm_moments.py), the batch's statistic, map: x is read twice, 3 tensors move. Backward: sums,
totals over the batch, slope: 5 tensors. What is kept for each channel of each sample is added up in a fixed order.
Called by evonorm_b_launch.py.
"""

import triton
import triton.language as tl
from fastsciml.kernels.evonorm_blocks import block_at, of_channel
from fastsciml.kernels.evonorm_formulae import forward, products, slope


@triton.jit
def batch_kernel(
    partials, # [N, chunks, 2, C]: means and squares
    variance, # [C] or None: the batch's own
    planes, # [N, 2, C]: mean and variance
    batch, # [3, C]: mean, variance, count; 0, the variance and 1 where that is given
    samples, channels, space, chunks,
    CHUNK: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    c = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    real: tl.constexpr = batch.dtype.element_ty
    known = c < channels
    count = tl.zeros((), real)
    mean = tl.zeros((BLOCK_C,), real)
    squares = tl.zeros((BLOCK_C,), real)
    size = tl.zeros((), real) + space
    for first in range(0, samples, BLOCK_N):
        n = first + tl.arange(0, BLOCK_N)
        here = (n < samples)[:, None] & known[None, :]
        row = partials + n.to(tl.int64)[:, None] * (chunks * 2 * channels) + c[None, :]
        seen = tl.zeros((), real)
        means = tl.zeros((BLOCK_N, BLOCK_C), real)
        each = tl.zeros((BLOCK_N, BLOCK_C), real)
        for k in range(chunks):
            more = tl.minimum(space - k * CHUNK, CHUNK).to(real)
            between = tl.load(row + k * 2 * channels, mask=here, other=0.0) - means
            share = more / (seen + more)
            each += tl.load(row + (k * 2 + 1) * channels, mask=here, other=0.0) + between * between * seen * share
            means += between * share
            seen += more
        plane = planes + n.to(tl.int64)[:, None] * (2 * channels) + c[None, :]
        tl.store(plane, means, mask=here)
        tl.store(plane + channels, each / size, mask=here)
        more = tl.minimum(samples - first, BLOCK_N).to(real) * size
        its_mean = tl.sum(means, 0) * size / more
        apart = tl.where(here, means - its_mean[None, :], 0.0)
        between, share = its_mean - mean, more / (count + more)
        squares += tl.sum(each + size * apart * apart, 0) + between * between * count * share
        mean += between * share
        count += more
    spread = squares / count
    if variance is not None:
        spread, mean, count = tl.load(variance + c, mask=known, other=0.0), mean * 0, count * 0 + 1
    tl.store(batch + c, mean, mask=known)
    tl.store(batch + channels + c, spread, mask=known)
    tl.store(batch + 2 * channels + c, tl.zeros((BLOCK_C,), real) + count, mask=known)


@triton.jit
def sides(planes, batch, n, c, known, channels, EPS: tl.constexpr, VARIANT: tl.constexpr):
    """[BLOCK_C, 1]: the batch's side of the maximum, the plane's own statistic, and the plane's mean."""
    mean = tl.load(planes + n * 2 * channels + c, mask=known, other=0.0)
    spread = tl.load(planes + n * 2 * channels + channels + c, mask=known, other=1.0)
    if VARIANT != 0:
        spread += mean * mean
    left = tl.sqrt(tl.load(batch + channels + c, mask=known, other=1.0) + EPS)
    # The choice of the larger passes a NaN on the right on, but not one on the left.
    own = tl.where(left != left, left, tl.sqrt(spread + EPS))
    return left[:, None], own[:, None], mean[:, None]


@triton.jit
def map_kernel(
    x, # [N, C, space]
    v, weight, bias, # [C] or None
    planes, # [N, 2, C]
    batch, # [3, C]
    y, # as x
    channel_units, space_units,
    EPS: tl.constexpr, VARIANT: tl.constexpr,
    UNIT_C: tl.constexpr, UNIT_S: tl.constexpr, INTERLEAVED: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    n, chunk = tl.program_id(2).to(tl.int64), tl.program_id(0)
    channels, space, first = channel_units * UNIT_C, space_units * UNIT_S, tl.program_id(1) * BLOCK_C
    real: tl.constexpr = planes.dtype.element_ty
    c = first + tl.arange(0, BLOCK_C)
    known = c < channels
    left, own, _ = sides(planes, batch, n, c, known, channels, EPS, VARIANT)
    scale, shift = of_channel(weight, c, known, 1, real), of_channel(bias, c, known, 0, real)
    gate = of_channel(v, c, known, 1, real)
    for step in range(STEPS):
        _c, offsets, inside = block_at(first, (chunk * STEPS + step) * BLOCK_S, channels, channels, space,
                                      INTERLEAVED, WIDE, BLOCK_C, BLOCK_S)  # fmt: skip
        values = tl.load(x + n * channels * space + offsets, mask=inside, other=0.0).to(real)
        result = forward(values, scale, shift, left, own, gate, VARIANT)
        tl.store(y + n * channels * space + offsets, result.to(y.dtype.element_ty), mask=inside)


@triton.jit
def sums_kernel(
    dy, x, # [N, C, space]
    v, # [C] or None
    planes, # [N, 2, C]
    batch, # [3, C]
    out, # [N, chunks, 5, C]: of dy, dy x / d, v, the left side, the right; the last three without -weight
    channel_units, space_units,
    EPS: tl.constexpr, VARIANT: tl.constexpr,
    UNIT_C: tl.constexpr, UNIT_S: tl.constexpr, INTERLEAVED: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    n, chunk, chunks = tl.program_id(2).to(tl.int64), tl.program_id(0), tl.num_programs(0)
    channels, space, first = channel_units * UNIT_C, space_units * UNIT_S, tl.program_id(1) * BLOCK_C
    real: tl.constexpr = planes.dtype.element_ty
    c = first + tl.arange(0, BLOCK_C)
    known = c < channels
    left, own, _ = sides(planes, batch, n, c, known, channels, EPS, VARIANT)
    gate = of_channel(v, c, known, 1, real)
    of_dy = tl.zeros((BLOCK_C,), real)
    of_weight = tl.zeros((BLOCK_C,), real)
    of_left = tl.zeros((BLOCK_C,), real)
    of_own = tl.zeros((BLOCK_C,), real)
    of_v = tl.zeros((BLOCK_C,), real)
    for step in range(STEPS):
        _c, offsets, inside = block_at(first, (chunk * STEPS + step) * BLOCK_S, channels, channels, space,
                                      INTERLEAVED, WIDE, BLOCK_C, BLOCK_S)  # fmt: skip
        values = tl.load(x + n * channels * space + offsets, mask=inside, other=0.0).to(real)
        grads = tl.load(dy + n * channels * space + offsets, mask=inside, other=0.0).to(real)
        by_weight, by_left, by_own, by_v = products(values, grads, left, own, gate, VARIANT)
        of_dy += tl.sum(grads, 1)
        of_weight += tl.sum(by_weight, 1)
        of_left += tl.sum(by_left, 1)
        of_own += tl.sum(by_own, 1)
        of_v += tl.sum(by_v, 1)
    out += (n * chunks + chunk) * 5 * channels
    tl.store(out + c, of_dy, mask=known)
    tl.store(out + channels + c, of_weight, mask=known)
    tl.store(out + 2 * channels + c, of_v, mask=known)
    tl.store(out + 3 * channels + c, of_left, mask=known)
    tl.store(out + 4 * channels + c, of_own, mask=known)


@triton.jit
def totals_kernel(
    partials, # [N, chunks, 5, C]
    weight, # [C] or None
    own, # [N, C]: a plane's sum for the right side
    out, # [4, C]: gradients of bias, weight and v, and the batch's sum for the left side
    samples, channels, chunks,
    BLOCK_N: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    c, kind = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C), tl.program_id(1)
    real: tl.constexpr = out.dtype.element_ty
    known = c < channels
    total = tl.zeros((BLOCK_C,), real)
    for first in range(0, samples, BLOCK_N):
        n = first + tl.arange(0, BLOCK_N)
        here = (n < samples)[:, None] & known[None, :]
        row = partials + n.to(tl.int64)[:, None] * (chunks * 5 * channels) + kind * channels + c[None, :]
        each = tl.zeros((BLOCK_N, BLOCK_C), real)
        for k in range(chunks):
            each += tl.load(row + k * 5 * channels, mask=here, other=0.0)
        if kind == 4:
            tl.store(own + n.to(tl.int64)[:, None] * channels + c[None, :], each, mask=here)
        total += tl.sum(each, 0)
    if kind == 2:
        total *= -tl.sum(of_channel(weight, c, known, 1, real), 1)
    if kind < 4:
        tl.store(out + kind * channels + c, total, mask=known)


@triton.jit
def slope_kernel(
    dy, x, # [N, C, space]
    v, weight, # [C] or None
    planes, # [N, 2, C]
    batch, # [3, C]
    own_sums, # [N, C]
    pull, # [C], or None: the batch's variance is a constant
    dx, # as x
    channel_units, space_units,
    EPS: tl.constexpr, VARIANT: tl.constexpr,
    UNIT_C: tl.constexpr, UNIT_S: tl.constexpr, INTERLEAVED: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    n, chunk = tl.program_id(2).to(tl.int64), tl.program_id(0)
    channels, space, first = channel_units * UNIT_C, space_units * UNIT_S, tl.program_id(1) * BLOCK_C
    real: tl.constexpr = planes.dtype.element_ty
    c = first + tl.arange(0, BLOCK_C)
    known = c < channels
    left, own, mean = sides(planes, batch, n, c, known, channels, EPS, VARIANT)
    scale, gate = of_channel(weight, c, known, 1, real), of_channel(v, c, known, 1, real)
    linear = -scale * tl.load(own_sums + n * channels + c, mask=known, other=0.0)[:, None] / (own * space)
    constant = linear * 0
    if VARIANT == 0:
        if space == 1:  # its variance is 0 whatever x; a x + b would leave its rounding
            linear = linear * 0
        constant = -linear * mean
    if pull is not None:
        count = tl.load(batch + 2 * channels + c, mask=known, other=1.0)[:, None]
        shared = -scale * tl.load(pull + c, mask=known, other=0.0)[:, None] / (left * count)
        linear += shared
        constant -= shared * tl.load(batch + c, mask=known, other=0.0)[:, None]
    for step in range(STEPS):
        _c, offsets, inside = block_at(first, (chunk * STEPS + step) * BLOCK_S, channels, channels, space,
                                      INTERLEAVED, WIDE, BLOCK_C, BLOCK_S)  # fmt: skip
        values = tl.load(x + n * channels * space + offsets, mask=inside, other=0.0).to(real)
        grads = tl.load(dy + n * channels * space + offsets, mask=inside, other=0.0).to(real)
        result = slope(values, grads, scale, left, own, gate, linear, constant, VARIANT)
        tl.store(dx + n * channels * space + offsets, result.to(dx.dtype.element_ty), mask=inside)
