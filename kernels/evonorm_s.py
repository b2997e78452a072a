"""S0, S1, S2 for CUDA tensors; formulae in csrc/evonorm/operators.h.

One program per sample and group. A group that fits is held in registers and read once: 2 tensors move forward, 3
backward. A larger one is walked twice in blocks: 3 and 5. Strides serve both memory formats. Parameter gradients are
written for each sample and added up afterwards in a fixed order. Called by evonorm_launch.py.
"""

import triton
import triton.language as tl
from fastsciml.kernels.evonorm_formulae import gate_forward, gate_products, gate_slope


@triton.jit
def block_at(channel, position, end_channel, space, stride_c, stride_s, BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr):
    """Channels, offsets and mask of a block [BLOCK_C, BLOCK_S] of a sample."""
    c = channel + tl.arange(0, BLOCK_C)
    s = position + tl.arange(0, BLOCK_S)
    offsets = c.to(tl.int64)[:, None] * stride_c + s.to(tl.int64)[None, :] * stride_s
    return c, offsets, (c < end_channel)[:, None] & (s < space)[None, :]


@triton.jit
def deviations(x, inside, CENTRED: tl.constexpr):
    """Elements of a block, their mean (or 0), and the sum of squared deviations from it."""
    count = tl.sum(tl.sum(inside.to(x.dtype), 1), 0)
    mean = count * 0
    if CENTRED:
        mean = tl.sum(tl.sum(x, 1), 0) / count
    apart = tl.where(inside, x - mean, 0.0)
    return count, mean, tl.sum(tl.sum(apart * apart, 1), 0)


@triton.jit
def forward_kernel(
    x, # [N, C, space] by strides
    v, weight, bias, # [C]
    y, # as x
    statistics, # [N, groups, 2]
    channels, group_channels, space, stride_n, stride_c, stride_s, eps,
    CENTRED: tl.constexpr, HELD: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    n, group, groups = tl.program_id(1).to(tl.int64), tl.program_id(0), tl.num_programs(0)
    real: tl.constexpr = statistics.dtype.element_ty
    first, end = group * group_channels, (group + 1) * group_channels
    x += n * stride_n
    y += n * stride_n
    if HELD:
        c, offsets, inside = block_at(first, 0, end, space, stride_c, stride_s, BLOCK_C, BLOCK_S)
        held = tl.load(x + offsets, mask=inside, other=0.0).to(real)
        count, mean, squares = deviations(held, inside, CENTRED)
    else:
        count = tl.zeros((), real)
        mean = tl.zeros((), real)
        squares = tl.zeros((), real)
        for channel in range(first, end, BLOCK_C):
            for position in range(0, space, BLOCK_S):
                c, offsets, inside = block_at(channel, position, end, space, stride_c, stride_s, BLOCK_C, BLOCK_S)
                block = tl.load(x + offsets, mask=inside, other=0.0).to(real)
                more, its_mean, its_squares = deviations(block, inside, CENTRED)
                apart, share = its_mean - mean, more / (count + more)
                squares += its_squares + apart * apart * count * share
                mean += apart * share
                count += more
    r = 1.0 / tl.sqrt(squares / count + eps)
    tl.store(statistics + (n * groups + group) * 2, mean)
    tl.store(statistics + (n * groups + group) * 2 + 1, r)
    if HELD:
        known = c < end
        scale = tl.load(weight + c, mask=known, other=0.0) * r
        shift, gate = tl.load(bias + c, mask=known, other=0.0), tl.load(v + c, mask=known, other=0.0)
        result = gate_forward(held, scale[:, None], shift[:, None], gate[:, None])
        tl.store(y + offsets, result.to(y.dtype.element_ty), mask=inside)
    else:
        for channel in range(first, end, BLOCK_C):
            for position in range(0, space, BLOCK_S):
                c, offsets, inside = block_at(channel, position, end, space, stride_c, stride_s, BLOCK_C, BLOCK_S)
                block = tl.load(x + offsets, mask=inside, other=0.0).to(real)
                known = c < end
                scale = tl.load(weight + c, mask=known, other=0.0) * r
                shift, gate = tl.load(bias + c, mask=known, other=0.0), tl.load(v + c, mask=known, other=0.0)
                result = gate_forward(block, scale[:, None], shift[:, None], gate[:, None])
                tl.store(y + offsets, result.to(y.dtype.element_ty), mask=inside)


@triton.jit
def backward_kernel(
    dy, x, # [N, C, space] by strides
    v, weight, # [C]
    statistics, # [N, groups, 2]
    dx, # as x
    sums, # [N, 3, C]: of dy, dy u r, dy r u x (1 - sigmoid)
    channels, group_channels, space, stride_n, stride_c, stride_s,
    HELD: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    n, group, groups = tl.program_id(1).to(tl.int64), tl.program_id(0), tl.num_programs(0)
    real: tl.constexpr = statistics.dtype.element_ty
    first, end = group * group_channels, (group + 1) * group_channels
    x += n * stride_n
    dy += n * stride_n
    dx += n * stride_n
    sums += n * 3 * channels
    mean = tl.load(statistics + (n * groups + group) * 2)
    r = tl.load(statistics + (n * groups + group) * 2 + 1)
    if HELD:
        c, offsets, inside = block_at(first, 0, end, space, stride_c, stride_s, BLOCK_C, BLOCK_S)
        known = c < end
        gate, of_weight = tl.load(v + c, mask=known, other=0.0), tl.load(weight + c, mask=known, other=0.0)
        values = tl.load(x + offsets, mask=inside, other=0.0).to(real)
        grads = tl.load(dy + offsets, mask=inside, other=0.0).to(real)
        opened, by_gate = gate_products(values, grads, gate[:, None])
        of_u = tl.sum(opened, 1)
        tl.store(sums + c, tl.sum(grads, 1), mask=known)
        tl.store(sums + channels + c, of_u * r, mask=known)
        tl.store(sums + 2 * channels + c, tl.sum(by_gate, 1) * r, mask=known)
        linear = -r * r * r * tl.sum(of_weight * of_u, 0) / (group_channels * space)
        result = gate_slope(values, grads, (of_weight * r)[:, None], gate[:, None], linear, -linear * mean)
        tl.store(dx + offsets, result.to(dx.dtype.element_ty), mask=inside)
    else:
        total = tl.zeros((), real)
        for channel in range(first, end, BLOCK_C):
            c = channel + tl.arange(0, BLOCK_C)
            known = c < end
            gate = tl.load(v + c, mask=known, other=0.0)
            of_dy = tl.zeros((BLOCK_C,), real)
            of_u = tl.zeros((BLOCK_C,), real)
            of_v = tl.zeros((BLOCK_C,), real)
            for position in range(0, space, BLOCK_S):
                _, offsets, inside = block_at(channel, position, end, space, stride_c, stride_s, BLOCK_C, BLOCK_S)
                values = tl.load(x + offsets, mask=inside, other=0.0).to(real)
                grads = tl.load(dy + offsets, mask=inside, other=0.0).to(real)
                opened, by_gate = gate_products(values, grads, gate[:, None])
                of_dy += tl.sum(grads, 1)
                of_u += tl.sum(opened, 1)
                of_v += tl.sum(by_gate, 1)
            tl.store(sums + c, of_dy, mask=known)
            tl.store(sums + channels + c, of_u * r, mask=known)
            tl.store(sums + 2 * channels + c, of_v * r, mask=known)
            total += tl.sum(tl.load(weight + c, mask=known, other=0.0) * of_u, 0)
        linear = -r * r * r * total / (group_channels * space)
        for channel in range(first, end, BLOCK_C):
            for position in range(0, space, BLOCK_S):
                c, offsets, inside = block_at(channel, position, end, space, stride_c, stride_s, BLOCK_C, BLOCK_S)
                values = tl.load(x + offsets, mask=inside, other=0.0).to(real)
                grads = tl.load(dy + offsets, mask=inside, other=0.0).to(real)
                gate = tl.load(v + c, mask=c < end, other=0.0)
                scale = tl.load(weight + c, mask=c < end, other=0.0) * r
                result = gate_slope(values, grads, scale[:, None], gate[:, None], linear, -linear * mean)
                tl.store(dx + offsets, result.to(dx.dtype.element_ty), mask=inside)
