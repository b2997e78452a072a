"""The Triton kernels against the operators on the CPU in float64, which tests/ops compares with the definition."""

import sys

import pytest
import torch

from fastsciml.ops import gram_attention_cuda

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# float16 and bfloat16 are multiplied as TF32 on a device, and in float32 by the interpreter.
TOLERANCE = {torch.float32: 3e-6, torch.float64: 1e-13, torch.bfloat16: 6e-3, torch.float16: 2e-3}
# batch, length, width, heads, context
SHAPES = [(1, 1, 1, 1, 1), (3, 11, 11, 2, 10), (2, 33, 5, 1, 0), (2, 40, 21, 2, 33), (2, 7, 16, 3, 7)]


@pytest.fixture(scope="module")
def attention():
    """The module that starts the kernels."""
    from fastsciml.kernels import gram_attention_launch

    return gram_attention_launch


def make(shape, dtype):
    """Dout, tokens, left, right in float64, with values that the dtype can hold."""
    batch, length, width, heads, _ = shape
    extents = [(batch, length, width)] * 2 + [(heads, width, width)] * 2
    return [torch.randn(e, dtype=torch.float64).to(dtype).double() for e in extents]


def check(attention, tensors, dtype, context):
    dout, *inputs = tensors
    low_dout, *low = (t.to(DEVICE, dtype) for t in tensors)
    ops = torch.ops.fastsciml
    backward = attention.gram_attention_backward
    found = [attention.gram_attention(*low, context), *backward(low_dout, *low, context, True)]
    exact = [ops.gram_attention(*inputs, context), *ops.gram_attention_backward(dout, *inputs, context, True)]
    of_weights = backward(low_dout, *low, context, False)
    assert of_weights[0].numel() == 0
    for alone, among in zip(of_weights[1:], found[2:], strict=True):
        assert torch.equal(alone, among)
    for result, reference in zip(found, exact, strict=True):
        assert result.shape == reference.shape
        assert result.dtype == dtype
        error = (result.cpu().double() - reference).norm()
        assert error <= TOLERANCE[dtype] * reference.norm()


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_output_and_gradients(attention, shape, dtype):
    check(attention, make(shape, dtype), dtype, shape[-1])


def test_shares_of_several_tasks(attention, monkeypatch):
    """Seven tasks in shares of three: the last one has one."""
    monkeypatch.setattr(attention, "SHARES", 3)
    shape = (7, 5, 4, 2, 3)
    check(attention, make(shape, torch.float32), torch.float32, shape[-1])


def test_without_triton_a_sentence_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastsciml.kernels.gram_attention_launch", None)
    with pytest.raises(RuntimeError, match=r"attention by the Gram matrix on CUDA tensors needs triton: pip install"):
        gram_attention_cuda.gram_attention()
