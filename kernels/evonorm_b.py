"""The stages of B0, B1, B2 for CUDA tensors; formulae and parameters [N, 5 or 7, C] in csrc/evonorm/operators.h.

Programs take a sample's channels in blocks: the reductions walk all positions, the element stages take a block of them.
Strides serve both memory formats. Moves what a stage must: moments 1 tensor, map 2, sums 2, slope 3. Called by
evonorm_launch.py.
"""

import triton
import triton.language as tl
from fastsciml.kernels.evonorm_formulae import forward, products, slope
from fastsciml.kernels.evonorm_s import block_at


@triton.jit
def parameter(parameters, k, c, known, channels):
    return tl.load(parameters + k * channels + c, mask=known, other=1.0)[:, None]


@triton.jit
def moments_kernel(
    x, # [N, C, space] by strides
    out, # [N, 2, C]
    channels, space, stride_n, stride_c, stride_s,
    CENTRED: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    n, first = tl.program_id(1).to(tl.int64), tl.program_id(0) * BLOCK_C
    real: tl.constexpr = out.dtype.element_ty
    x += n * stride_n
    count = tl.zeros((), real)
    mean = tl.zeros((BLOCK_C,), real)
    squares = tl.zeros((BLOCK_C,), real)
    for position in range(0, space, BLOCK_S):
        _, offsets, inside = block_at(first, position, channels, space, stride_c, stride_s, BLOCK_C, BLOCK_S)
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
    out += n * 2 * channels
    tl.store(out + c, mean, mask=c < channels)
    tl.store(out + channels + c, squares / count, mask=c < channels)


@triton.jit
def map_kernel(
    x, # [N, C, space] by strides
    parameters, # [N, 5, C]
    y, # as x
    channels, space, stride_n, stride_c, stride_s,
    VARIANT: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    n, first, position = tl.program_id(2).to(tl.int64), tl.program_id(1) * BLOCK_C, tl.program_id(0) * BLOCK_S
    real: tl.constexpr = parameters.dtype.element_ty
    c, offsets, inside = block_at(first, position, channels, space, stride_c, stride_s, BLOCK_C, BLOCK_S)
    parameters += n * 5 * channels
    known = c < channels
    scale = parameter(parameters, 0, c, known, channels)
    shift = parameter(parameters, 1, c, known, channels)
    left = parameter(parameters, 2, c, known, channels)
    own = parameter(parameters, 3, c, known, channels)
    v = parameter(parameters, 4, c, known, channels)
    block = tl.load(x + n * stride_n + offsets, mask=inside, other=0.0).to(real)
    result = forward(block, scale, shift, left, own, v, VARIANT)
    tl.store(y + n * stride_n + offsets, result.to(y.dtype.element_ty), mask=inside)


@triton.jit
def sums_kernel(
    dy, x, # [N, C, space] by strides
    parameters, # [N, 5, C]
    out, # [N, 5, C]
    channels, space, stride_n, stride_c, stride_s,
    VARIANT: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    n, first = tl.program_id(1).to(tl.int64), tl.program_id(0) * BLOCK_C
    real: tl.constexpr = parameters.dtype.element_ty
    x += n * stride_n
    dy += n * stride_n
    parameters += n * 5 * channels
    out += n * 5 * channels
    c = first + tl.arange(0, BLOCK_C)
    known = c < channels
    left = parameter(parameters, 2, c, known, channels)
    own = parameter(parameters, 3, c, known, channels)
    v = parameter(parameters, 4, c, known, channels)
    of_dy = tl.zeros((BLOCK_C,), real)
    of_weight = tl.zeros((BLOCK_C,), real)
    of_left = tl.zeros((BLOCK_C,), real)
    of_own = tl.zeros((BLOCK_C,), real)
    of_v = tl.zeros((BLOCK_C,), real)
    for position in range(0, space, BLOCK_S):
        _, offsets, inside = block_at(first, position, channels, space, stride_c, stride_s, BLOCK_C, BLOCK_S)
        values = tl.load(x + offsets, mask=inside, other=0.0).to(real)
        grads = tl.load(dy + offsets, mask=inside, other=0.0).to(real)
        by_weight, by_left, by_own, by_v = products(values, grads, left, own, v, VARIANT)
        of_dy += tl.sum(grads, 1)
        of_weight += tl.sum(by_weight, 1)
        of_left += tl.sum(by_left, 1)
        of_own += tl.sum(by_own, 1)
        of_v += tl.sum(by_v, 1)
    tl.store(out + c, of_dy, mask=known)
    tl.store(out + channels + c, of_weight, mask=known)
    tl.store(out + 2 * channels + c, of_left, mask=known)
    tl.store(out + 3 * channels + c, of_own, mask=known)
    tl.store(out + 4 * channels + c, of_v, mask=known)


@triton.jit
def slope_kernel(
    dy, x, # [N, C, space] by strides
    parameters, # [N, 7, C]
    dx, # as x
    channels, space, stride_n, stride_c, stride_s,
    VARIANT: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    n, first, position = tl.program_id(2).to(tl.int64), tl.program_id(1) * BLOCK_C, tl.program_id(0) * BLOCK_S
    real: tl.constexpr = parameters.dtype.element_ty
    c, offsets, inside = block_at(first, position, channels, space, stride_c, stride_s, BLOCK_C, BLOCK_S)
    parameters += n * 7 * channels
    known = c < channels
    scale = parameter(parameters, 0, c, known, channels)
    left = parameter(parameters, 2, c, known, channels)
    own = parameter(parameters, 3, c, known, channels)
    v = parameter(parameters, 4, c, known, channels)
    linear = parameter(parameters, 5, c, known, channels)
    constant = parameter(parameters, 6, c, known, channels)
    values = tl.load(x + n * stride_n + offsets, mask=inside, other=0.0).to(real)
    grads = tl.load(dy + n * stride_n + offsets, mask=inside, other=0.0).to(real)
    result = slope(values, grads, scale, left, own, v, linear, constant, VARIANT)
    tl.store(dx + n * stride_n + offsets, result.to(dx.dtype.element_ty), mask=inside)
