"""The Triton kernels against the operators on the CPU in float64, which tests/ops compares with the definition."""

import sys

import pytest
import torch

from fastsciml.ops import linear_attention_cuda

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# A device multiplies scores and states as bfloat16, too, whose unit is 2^-8; the interpreter keeps them in float32.
# Measured on an H200: up to 1.6e-2.
BFLOAT16 = 2.5e-2 if torch.cuda.is_available() else 6e-3
TOLERANCE = {torch.float32: 3e-6, torch.float64: 1e-13, torch.bfloat16: BFLOAT16, torch.float16: 2e-3}
# batch, heads, heads of k and v, length, width of q and k, width of v
SHAPES = [(1, 2, 2, 1, 16, 16), (2, 4, 2, 63, 20, 33), (1, 3, 1, 130, 64, 64), (1, 2, 2, 100, 128, 7)]
LARGE = [(1, 1, 1, 70, 256, 256), (2, 2, 2, 2200, 16, 16)]


@pytest.fixture(scope="package")
def attention():
    """The module that starts the kernels."""
    from fastsciml.kernels import linear_attention_launch

    return linear_attention_launch


def make(shape, dtype, causal=True, decayed=True, stated=True, sequences=None):
    """The arguments of both operators in float64, with values that the dtype can hold."""
    batch, heads, groups, length, depth, width = shape
    real = torch.float64 if dtype == torch.float64 else torch.float32

    def values(*extents, to=dtype):
        return torch.randn(extents, dtype=torch.float64).to(to).double()

    q, k = values(batch, heads, length, depth), values(batch, groups, length, depth)
    v, dout = values(batch, groups, length, width), values(batch, heads, length, width)
    state, dlast = values(2, sequences or batch, heads, depth, width, to=real).unbind() if stated else (None, None)
    log_decay = (torch.rand(batch, heads, length) * 0.4 + 0.6).to(real).log().double() if decayed and causal else None
    return dout, dlast, q, k, v, log_decay, state


def to_device(tensors, dtype):
    real = torch.float64 if dtype == torch.float64 else torch.float32
    low = (0, 2, 3, 4)
    return [None if t is None else t.to(DEVICE, dtype if i in low else real) for i, t in enumerate(tensors)]


def check(results, references, dtype):
    for result, reference in zip(results, references, strict=True):
        assert result.shape == reference.shape
        if reference.numel() == 0:
            continue
        error = (result.cpu().double() - reference).norm() / reference.norm().clamp(min=1e-30)
        assert error <= TOLERANCE[dtype]


def compare(attention, tensors, dtype, cu_seqlens, causal, scale=0.3):
    options = (cu_seqlens, causal, scale)
    ops = torch.ops.fastsciml
    dout, dlast, *inputs = tensors
    low_dout, low_dlast, *low = to_device(tensors, dtype)
    check(attention.linear_attention(*low, *options), ops.linear_attention(*inputs, *options), dtype)
    check(
        attention.linear_attention_backward(low_dout, low_dlast, *low, *options),
        ops.linear_attention_backward(dout, dlast, *inputs, *options),
        dtype,
    )


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("decayed", [True, False], ids=["decay", "no-decay"])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_output_and_gradients(attention, shape, causal, decayed, dtype):
    compare(attention, make(shape, dtype, causal, decayed), dtype, None, causal)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("shape", LARGE, ids=str)
def test_wide_and_long(attention, shape, causal, dtype):
    compare(attention, make(shape, dtype, causal), dtype, None, causal)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("stated", [True, False], ids=["state", "no-state"])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
def test_sequences_of_several_lengths(attention, causal, stated, dtype):
    cu_seqlens = torch.tensor([0, 5, 5, 70, 200])
    tensors = make((1, 4, 2, 200, 16, 20), dtype, causal, stated=stated, sequences=4)
    compare(attention, tensors, dtype, cu_seqlens, causal)


def test_a_small_decay_leaves_no_nan(attention):
    dout, dlast, q, k, v, log_decay, state = make((1, 2, 2, 130, 16, 16), torch.float32)
    small = (q, k, v, log_decay.float().double() * 100, state)
    options = (None, True, 0.3)
    _, _, *low = to_device((dout, dlast, *small), torch.float32)
    check(
        attention.linear_attention(*low, *options),
        torch.ops.fastsciml.linear_attention(*small, *options),
        torch.float32,
    )
    gradients = attention.linear_attention_backward(dout.float().to(DEVICE), None, *low, *options)
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_without_triton_a_sentence_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastsciml.kernels.linear_attention_launch", None)
    with pytest.raises(RuntimeError, match=r"linear attention on CUDA tensors needs triton: pip install triton"):
        linear_attention_cuda.linear_attention()
