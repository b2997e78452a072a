"""S0, S1, S2 for CUDA tensors whose groups do not fit in registers, or lie in pieces smaller than a sector of memory.

Programs take chunks of the space, so that few large samples fill a GPU, too. Forward: moments (evonorm_moments.py),
the groups' statistics, map: x is read twice, 3 tensors move. Backward: sums, the groups' pulls, slope: 5 tensors; the
second reading comes from the L2 cache where the tensors fit in. Called by evonorm_launch.py.
"""

import triton
import triton.language as tl
from fastsciml.kernels.evonorm_blocks import block_at, of_channel
from fastsciml.kernels.evonorm_formulae import gate_forward, gate_gradients, gate_slope
from fastsciml.kernels.evonorm_moments import merged


@triton.jit
def statistics_kernel(
    partials, # [N, chunks, 2, C]
    statistics, # [N, groups, 2]
    channels, group_channels, space, chunks,
    EPS: tl.constexpr, CHUNK: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    n, group, groups = tl.program_id(1).to(tl.int64), tl.program_id(0), tl.num_programs(0)
    real: tl.constexpr = statistics.dtype.element_ty
    partials += n * chunks * 2 * channels
    end = (group + 1) * group_channels
    count = tl.zeros((), real)
    mean = tl.zeros((), real)
    squares = tl.zeros((), real)
    for first in range(group * group_channels, end, BLOCK_C):
        each, means, its_squares = merged(partials, first, end, channels, space, chunks, CHUNK, BLOCK_K, BLOCK_C)
        here = first + tl.arange(0, BLOCK_C) < end
        more = each * tl.sum(here.to(real), 0)
        its_mean = tl.sum(means, 0) * each / more
        apart = tl.where(here, means - its_mean, 0.0)
        between, share = its_mean - mean, more / (count + more)
        squares += tl.sum(its_squares + each * apart * apart, 0) + between * between * count * share
        mean += between * share
        count += more
    tl.store(statistics + (n * groups + group) * 2, mean)
    tl.store(statistics + (n * groups + group) * 2 + 1, 1.0 / tl.sqrt(squares / count + EPS))


@triton.jit
def map_kernel(
    x, # [N, C, space]
    v, weight, bias, # [C] or None
    statistics, # [N, groups, 2]
    y, # as x
    channel_units, group_channels, groups, space_units,
    UNIT_C: tl.constexpr, UNIT_S: tl.constexpr, INTERLEAVED: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    n, chunk = tl.program_id(2).to(tl.int64), tl.program_id(0)
    channels, space, first = channel_units * UNIT_C, space_units * UNIT_S, tl.program_id(1) * BLOCK_C
    real: tl.constexpr = statistics.dtype.element_ty
    c = first + tl.arange(0, BLOCK_C)
    known = c < channels
    r = tl.load(statistics + (n * groups + c // group_channels) * 2 + 1, mask=known, other=0.0)[:, None]
    scale, shift = of_channel(weight, c, known, 1, real) * r, of_channel(bias, c, known, 0, real)
    gate = of_channel(v, c, known, 1, real)
    for step in range(STEPS):
        _c, offsets, inside = block_at(first, (chunk * STEPS + step) * BLOCK_S, channels, channels, space,
                                      INTERLEAVED, WIDE, BLOCK_C, BLOCK_S)  # fmt: skip
        values = tl.load(x + n * channels * space + offsets, mask=inside, other=0.0).to(real)
        result = gate_forward(values, scale, shift, gate)
        tl.store(y + n * channels * space + offsets, result.to(y.dtype.element_ty), mask=inside)


@triton.jit
def sums_kernel(
    dy, x, # [N, C, space]
    v, # [C] or None
    out, # [N, chunks, 3, C]: of dy, dy u, dy u x (1 - sigmoid)
    channel_units, space_units,
    UNIT_C: tl.constexpr, UNIT_S: tl.constexpr, INTERLEAVED: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    n, chunk, chunks = tl.program_id(2).to(tl.int64), tl.program_id(0), tl.num_programs(0)
    channels, space, first = channel_units * UNIT_C, space_units * UNIT_S, tl.program_id(1) * BLOCK_C
    real: tl.constexpr = out.dtype.element_ty
    c = first + tl.arange(0, BLOCK_C)
    known = c < channels
    gate = of_channel(v, c, known, 1, real)
    of_dy = tl.zeros((BLOCK_C,), real)
    of_u = tl.zeros((BLOCK_C,), real)
    of_v = tl.zeros((BLOCK_C,), real)
    for step in range(STEPS):
        _c, offsets, inside = block_at(first, (chunk * STEPS + step) * BLOCK_S, channels, channels, space,
                                      INTERLEAVED, WIDE, BLOCK_C, BLOCK_S)  # fmt: skip
        values = tl.load(x + n * channels * space + offsets, mask=inside, other=0.0).to(real)
        grads = tl.load(dy + n * channels * space + offsets, mask=inside, other=0.0).to(real)
        opened, by_gate, _ = gate_gradients(values, grads, gate)
        of_dy += tl.sum(grads, 1)
        of_u += tl.sum(opened, 1)
        of_v += tl.sum(by_gate, 1)
    out += (n * chunks + chunk) * 3 * channels
    tl.store(out + c, of_dy, mask=known)
    tl.store(out + channels + c, of_u, mask=known)
    tl.store(out + 2 * channels + c, of_v, mask=known)


@triton.jit
def over_chunks(partials, kind, c, known, channels, chunks, KINDS: tl.constexpr, BLOCK_K: tl.constexpr):
    """[BLOCK_C]: one of KINDS sums of each channel, from a sample's partials [chunks, KINDS, C]."""
    k = tl.arange(0, BLOCK_K)
    at = partials + k[None, :] * (KINDS * channels) + kind * channels + c[:, None]
    return tl.sum(tl.load(at, mask=known[:, None] & (k < chunks)[None, :], other=0.0), 1)


@triton.jit
def pull_kernel(
    partials, # [N, chunks, 3, C]
    weight, # [C] or None
    statistics, # [N, groups, 2]
    sums, # [N, 3, C]: as backward_kernel's in evonorm_s.py
    linear, # [N, groups]: what x is multiplied by in dx
    channels, group_channels, space, chunks,
    BLOCK_K: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    n, group, groups = tl.program_id(1).to(tl.int64), tl.program_id(0), tl.num_programs(0)
    real: tl.constexpr = statistics.dtype.element_ty
    partials += n * chunks * 3 * channels
    sums += n * 3 * channels
    end = (group + 1) * group_channels
    r = tl.load(statistics + (n * groups + group) * 2 + 1)
    pull = tl.zeros((), real)
    for first in range(group * group_channels, end, BLOCK_C):
        c = first + tl.arange(0, BLOCK_C)
        known = c < end
        of_u = over_chunks(partials, 1, c, known, channels, chunks, 3, BLOCK_K)
        tl.store(sums + c, over_chunks(partials, 0, c, known, channels, chunks, 3, BLOCK_K), mask=known)
        tl.store(sums + channels + c, of_u * r, mask=known)
        of_v = over_chunks(partials, 2, c, known, channels, chunks, 3, BLOCK_K)
        tl.store(sums + 2 * channels + c, of_v * r, mask=known)
        pull += tl.sum(tl.where(known, tl.sum(of_channel(weight, c, known, 1, real), 1) * of_u, 0.0), 0)
    tl.store(linear + n * groups + group, -r * r * r * pull / (group_channels * space))


@triton.jit
def slope_kernel(
    dy, x, # [N, C, space]
    v, weight, # [C] or None
    statistics, # [N, groups, 2]
    linear, # [N, groups]
    dx, # as x
    channel_units, group_channels, groups, space_units,
    UNIT_C: tl.constexpr, UNIT_S: tl.constexpr, INTERLEAVED: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    n, chunk = tl.program_id(2).to(tl.int64), tl.program_id(0)
    channels, space, first = channel_units * UNIT_C, space_units * UNIT_S, tl.program_id(1) * BLOCK_C
    real: tl.constexpr = statistics.dtype.element_ty
    c = first + tl.arange(0, BLOCK_C)
    known = c < channels
    group = n * groups + c // group_channels
    mean = tl.load(statistics + group * 2, mask=known, other=0.0)[:, None]
    r = tl.load(statistics + group * 2 + 1, mask=known, other=0.0)[:, None]
    a = tl.load(linear + group, mask=known, other=0.0)[:, None]
    scale, gate = of_channel(weight, c, known, 1, real) * r, of_channel(v, c, known, 1, real)
    for step in range(STEPS):
        _c, offsets, inside = block_at(first, (chunk * STEPS + step) * BLOCK_S, channels, channels, space,
                                      INTERLEAVED, WIDE, BLOCK_C, BLOCK_S)  # fmt: skip
        values = tl.load(x + n * channels * space + offsets, mask=inside, other=0.0).to(real)
        grads = tl.load(dy + n * channels * space + offsets, mask=inside, other=0.0).to(real)
        result = gate_slope(values, grads, scale, gate, a, mean)
        tl.store(dx + n * channels * space + offsets, result.to(dx.dtype.element_ty), mask=inside)


@triton.jit
def gradients_kernel(
    sums, # [N, 3, C]
    weight, # [C] or None
    out, # [3, C]: of bias, weight, v
    n, channels,
    BLOCK_N: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    kind, c = tl.program_id(1), tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    real: tl.constexpr = out.dtype.element_ty
    known = c < channels
    each = tl.zeros((BLOCK_N, BLOCK_C), real)
    for first in range(0, n, BLOCK_N):
        sample = first + tl.arange(0, BLOCK_N)
        at = sums + (sample.to(tl.int64)[:, None] * 3 + kind) * channels + c[None, :]
        each += tl.load(at, mask=known[None, :] & (sample < n)[:, None], other=0.0)
    total = tl.sum(each, 0)
    if kind == 2:
        total *= tl.sum(of_channel(weight, c, known, 1, real), 1)
    tl.store(out + kind * channels + c, total, mask=known)
