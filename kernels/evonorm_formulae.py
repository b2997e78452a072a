"""The element formulae of EvoNorm for Triton, as csrc/evonorm/variants.h has them for C++; derivations in operators.h
there. variant is 0, 1, 2 for B0, B1, B2.
"""

import triton
import triton.language as tl


@triton.jit
def sigmoid(z):
    """Of float64 too; exp of a large number is infinity, and 1 / infinity the 0 it should be."""
    return 1.0 / (1.0 + tl.exp(-z))


@triton.jit
def right_of(x, own, v, variant: tl.constexpr):
    if variant == 0:
        right = v * x + own
    elif variant == 1:
        right = (x + 1.0) * own
    else:
        right = own - x
    return right


@triton.jit
def forward(x, scale, shift, left, own, v, variant: tl.constexpr):
    """Scale x / max(left, right) + shift."""
    right = right_of(x, own, v, variant)
    return scale * x / tl.where(left >= right, left, right) + shift


@triton.jit
def products(x, dy, left, own, v, variant: tl.constexpr):
    """What a channel of a sample adds up: dy x / d, then of the left side, of the right, of v."""
    right = right_of(x, own, v, variant)
    is_left = left >= right
    per = 1.0 / tl.where(is_left, left, right)
    weight = dy * x * per
    squared = weight * per
    of_own = tl.where(is_left, 0.0, squared)
    by_own = of_own
    if variant == 1:
        by_own = of_own * (x + 1.0)
    return weight, tl.where(is_left, squared, 0.0), by_own, of_own * x


@triton.jit
def slope(x, dy, scale, left, own, v, linear, constant, variant: tl.constexpr):
    right = right_of(x, own, v, variant)
    is_left = left >= right
    per = 1.0 / tl.where(is_left, left, right)
    return scale * dy * tl.where(is_left, per, own * per * per) + linear * x + constant


@triton.jit
def gate_forward(x, scale, shift, v):
    """S: scale x sigmoid(v x) + shift."""
    return scale * x * sigmoid(v * x) + shift


@triton.jit
def gate_gradients(x, dy, v):
    """S: dy u, dy u x (1 - sigmoid) and dy du/dx, where u = x sigmoid(v x)."""
    z = v * x
    gate = sigmoid(z)
    shut = 1.0 - gate
    opened = dy * x * gate
    return opened, opened * x * shut, dy * gate * (1.0 + z * shut)


@triton.jit
def gate_slope(x, dy, scale, v, linear, mean):
    z = v * x
    gate = sigmoid(z)
    return scale * dy * gate * (1.0 + z * (1.0 - gate)) + linear * (x - mean)
