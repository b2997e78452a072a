"""A learned stencil of a multi-channel V-cycle, its adjoint and its weight's gradient, for CUDA tensors.

    out_o(j) = act(added_o(j) +- sum_(k, c) w_(k, o, c) x_c(i(j, k)) + sum_c B_(o, c) y_c(j) + bias_o)

`stencil_kernel` makes it for a block of channels o and of points j, a product of matrices for each tap k. Axis by axis,
a path leads from the points of out to those of x, with all taps in turn, or UP with every other one: which, says a
point's parity, so that a program makes points of one parity, j = 2 p + parity (elsewhere j = p).

    ALONG: i = p + k - 1 (with a single tap, i = p)
    DOWN:  i = 2 p + k - 1
    UP:    i = p + parity - m, k = 1 - parity + 2 m

SAME and POINT go ALONG, RESTRICT DOWN, PROLONG UP. Their adjoints swap the channels of w; SAME's goes ALONG with its
taps in reverse, RESTRICT's UP, PROLONG's DOWN. Where x ends the boundary says which of its points is read instead. Of
the adjoint such a point gets more than by its path: what the place just before the grid or just after it would have
got. Each is one slot more, before an axis' taps and after them, in the programs that hold the point.

`gradient_kernel` sums dout_o(j) x_c(i(j, k)) over a share of the points, for a row of taps k.

Memory: fields [batch, channels, points], of three axes, some with extent 1; weights by their strides.
Bytes: x, added, y and out once, w once per program; x at other taps comes from the caches. The gradient reads dout once
per row of taps and x once per tap, from the caches but the first, and writes the weight once per share.
Sums are REAL, float32 or float64. Called by multigrid_stencil_launch.py.
"""

import triton
import triton.language as tl

ALONG = tl.constexpr(0)
DOWN = tl.constexpr(1)
UP = tl.constexpr(2)
# As in fastsciml.ops.multigrid_stencil.
NEUMANN = tl.constexpr(1)
PERIODIC = tl.constexpr(2)
GELU = tl.constexpr(1)
RELU = tl.constexpr(2)


@triton.jit
def count_taps(parity, PATH: tl.constexpr, TAPS: tl.constexpr):
    """How many taps a point has along an axis."""
    if PATH == UP:
        return TAPS // 2 + TAPS % 2 * parity
    else:
        return TAPS


@triton.jit
def place_images(in_n, out_n, PATH: tl.constexpr, BOUNDARY: tl.constexpr):
    """Which points stand for the places before and after the grid of out; -1 where no tap reads that place."""
    if BOUNDARY == NEUMANN:
        before, after = 1, out_n - 2
    else:
        before, after = out_n - 1, 0
    if PATH == UP:
        after = tl.where(out_n == 2 * in_n - 1, after, -1)
    if PATH == DOWN:
        after = tl.where(in_n == 2 * out_n, after, -1)
    return before, after


@triton.jit
def range_slots(
    first, parity, in_n, out_n,
    PATH: tl.constexpr, TAPS: tl.constexpr, FOLDS: tl.constexpr, BOUNDARY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """First slot of a block's points first, first + 1, ... along an axis, and how many there are."""
    begin, end = 0, count_taps(parity, PATH, TAPS)
    if FOLDS and TAPS > 1:
        before, after = place_images(in_n, out_n, PATH, BOUNDARY)
        low, high = first, first + BLOCK - 1
        if PATH == UP:
            low, high = 2 * low, 2 * high + 1
        begin -= ((low <= before) & (before <= high)).to(tl.int32)
        end += ((low <= after) & (after <= high)).to(tl.int32)
    return begin, end - begin


@triton.jit
def place_points(first, parity, offset, out_n, PATH: tl.constexpr):
    """A block's points along an axis: p, j, and which are in the grid."""
    p = first + offset
    j = p
    if PATH == UP:
        j = 2 * p + parity
    return p, j, j < out_n


@triton.jit
def follow_path(
    p, j, slot, parity, in_n, out_n,
    PATH: tl.constexpr, TAPS: tl.constexpr, FOLDS: tl.constexpr, BOUNDARY: tl.constexpr,
):  # fmt: skip
    """What points read along an axis in a slot: the tap, the place, and which of them do."""
    if PATH == UP:
        tap = 1 - parity + 2 * slot
        i = p + parity - slot
    elif PATH == DOWN:
        tap = slot
        i = 2 * p + slot - 1
    else:
        tap = slot
        i = p + slot - TAPS // 2
    if TAPS > 1:
        if FOLDS:
            # The places beyond the grid are reached by one tap, from the first or the last point of dout.
            before, after = place_images(in_n, out_n, PATH, BOUNDARY)
            is_before, is_after = slot < 0, slot == count_taps(parity, PATH, TAPS)
            first_tap: tl.constexpr = 0 if PATH == UP else TAPS - 1
            last_tap: tl.constexpr = TAPS - 1 - first_tap
            tap = tl.where(is_before, first_tap, tl.where(is_after, last_tap, tap))
            reads = tl.where(is_before, j == before, tl.where(is_after, j == after, (i >= 0) & (i < in_n)))
            return tap, tl.where(is_before, 0, tl.where(is_after, in_n - 1, i)), reads
        elif BOUNDARY == NEUMANN:
            i = tl.where(i < 0, -i, tl.where(i < in_n, i, 2 * (in_n - 1) - i))
        elif BOUNDARY == PERIODIC:
            i = tl.where(i < 0, i + in_n, tl.where(i < in_n, i, i - in_n))
    return tap, i, (i >= 0) & (i < in_n)


@triton.jit
def split_block(
    block, out0, out1, out2, PATH0: tl.constexpr, PATH1: tl.constexpr, PATH2: tl.constexpr,
    BLOCK_0: tl.constexpr, BLOCK_1: tl.constexpr, BLOCK_2: tl.constexpr,
):  # fmt: skip
    """Of a block of points: its sample, and the first p along every axis."""
    blocks0 = tl.cdiv(tl.cdiv(out0, 2 if PATH0 == UP else 1), BLOCK_0)
    blocks1 = tl.cdiv(tl.cdiv(out1, 2 if PATH1 == UP else 1), BLOCK_1)
    blocks2 = tl.cdiv(tl.cdiv(out2, 2 if PATH2 == UP else 1), BLOCK_2)
    first2, block = block % blocks2 * BLOCK_2, block // blocks2
    first1, block = block % blocks1 * BLOCK_1, block // blocks1
    return block // blocks0, block % blocks0 * BLOCK_0, first1, first2


@triton.jit
def split_parity(
    program, PATH0: tl.constexpr, PATH1: tl.constexpr, PATH2: tl.constexpr,
):  # fmt: skip
    """The program's points' parity along every axis, and what is left of the program's number."""
    parity0, parity1, parity2 = 0, 0, 0
    if PATH2 == UP:
        parity2, program = program % 2, program // 2
    if PATH1 == UP:
        parity1, program = program % 2, program // 2
    if PATH0 == UP:
        parity0, program = program % 2, program // 2
    return parity0, parity1, parity2, program


@triton.jit
def split_points(BLOCK_0: tl.constexpr, BLOCK_1: tl.constexpr, BLOCK_2: tl.constexpr):
    """The points of a block, counted along every axis."""
    point = tl.arange(0, BLOCK_0 * BLOCK_1 * BLOCK_2)
    return point // (BLOCK_1 * BLOCK_2), point // BLOCK_2 % BLOCK_1, point % BLOCK_2


@triton.jit
def activate(x, ACTIVATION: tl.constexpr):
    if ACTIVATION == GELU:
        return 0.5 * x * (1.0 + tl.erf(x * 0.7071067811865476))
    elif ACTIVATION == RELU:
        # A NaN stays one.
        return tl.where(x < 0.0, 0.0, x)
    else:
        return x


@triton.jit
def stencil_kernel(
    x, # [batch, in_channels, in0, in1, in2]
    weight, # of taps, out_channels, in_channels
    added, # as out, or None
    y, # [batch, y_channels, out0, out1, out2], or None
    pointwise, # [out_channels, y_channels], or None
    bias, # [out_channels], or None
    out, # [batch, out_channels, out0, out1, out2]
    in_channels, out_channels, y_channels, in_size, in0, in1, in2, out_size, out0, out1, out2,
    stride_tap, stride_out, stride_in, # of weight
    PATH0: tl.constexpr, PATH1: tl.constexpr, PATH2: tl.constexpr,
    TAPS0: tl.constexpr, TAPS1: tl.constexpr, TAPS2: tl.constexpr,
    REVERSED: tl.constexpr, FOLDS: tl.constexpr, BOUNDARY: tl.constexpr,
    SUBTRACT: tl.constexpr, ACTIVATION: tl.constexpr,
    REAL: tl.constexpr, DOT: tl.constexpr, PRECISION: tl.constexpr, OFFSET: tl.constexpr,
    BLOCK_O: tl.constexpr, BLOCK_C: tl.constexpr,
    BLOCK_0: tl.constexpr, BLOCK_1: tl.constexpr, BLOCK_2: tl.constexpr,
):  # fmt: skip
    channel_blocks = tl.cdiv(out_channels, BLOCK_O)
    o = tl.program_id(0) % channel_blocks * BLOCK_O + tl.arange(0, BLOCK_O)
    parity0, parity1, parity2, block = split_parity(tl.program_id(0) // channel_blocks, PATH0, PATH1, PATH2)
    sample, first0, first1, first2 = split_block(
        block, out0, out1, out2, PATH0, PATH1, PATH2, BLOCK_0, BLOCK_1, BLOCK_2
    )
    offset0, offset1, offset2 = split_points(BLOCK_0, BLOCK_1, BLOCK_2)
    p0, j0, inside0 = place_points(first0, parity0, offset0, out0, PATH0)
    p1, j1, inside1 = place_points(first1, parity1, offset1, out1, PATH1)
    p2, j2, inside2 = place_points(first2, parity2, offset2, out2, PATH2)
    inside = inside0 & inside1 & inside2
    begin0, slots0 = range_slots(first0, parity0, in0, out0, PATH0, TAPS0, FOLDS, BOUNDARY, BLOCK_0)
    begin1, slots1 = range_slots(first1, parity1, in1, out1, PATH1, TAPS1, FOLDS, BOUNDARY, BLOCK_1)
    begin2, slots2 = range_slots(first2, parity2, in2, out2, PATH2, TAPS2, FOLDS, BOUNDARY, BLOCK_2)
    sample = sample.to(tl.int64)
    x += sample * in_channels * in_size
    steps = tl.cdiv(in_channels, BLOCK_C)
    total = tl.zeros((BLOCK_O, BLOCK_0 * BLOCK_1 * BLOCK_2), REAL)
    for step in range(slots0 * slots1 * slots2 * steps):
        c = step % steps * BLOCK_C + tl.arange(0, BLOCK_C)
        slot = step // steps
        slot0, slot1, slot2 = slot // (slots1 * slots2), slot // slots2 % slots1, slot % slots2
        tap0, i0, reads0 = follow_path(p0, j0, begin0 + slot0, parity0, in0, out0, PATH0, TAPS0, FOLDS, BOUNDARY)
        tap1, i1, reads1 = follow_path(p1, j1, begin1 + slot1, parity1, in1, out1, PATH1, TAPS1, FOLDS, BOUNDARY)
        tap2, i2, reads2 = follow_path(p2, j2, begin2 + slot2, parity2, in2, out2, PATH2, TAPS2, FOLDS, BOUNDARY)
        tap = (tap0 * TAPS1 + tap1) * TAPS2 + tap2
        if REVERSED:
            tap = TAPS0 * TAPS1 * TAPS2 - 1 - tap
        of_weight = tap * stride_tap + o[:, None] * stride_out + c[None, :] * stride_in
        in_weight = (o < out_channels)[:, None] & (c < in_channels)[None, :]
        w = tl.load(weight + of_weight, mask=in_weight, other=0.0).to(DOT)
        point = (i0.to(OFFSET) * in1 + i1) * in2 + i2
        reads = inside & reads0 & reads1 & reads2
        in_x = (c < in_channels)[:, None] & reads[None, :]
        read = tl.load(x + c.to(OFFSET)[:, None] * in_size + point[None, :], mask=in_x, other=0.0).to(DOT)
        total = tl.dot(w, read, total, input_precision=PRECISION, out_dtype=REAL)
    if SUBTRACT:
        total = -total
    point = (j0.to(OFFSET) * out1 + j1) * out2 + j2
    if y is not None:
        y += sample * y_channels * out_size
        for first in range(0, y_channels, BLOCK_C):
            c = first + tl.arange(0, BLOCK_C)
            in_weight = (o < out_channels)[:, None] & (c < y_channels)[None, :]
            w = tl.load(pointwise + o[:, None] * y_channels + c[None, :], mask=in_weight, other=0.0).to(DOT)
            in_y = (c < y_channels)[:, None] & inside[None, :]
            read = tl.load(y + c.to(OFFSET)[:, None] * out_size + point[None, :], mask=in_y, other=0.0).to(DOT)
            total = tl.dot(w, read, total, input_precision=PRECISION, out_dtype=REAL)
    in_out = (o < out_channels)[:, None] & inside[None, :]
    of_out = o.to(OFFSET)[:, None] * out_size + point[None, :]
    if added is not None:
        total += tl.load(added + sample * out_channels * out_size + of_out, mask=in_out, other=0.0).to(REAL)
    if bias is not None:
        total += tl.load(bias + o, mask=o < out_channels, other=0.0).to(REAL)[:, None]
    out += sample * out_channels * out_size
    tl.store(out + of_out, activate(total, ACTIVATION).to(out.dtype.element_ty), mask=in_out)


@triton.jit
def add_products(
    total, g, x, c, in_channels, in_size, row, reads_row, p2, slot, parity2, in2, out2,
    PATH2: tl.constexpr, TAPS2: tl.constexpr, BOUNDARY: tl.constexpr,
    REAL: tl.constexpr, DOT: tl.constexpr, PRECISION: tl.constexpr, OFFSET: tl.constexpr,
):  # fmt: skip
    """Add the products of dout at points and of what these read in a slot of the last axis."""
    _, i2, reads2 = follow_path(p2, p2, slot, parity2, in2, out2, PATH2, TAPS2, False, BOUNDARY)
    in_x = (c < in_channels)[:, None] & (reads_row & reads2)[None, :]
    read = tl.load(x + c.to(OFFSET)[:, None] * in_size + (row + i2)[None, :], mask=in_x, other=0.0).to(DOT)
    return tl.dot(g, tl.trans(read), total, input_precision=PRECISION, out_dtype=REAL)


@triton.jit
def gradient_kernel(
    dout, # [batch, out_channels, out0, out1, out2]
    x, # [batch, in_channels, in0, in1, in2]
    sums, # [shares, weight], of REAL: what a share of the blocks of points adds
    blocks, share, in_channels, out_channels, in_size, in0, in1, in2, out_size, out0, out1, out2,
    stride_out, stride_in, # of the weight, whose taps are side by side
    PATH0: tl.constexpr, PATH1: tl.constexpr, PATH2: tl.constexpr,
    TAPS0: tl.constexpr, TAPS1: tl.constexpr, TAPS2: tl.constexpr, BOUNDARY: tl.constexpr,
    REAL: tl.constexpr, DOT: tl.constexpr, PRECISION: tl.constexpr, OFFSET: tl.constexpr,
    BLOCK_O: tl.constexpr, BLOCK_C: tl.constexpr,
    BLOCK_0: tl.constexpr, BLOCK_1: tl.constexpr, BLOCK_2: tl.constexpr,
):  # fmt: skip
    # A program's taps are a row along the last axis, of those that the same points have.
    ROWS2: tl.constexpr = 2 if PATH2 == UP else 1
    SLOTS2: tl.constexpr = TAPS2 // ROWS2
    row, program = tl.program_id(0) % (TAPS0 * TAPS1 * ROWS2), tl.program_id(0) // (TAPS0 * TAPS1 * ROWS2)
    out_blocks, in_blocks = tl.cdiv(out_channels, BLOCK_O), tl.cdiv(in_channels, BLOCK_C)
    o = program % out_blocks * BLOCK_O + tl.arange(0, BLOCK_O)
    c = program // out_blocks % in_blocks * BLOCK_C + tl.arange(0, BLOCK_C)
    of_share = program // (out_blocks * in_blocks)
    tap0, tap1, parity2 = row // (TAPS1 * ROWS2), row // ROWS2 % TAPS1, row % ROWS2
    slot0, slot1, parity0, parity1 = tap0, tap1, 0, 0
    if PATH0 == UP:
        slot0, parity0 = tap0 // 2, (tap0 + 1) % 2
    if PATH1 == UP:
        slot1, parity1 = tap1 // 2, (tap1 + 1) % 2
    offset0, offset1, offset2 = split_points(BLOCK_0, BLOCK_1, BLOCK_2)
    of_slot0 = tl.zeros((BLOCK_O, BLOCK_C), REAL)
    of_slot1 = tl.zeros((BLOCK_O, BLOCK_C), REAL)
    of_slot2 = tl.zeros((BLOCK_O, BLOCK_C), REAL)
    for block in range(of_share * share, tl.minimum((of_share + 1) * share, blocks)):
        sample, first0, first1, first2 = split_block(
            block, out0, out1, out2, PATH0, PATH1, PATH2, BLOCK_0, BLOCK_1, BLOCK_2
        )
        sample = sample.to(tl.int64)
        p0, j0, inside0 = place_points(first0, parity0, offset0, out0, PATH0)
        p1, j1, inside1 = place_points(first1, parity1, offset1, out1, PATH1)
        p2, j2, inside2 = place_points(first2, parity2, offset2, out2, PATH2)
        inside = inside0 & inside1 & inside2
        point = (j0.to(OFFSET) * out1 + j1) * out2 + j2
        in_dout = (o < out_channels)[:, None] & inside[None, :]
        of_dout = o.to(OFFSET)[:, None] * out_size + point[None, :]
        g = tl.load(dout + sample * out_channels * out_size + of_dout, mask=in_dout, other=0.0).to(DOT)
        _, i0, reads0 = follow_path(p0, j0, slot0, parity0, in0, out0, PATH0, TAPS0, False, BOUNDARY)
        _, i1, reads1 = follow_path(p1, j1, slot1, parity1, in1, out1, PATH1, TAPS1, False, BOUNDARY)
        of_x = x + sample * in_channels * in_size
        line, reads = (i0.to(OFFSET) * in1 + i1) * in2, inside & reads0 & reads1
        of_slot0 = add_products(
            of_slot0, g, of_x, c, in_channels, in_size, line, reads, p2, 0, parity2, in2, out2,
            PATH2, TAPS2, BOUNDARY, REAL, DOT, PRECISION, OFFSET,
        )  # fmt: skip
        if SLOTS2 > 1:
            of_slot1 = add_products(
                of_slot1, g, of_x, c, in_channels, in_size, line, reads, p2, 1, parity2, in2, out2,
                PATH2, TAPS2, BOUNDARY, REAL, DOT, PRECISION, OFFSET,
            )  # fmt: skip
        if SLOTS2 > 2:
            of_slot2 = add_products(
                of_slot2, g, of_x, c, in_channels, in_size, line, reads, p2, 2, parity2, in2, out2,
                PATH2, TAPS2, BOUNDARY, REAL, DOT, PRECISION, OFFSET,
            )  # fmt: skip
    tap, next_tap = (tap0 * TAPS1 + tap1) * TAPS2, 1
    if PATH2 == UP:
        tap, next_tap = tap + 1 - parity2, 2
    in_weight = (o < out_channels)[:, None] & (c < in_channels)[None, :]
    weights = out_channels * in_channels * (TAPS0 * TAPS1 * TAPS2)
    sums += of_share.to(tl.int64) * weights + tap + o[:, None] * stride_out + c[None, :] * stride_in
    tl.store(sums, of_slot0, mask=in_weight)
    if SLOTS2 > 1:
        tl.store(sums + next_tap, of_slot1, mask=in_weight)
    if SLOTS2 > 2:
        tl.store(sums + 2 * next_tap, of_slot2, mask=in_weight)
