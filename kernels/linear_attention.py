"""Linear attention for CUDA tensors; formulae in csrc/attention/operators.h.

    out_t = x_scale x_t S_t,   S_t = a_t S_{t-1} + y_scale y_t^T z_t

serves the output (x, y, z = q, k, v) and every gradient, for which time may run backward. `states_kernel` walks a
sequence's chunks and keeps the state that each begins with, one program per block of a head's state; `outputs_kernel`
makes a chunk's output from it, one program per chunk, head and block of columns:

    out = x_weight * (x S) + (x y^T * pair weights where a row sees a key) z

Bytes: y, z and a state per chunk; x, y, z, a state per chunk and block of columns. Operands of products are DOT (bf16
for bf16, float32 elsewhere: a state does not fit float16's range), sums float32 or float64. Offsets are 64 bits wide.
Called by linear_attention_launch.py.
"""

import triton
import triton.language as tl


@triton.jit
def in_real(scale, REAL: tl.constexpr):
    """A float64 argument, which the interpreter gives as Python's float, without its way over float32."""
    return (tl.zeros((), tl.float64) + scale).to(REAL)


@triton.jit
def load_sequence(sequences, sequence):
    """Batch, start, length and first chunk of a sequence, from the table [sequences, 4]."""
    row = sequences + sequence * 4
    return tl.load(row), tl.load(row + 1), tl.load(row + 2), tl.load(row + 3)


@triton.jit
def cumulative_decay(log_decay, row, inside):
    """Sums of a chunk's log_decay from its first token on, and over all of it."""
    logarithms = tl.load(log_decay + row, mask=inside, other=0.0)
    return tl.cumsum(logarithms, 0), tl.sum(logarithms, 0)


@triton.jit
def states_kernel(
    y, # [batch, y_heads, length, depth]
    z, # [batch, z_heads, length, width]
    log_decay, # [batch, heads, length], if DECAYED
    first, # [sequences, heads, depth, width], if HAS_FIRST
    states, # [chunks, heads, depth, width], if KEEPS: before the chunk, in the order of walking
    last, # as first
    sequences, # [sequences, 4] int64: batch, start, length, first chunk
    heads, y_heads, z_heads, length, depth, width, y_scale: tl.float64,
    DECAYED: tl.constexpr, HAS_FIRST: tl.constexpr, KEEPS: tl.constexpr, BACKWARD: tl.constexpr,
    CHUNK: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_E: tl.constexpr, DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    real: tl.constexpr = last.dtype.element_ty
    unit = tl.program_id(0).to(tl.int64)
    sequence, head = unit // heads, unit % heads
    blocks = tl.cdiv(width, BLOCK_E)
    d = tl.program_id(1) // blocks * BLOCK_D + tl.arange(0, BLOCK_D)
    e = tl.program_id(1) % blocks * BLOCK_E + tl.arange(0, BLOCK_E)
    of_state = d[:, None] * width + e[None, :]
    in_state = (d < depth)[:, None] & (e < width)[None, :]
    batch, start, tokens, first_chunk = load_sequence(sequences, sequence)
    y += ((batch * y_heads + head * y_heads // heads) * length + start) * depth
    z += ((batch * z_heads + head * z_heads // heads) * length + start) * width
    log_decay += (batch * heads + head) * length + start
    row = tl.arange(0, CHUNK)
    of_keys = row[None, :] * depth + d[:, None]
    of_values = row[:, None] * width + e[None, :]
    state = tl.zeros((BLOCK_D, BLOCK_E), real)
    if HAS_FIRST:
        state += tl.load(first + unit * depth * width + of_state, mask=in_state, other=0.0)
    chunks = tl.cdiv(tokens, CHUNK)
    for i in range(chunks):
        chunk = i
        if BACKWARD:
            chunk = chunks - 1 - i
        if KEEPS:
            tl.store(states + ((first_chunk + chunk) * heads + head) * depth * width + of_state, state, mask=in_state)
        token = chunk * CHUNK
        inside = row < tokens - token
        keys = tl.load(y + token * depth + of_keys, mask=(d < depth)[:, None] & inside[None, :], other=0.0)
        values = tl.load(z + token * width + of_values, mask=inside[:, None] & (e < width)[None, :], other=0.0)
        if DECAYED:
            cumulative, total = cumulative_decay(log_decay + token, row, inside)
            left = tl.exp(cumulative) if BACKWARD else tl.exp(total - cumulative)
            keys = keys.to(real) * left[None, :]
            state *= tl.exp(total)
        state += in_real(y_scale, real) * tl.dot(
            keys.to(DOT), values.to(DOT), out_dtype=real, input_precision=PRECISION
        )
    tl.store(last + unit * depth * width + of_state, state, mask=in_state)


@triton.jit
def outputs_kernel(
    x, # [batch, x_heads, length, depth]
    y, # [batch, y_heads, length, depth]
    z, # [batch, z_heads, length, width]
    log_decay, # [batch, heads, length], if DECAYED
    states, # [chunks, heads, depth, width] by strides, or [sequences, ...] if WHOLE
    out, # [batch, x_heads, length, width]: where heads share an x, their sum
    dot_with, # [batch, dot_heads, length, width], if DECAYED and DOTS
    dots, # [blocks of width, batch, heads, length]: each head's out with dot_with, block by block
    sequences, # [sequences, 4] int64: batch, start, length, first chunk
    chunk_sequences, # [chunks] int64: whose each is
    batches, heads, x_heads, y_heads, z_heads, dot_heads, length, depth, width,
    x_scale: tl.float64, y_scale: tl.float64, stride_d, stride_e,
    DECAYED: tl.constexpr, DOTS: tl.constexpr, WHOLE: tl.constexpr, BACKWARD: tl.constexpr,
    CHUNK: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_E: tl.constexpr, DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    real: tl.constexpr = states.dtype.element_ty
    unit = tl.program_id(0).to(tl.int64)
    chunk, x_head = unit // x_heads, unit % x_heads
    shared = heads // x_heads
    sequence = tl.load(chunk_sequences + chunk)
    batch, start, tokens, first_chunk = load_sequence(sequences, sequence)
    row = tl.arange(0, CHUNK)
    inside = row < tokens - (chunk - first_chunk) * CHUNK
    token = start + (chunk - first_chunk) * CHUNK
    e = tl.program_id(1) * BLOCK_E + tl.arange(0, BLOCK_E)
    of_out = row[:, None] * width + e[None, :]
    in_out = inside[:, None] & (e < width)[None, :]
    x += ((batch * x_heads + x_head) * length + token) * depth
    summed = tl.zeros((CHUNK, BLOCK_E), real)
    for j in range(shared):
        head = x_head * shared + j
        of_y = y + ((batch * y_heads + head * y_heads // heads) * length + token) * depth
        of_z = z + ((batch * z_heads + head * z_heads // heads) * length + token) * width
        which = sequence if WHOLE else chunk
        of_states = states + (which * heads + head) * depth * width
        result = tl.zeros((CHUNK, BLOCK_E), real)
        scores = tl.zeros((CHUNK, CHUNK), real)
        for block in range(0, depth, BLOCK_D):
            d = block + tl.arange(0, BLOCK_D)
            queries = tl.load(
                x + row[:, None] * depth + d[None, :], mask=inside[:, None] & (d < depth)[None, :], other=0.0
            ).to(DOT)
            state = tl.load(
                of_states + d[:, None] * stride_d + e[None, :] * stride_e,
                mask=(d < depth)[:, None] & (e < width)[None, :], other=0.0,
            )  # fmt: skip
            result += tl.dot(queries, state.to(DOT), out_dtype=real, input_precision=PRECISION)
            if not WHOLE:
                keys = tl.load(
                    of_y + row[None, :] * depth + d[:, None], mask=(d < depth)[:, None] & inside[None, :], other=0.0
                )
                scores += tl.dot(queries, keys.to(DOT), out_dtype=real, input_precision=PRECISION)
        if not WHOLE:
            seen = row[:, None] <= row[None, :] if BACKWARD else row[:, None] >= row[None, :]
            scores = tl.where(seen, scores * in_real(y_scale, real), 0.0)
            if DECAYED:
                of_decay = log_decay + (batch * heads + head) * length + token
                cumulative, total = cumulative_decay(of_decay, row, inside)
                apart = cumulative[:, None] - cumulative[None, :]
                left = total - cumulative if BACKWARD else cumulative
                pairs = tl.exp(tl.where(seen, -apart if BACKWARD else apart, 0.0))
                scores *= pairs
                result *= tl.exp(left)[:, None]
            values = tl.load(of_z + of_out, mask=in_out, other=0.0)
            result += tl.dot(scores.to(DOT), values.to(DOT), out_dtype=real, input_precision=PRECISION)
        result *= in_real(x_scale, real)
        if DOTS:
            others = tl.load(
                dot_with + ((batch * dot_heads + head * dot_heads // heads) * length + token) * width + of_out,
                mask=in_out, other=0.0,
            )  # fmt: skip
            of_dots = ((tl.program_id(1) * batches + batch) * heads + head) * length + token
            tl.store(dots + of_dots + row, tl.sum(result * others.to(real), 1), mask=inside)
        summed += result
    tl.store(
        out + ((batch * x_heads + x_head) * length + token) * width + of_out,
        summed.to(out.dtype.element_ty),
        mask=in_out,
    )


@triton.jit
def decay_gradient_kernel(
    before, # [chunks, heads, elements]: S before each chunk, forward
    last, # [sequences, heads, elements]: S after the last one
    after, # [chunks, heads, elements]: R after each chunk, backward
    q_dots, k_dots, # [blocks, batch, heads, length]
    out, # [batch, heads, length]
    sequences, # [sequences, 4] int64: batch, start, length, first chunk
    chunk_sequences, # [chunks] int64
    heads, length, elements, blocks_q, blocks_k, dots_stride,
    CHUNK: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Sums from a token to its chunk's end of q dq - k dk, and <S, R> there."""
    real: tl.constexpr = out.dtype.element_ty
    unit = tl.program_id(0).to(tl.int64)
    chunk, head = unit // heads, unit % heads
    sequence = tl.load(chunk_sequences + chunk)
    batch, start, tokens, first_chunk = load_sequence(sequences, sequence)
    is_last = (chunk - first_chunk + 1) * CHUNK >= tokens
    state = before + ((chunk + 1) * heads + head) * elements
    if is_last:
        state = last + (sequence * heads + head) * elements
    products = tl.zeros((BLOCK,), real)
    for block in range(0, elements, BLOCK):
        i = block + tl.arange(0, BLOCK)
        inside = i < elements
        here = tl.load(state + i, mask=inside, other=0.0)
        products += here * tl.load(after + unit * elements + i, mask=inside, other=0.0)
    row = tl.arange(0, CHUNK)
    token = (chunk - first_chunk) * CHUNK
    inside = row < tokens - token
    of_dots = (batch * heads + head) * length + start + token + row
    apart = tl.zeros((CHUNK,), real)
    for block in range(blocks_q):
        apart += tl.load(q_dots + block * dots_stride + of_dots, mask=inside, other=0.0)
    for block in range(blocks_k):
        apart -= tl.load(k_dots + block * dots_stride + of_dots, mask=inside, other=0.0)
    tl.store(out + of_dots, tl.cumsum(apart, 0, reverse=True) + tl.sum(products, 0), mask=inside)
