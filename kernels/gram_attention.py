"""Attention by the Gram matrix for CUDA tensors; formulae in csrc/attention/operators.h.

One program per task makes its output, or its tokens' gradient; another one per share of the tasks and head makes what
they add to the weights' gradients, G and dM anew. A matrix is one block, padded with zeros to the least operand of a
product; tokens are walked in blocks of rows.

Bytes: tokens read and output written; backward tokens and dout read once for dtokens and once per head for the weights.
Sums and products are REAL, float32 or float64; float16 and bfloat16 are multiplied as TF32, which holds their digits.
Called by gram_attention_launch.py.
"""

import triton
import triton.language as tl


@triton.jit
def product(a, b, REAL: tl.constexpr, PRECISION: tl.constexpr):
    return tl.dot(a, b, out_dtype=REAL, input_precision=PRECISION)


@triton.jit
def load_matrix(matrices, head, width, REAL: tl.constexpr, BLOCK_T: tl.constexpr):
    i = tl.arange(0, BLOCK_T)
    inside = (i < width)[:, None] & (i < width)[None, :]
    of_matrix = (head * width + i[:, None]) * width + i[None, :]
    return tl.load(matrices + of_matrix, mask=inside, other=0.0).to(REAL)


@triton.jit
def place_rows(task, first, count, length, width, BLOCK_N: tl.constexpr, BLOCK_T: tl.constexpr):
    """Offsets of a task's rows first, first + 1, ..., and which of them come before `count`."""
    row, column = first + tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_T)
    offsets = (task * length + row[:, None]) * width + column[None, :]
    return offsets, (row < count)[:, None] & (column < width)[None, :]


@triton.jit
def sum_products(
    x, y, task, count, length, width,
    REAL: tl.constexpr, PRECISION: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_T: tl.constexpr,
):  # fmt: skip
    """The sum over a task's first `count` rows of x_j^T y_j."""
    total = tl.zeros((BLOCK_T, BLOCK_T), REAL)
    for first in range(0, count, BLOCK_N):
        offsets, inside = place_rows(task, first, count, length, width, BLOCK_N, BLOCK_T)
        of_x = tl.load(x + offsets, mask=inside, other=0.0).to(REAL)
        of_y = tl.load(y + offsets, mask=inside, other=0.0).to(REAL)
        total += product(tl.trans(of_x), of_y, REAL, PRECISION)
    return total


@triton.jit
def output_kernel(
    tokens, # [batch, length, width]
    left, right, # [heads, width, width]
    out, # as tokens
    length, width, heads, context,
    REAL: tl.constexpr, PRECISION: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_T: tl.constexpr,
):  # fmt: skip
    task = tl.program_id(0).to(tl.int64)
    G = sum_products(tokens, tokens, task, context, length, width, REAL, PRECISION, BLOCK_N, BLOCK_T)
    M = tl.zeros((BLOCK_T, BLOCK_T), REAL)
    for head in range(heads):
        A = load_matrix(left, head, width, REAL, BLOCK_T)
        B = load_matrix(right, head, width, REAL, BLOCK_T)
        M += product(A, product(G, B, REAL, PRECISION), REAL, PRECISION)
    transposed = tl.trans(M)
    for first in range(0, length, BLOCK_N):
        offsets, inside = place_rows(task, first, length, length, width, BLOCK_N, BLOCK_T)
        rows = tl.load(tokens + offsets, mask=inside, other=0.0).to(REAL)
        result = product(rows, transposed, REAL, PRECISION)
        tl.store(out + offsets, result.to(out.dtype.element_ty), mask=inside)


@triton.jit
def tokens_gradient_kernel(
    dout, tokens, # [batch, length, width]
    left, right, # [heads, width, width]
    dtokens, # as tokens
    length, width, heads, context,
    REAL: tl.constexpr, PRECISION: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_T: tl.constexpr,
):  # fmt: skip
    task = tl.program_id(0).to(tl.int64)
    G = sum_products(tokens, tokens, task, context, length, width, REAL, PRECISION, BLOCK_N, BLOCK_T)
    dM = sum_products(dout, tokens, task, length, length, width, REAL, PRECISION, BLOCK_N, BLOCK_T)
    M = tl.zeros((BLOCK_T, BLOCK_T), REAL)
    dG = tl.zeros((BLOCK_T, BLOCK_T), REAL)
    for head in range(heads):
        A = load_matrix(left, head, width, REAL, BLOCK_T)
        B = load_matrix(right, head, width, REAL, BLOCK_T)
        M += product(A, product(G, B, REAL, PRECISION), REAL, PRECISION)
        dG += product(product(tl.trans(A), dM, REAL, PRECISION), tl.trans(B), REAL, PRECISION)
    dG += tl.trans(dG)
    for first in range(0, length, BLOCK_N):
        offsets, inside = place_rows(task, first, length, length, width, BLOCK_N, BLOCK_T)
        _, seen = place_rows(task, first, context, length, width, BLOCK_N, BLOCK_T)
        of_out = tl.load(dout + offsets, mask=inside, other=0.0).to(REAL)
        rows = tl.load(tokens + offsets, mask=seen, other=0.0).to(REAL)
        result = product(of_out, M, REAL, PRECISION) + product(rows, dG, REAL, PRECISION)
        tl.store(dtokens + offsets, result.to(dtokens.dtype.element_ty), mask=inside)


@triton.jit
def weights_gradient_kernel(
    dout, tokens, # [batch, length, width]
    left, right, # [heads, width, width]
    sums, # [shares, 2, heads, width, width] REAL: what a share of the tasks adds to dleft and dright
    batch, share, length, width, heads, context,
    REAL: tl.constexpr, PRECISION: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_T: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1)
    A = load_matrix(left, head, width, REAL, BLOCK_T)
    B = load_matrix(right, head, width, REAL, BLOCK_T)
    dA = tl.zeros((BLOCK_T, BLOCK_T), REAL)
    dB = tl.zeros((BLOCK_T, BLOCK_T), REAL)
    begin = tl.program_id(0).to(tl.int64) * share
    for i in range(tl.minimum(share, batch - begin)):
        task = begin + i
        G = sum_products(tokens, tokens, task, context, length, width, REAL, PRECISION, BLOCK_N, BLOCK_T)
        dM = sum_products(dout, tokens, task, length, length, width, REAL, PRECISION, BLOCK_N, BLOCK_T)
        dA += product(dM, tl.trans(product(G, B, REAL, PRECISION)), REAL, PRECISION)
        dB += product(G, product(tl.trans(A), dM, REAL, PRECISION), REAL, PRECISION)
    i = tl.arange(0, BLOCK_T)
    inside = (i < width)[:, None] & (i < width)[None, :]
    of_left = (tl.program_id(0).to(tl.int64) * 2 * heads + head) * width * width + i[:, None] * width + i[None, :]
    tl.store(sums + of_left, dA, mask=inside)
    tl.store(sums + of_left + heads * width * width, dB, mask=inside)
