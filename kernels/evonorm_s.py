"""S0, S1, S2 for CUDA tensors, groups that fit in registers; formulae in csrc/evonorm/operators.h.

One program per sample and group, which it reads once: 2 tensors move forward, 3 backward. Parameter gradients are
written for each sample and added up afterwards in a fixed order (evonorm_s_stages.py, which also has larger groups).
Called by evonorm_launch.py.
"""

import triton
import triton.language as tl
from fastsciml.kernels.evonorm_blocks import block_at, of_channel
from fastsciml.kernels.evonorm_formulae import gate_forward, gate_gradients


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
    x, # [N, C, space]
    v, weight, bias, # [C] or None
    y, # as x
    statistics, # [N, groups, 2]
    channel_units, group_units, space_units,
    EPS: tl.constexpr, # an argument would arrive in float32
    CENTRED: tl.constexpr, UNIT_C: tl.constexpr, UNIT_S: tl.constexpr, INTERLEAVED: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    n, group, groups = tl.program_id(1).to(tl.int64), tl.program_id(0), tl.num_programs(0)
    real: tl.constexpr = statistics.dtype.element_ty
    channels, group_channels, space = channel_units * UNIT_C, group_units * UNIT_C, space_units * UNIT_S
    first = group * group_channels
    c, offsets, inside = block_at(first, 0, first + group_channels, channels, space,
                                  INTERLEAVED, WIDE, BLOCK_C, BLOCK_S)  # fmt: skip
    known = c < first + group_channels
    values = tl.load(x + n * channels * space + offsets, mask=inside, other=0.0).to(real)
    count, mean, squares = deviations(values, inside, CENTRED)
    r = 1.0 / tl.sqrt(squares / count + EPS)
    tl.store(statistics + (n * groups + group) * 2, mean)
    tl.store(statistics + (n * groups + group) * 2 + 1, r)
    scale = of_channel(weight, c, known, 1, real) * r
    result = gate_forward(values, scale, of_channel(bias, c, known, 0, real), of_channel(v, c, known, 1, real))
    tl.store(y + n * channels * space + offsets, result.to(y.dtype.element_ty), mask=inside)


@triton.jit
def backward_kernel(
    dy, x, # [N, C, space]
    v, weight, # [C] or None
    statistics, # [N, groups, 2]
    dx, # as x
    sums, # [N, 3, C]: of dy, dy u r, dy r u x (1 - sigmoid)
    channel_units, group_units, space_units,
    UNIT_C: tl.constexpr, UNIT_S: tl.constexpr, INTERLEAVED: tl.constexpr, WIDE: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    n, group, groups = tl.program_id(1).to(tl.int64), tl.program_id(0), tl.num_programs(0)
    real: tl.constexpr = statistics.dtype.element_ty
    channels, group_channels, space = channel_units * UNIT_C, group_units * UNIT_C, space_units * UNIT_S
    first = group * group_channels
    c, offsets, inside = block_at(first, 0, first + group_channels, channels, space,
                                  INTERLEAVED, WIDE, BLOCK_C, BLOCK_S)  # fmt: skip
    known = c < first + group_channels
    mean = tl.load(statistics + (n * groups + group) * 2)
    r = tl.load(statistics + (n * groups + group) * 2 + 1)
    gate = of_channel(v, c, known, 1, real)
    of_weight = of_channel(weight, c, known, 1, real)
    values = tl.load(x + n * channels * space + offsets, mask=inside, other=0.0).to(real)
    grads = tl.load(dy + n * channels * space + offsets, mask=inside, other=0.0).to(real)
    opened, by_gate, slope = gate_gradients(values, grads, gate)
    of_u = tl.sum(opened, 1)
    sums += n * 3 * channels
    tl.store(sums + c, tl.sum(grads, 1), mask=known)
    tl.store(sums + channels + c, of_u * r, mask=known)
    tl.store(sums + 2 * channels + c, tl.sum(by_gate, 1) * r, mask=known)
    pull = tl.sum(tl.where(known, tl.sum(of_weight, 1) * of_u, 0.0), 0)
    linear = -r * r * r * pull / (group_channels * space)
    result = of_weight * r * slope + linear * (values - mean)
    tl.store(dx + n * channels * space + offsets, result.to(dx.dtype.element_ty), mask=inside)
