"""Attention by the Gram matrix against its definition in float64, and the definition against linear attention."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from fastsciml.ops import gram_attention, linear_attention
from fastsciml.ops.gram_attention import WIDEST_ON_CUDA, gram_attention_definition

NAMES = ("out", "gradient of tokens", "gradient of left", "gradient of right")
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
# What a kernel may add to twice the error of plain PyTorch in float32; in float64 that is the reference itself.
ROUNDING = {torch.float32: 5e-7, torch.float64: 1e-13, torch.bfloat16: 3e-3, torch.float16: 4e-4}
# On a GPU, float16 and bfloat16 are multiplied as TF32.
ROUNDING_ON_CUDA = ROUNDING | {torch.bfloat16: 6e-3, torch.float16: 2e-3}


# Not the host runtime of tests/conftest.py: the kernels for CUDA are Triton's (tests/kernels).
@pytest.fixture(params=["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def device(request):
    return request.param


def make(batch=3, length=7, width=5, heads=2, dtype=torch.float64, device="cpu"):
    """Tokens, left, right, and a gradient of the output, which the dtype can hold."""
    extents = [(batch, length, width), (heads, width, width), (heads, width, width), (batch, length, width)]
    return [torch.randn(e, dtype=torch.float64).to(device, dtype) for e in extents]


def with_gradients(function, tensors, context):
    *inputs, dout = tensors
    leaves = [t.detach().requires_grad_() for t in inputs]
    out = function(*leaves, context)
    gradients = torch.autograd.grad(out, leaves, dout, materialize_grads=True)
    return dict(zip(NAMES, (out.detach(), *gradients), strict=True))


def error(out, reference):
    return float((out.double() - reference).norm() / reference.norm().clamp(min=1e-300))


def check_against_definition(tensors, context):
    dtype = tensors[0].dtype
    real = torch.float64 if dtype == torch.float64 else torch.float32
    exact = with_gradients(gram_attention_definition, [t.double() for t in tensors], context)
    plain = with_gradients(gram_attention_definition, [t.to(real) for t in tensors], context)
    ours = with_gradients(gram_attention, tensors, context)
    rounding = (ROUNDING_ON_CUDA if tensors[0].is_cuda else ROUNDING)[dtype]
    for name, reference in exact.items():
        assert ours[name].shape == reference.shape
        assert ours[name].dtype == dtype
        assert error(ours[name], reference) <= 2 * error(plain[name], reference) + rounding, name


def test_the_definition_is_linear_attention_with_its_projections():
    """With A = P V and B = K^T Q of every head, for queries of all tokens and keys of the first ones."""
    batch, length, width, heads, depth, context = 2, 6, 4, 3, 5, 4
    tokens = torch.randn(batch, length, width, dtype=torch.float64)
    Q, K, V = torch.randn(3, heads, depth, width, dtype=torch.float64)
    P = torch.randn(heads, width, depth, dtype=torch.float64)
    q, k, v = (torch.einsum("bnt,hdt->bhnd", tokens, weights) for weights in (Q, K, V))
    S = k[:, :, :context].mT @ v[:, :, :context]
    expected = torch.einsum("bhnd,htd->bnt", q @ S, P)
    torch.testing.assert_close(gram_attention_definition(tokens, P @ V, K.mT @ Q, context), expected)
    whole = torch.einsum("bhnd,htd->bnt", linear_attention(q, k, v, causal=False), P)
    torch.testing.assert_close(gram_attention(tokens, P @ V, K.mT @ Q), whole)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("width", [1, 2, 5, 11, 16, 33])
@pytest.mark.parametrize("batch", [1, 3, 17, 33])
def test_any_batch_and_width_agree_with_the_float64_definition(batch, width, dtype, device):
    check_against_definition(make(batch, 11, width, 2, dtype, device), 10)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("context", ["none", "one", "all but one", "all"])
@pytest.mark.parametrize("length", [1, 7, 64])
def test_any_length_and_context_agree_with_the_float64_definition(length, context, dtype, device):
    seen = {"none": 0, "one": 1, "all but one": length - 1, "all": length}[context]
    check_against_definition(make(18, length, 6, 1, dtype, device), seen)


@pytest.mark.parametrize("heads", [1, 2, 5])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_number_of_heads_agrees_with_the_float64_definition(dtype, heads, device):
    check_against_definition(make(20, 9, 12, heads, dtype, device), 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(2048, 11, 11, 1), (600, 41, 21, 2)], ids=str)
def test_many_tasks_agree_with_the_float64_definition(shape, dtype, device):
    check_against_definition(make(*shape, dtype, device), shape[1] - 1)


def test_a_token_wider_than_the_kernels_of_a_gpu(device):
    check_against_definition(make(3, 10, WIDEST_ON_CUDA + 5, 2, torch.float32, device), 9)


def test_without_a_context_all_tokens_are_seen():
    tokens, left, right, _ = make()
    assert torch.equal(gram_attention(tokens, left, right), gram_attention(tokens, left, right, 7))


@pytest.mark.parametrize("context", [0, 1, 4])
@pytest.mark.parametrize("heads", [1, 2])
def test_gradients_of_first_and_second_order(heads, context):
    leaves = [t.requires_grad_() for t in make(2, 4, 3, heads)[:3]]
    assert gradcheck(lambda *tensors: gram_attention(*tensors, context), leaves)
    assert gradgradcheck(lambda *tensors: gram_attention(*tensors, context), leaves)


@pytest.mark.parametrize("heads", [1, 2])
def test_gradients_of_the_weights_alone(heads):
    tokens, *weights, _ = make(2, 4, 3, heads)
    leaves = [t.requires_grad_() for t in weights]
    assert gradcheck(lambda *tensors: gram_attention(tokens, *tensors, 3), leaves)
    assert gradgradcheck(lambda *tensors: gram_attention(tokens, *tensors, 3), leaves)


@pytest.mark.parametrize("wanted", range(3), ids=["tokens", "left", "right"])
def test_one_gradient_alone_is_the_same(wanted):
    tensors = make()
    expected = list(with_gradients(gram_attention, tensors, 6).values())[1 + wanted]
    *inputs, dout = tensors
    leaf = inputs[wanted].requires_grad_()
    assert torch.equal(torch.autograd.grad(gram_attention(*inputs, 6), leaf, dout)[0], expected)


@pytest.mark.parametrize("batch", [1, 100, 3000])
def test_the_number_of_threads_changes_no_bit(batch):
    tensors, results, before = make(batch, 11, 6, 2, torch.float32), [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3, 2):
            torch.set_num_threads(threads)
            results.append(with_gradients(gram_attention, tensors, 10))
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        for name, tensor in results[0].items():
            assert torch.equal(tensor, result[name]), name


def test_a_task_does_not_depend_on_its_batch():
    tokens, left, right, _ = make(40, 11, 9, 2, torch.float32)
    whole = gram_attention(tokens, left, right, 10)
    for first, last in ((0, 1), (3, 20), (39, 40)):
        torch.testing.assert_close(gram_attention(tokens[first:last], left, right, 10), whole[first:last])


def test_opcheck():
    tokens, left, right, dout = make(70)
    arguments = (*(t.requires_grad_() for t in (tokens, left, right)), 6)
    torch.library.opcheck(torch.ops.fastsciml.gram_attention.default, arguments)
    for of_tokens in (True, False):
        backward = (dout.requires_grad_(), *arguments, of_tokens)
        torch.library.opcheck(torch.ops.fastsciml.gram_attention_backward.default, backward)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_compiles_without_a_graph_break(dtype):
    tensors = make(dtype=dtype)
    compiled = torch.compile(gram_attention, fullgraph=True, backend="aot_eager")
    expected, found = (with_gradients(f, tensors, 5) for f in (gram_attention, compiled))
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor)


def test_layouts_that_are_not_contiguous_are_taken(device):
    tensors = make(dtype=torch.float32, device=device)
    expected = with_gradients(gram_attention, tensors, 6)
    strided = [t.transpose(0, 2).contiguous().transpose(0, 2) for t in tensors]
    for name, tensor in with_gradients(gram_attention, strided, 6).items():
        torch.testing.assert_close(tensor, expected[name])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_device_without_kernels_goes_by_the_definition(dtype, monkeypatch):
    tokens, left, right, _ = make(dtype=dtype)
    expected = gram_attention(tokens, left, right, 6)
    monkeypatch.setattr("fastsciml.ops.triton_kernels.KERNEL_DEVICES", ())
    out = gram_attention(tokens, left, right, 6)
    assert out.dtype == dtype
    assert error(out, expected) < 2 * ROUNDING[dtype]


@pytest.mark.parametrize("shape", [(0, 7, 5, 2), (3, 0, 5, 2), (3, 7, 5, 0)], ids=["batch", "length", "heads"])
def test_nothing_to_sum_gives_zeros(shape):
    tensors = make(*shape)
    for tensor in with_gradients(gram_attention, tensors, min(shape[1], 1)).values():
        assert not tensor.any()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_other_tasks_than_that_of_a_nan_are_untouched(value):
    tokens, left, right, _ = make(20, dtype=torch.float32)
    expected = gram_attention(tokens, left, right, 6)
    tokens[7, 2, 1] = value
    out = gram_attention(tokens, left, right, 6)
    others = torch.arange(20) != 7
    assert torch.equal(out[others], expected[others])
    assert not out[7].isfinite().any()


def test_float16_sums_beyond_its_range():
    """G and M are float32: what does not fit float16 may come down again."""
    tokens = torch.full((1, 100, 4), 32.0, dtype=torch.float16)
    left, right = torch.full((2, 1, 4, 4), 2.0**-9, dtype=torch.float16)
    out = gram_attention(tokens, left, right)
    torch.testing.assert_close(out, torch.full_like(out, 64 * 32**3 * 100 / 2.0**18))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": torch.zeros(7, 5)}, r"tokens must be \[batch, length, width\], got 2 dimensions"),
        ({"left": torch.zeros(2, 5, 4)}, r"left must have shape \(heads, 5, 5\), got \(2, 5, 4\)"),
        ({"left": torch.zeros(5, 5)}, r"left must have shape \(heads, 5, 5\), got \(5, 5\)"),
        ({"right": torch.zeros(2, 6, 6)}, r"right must have shape \(heads, 5, 5\), got \(2, 6, 6\)"),
        ({"right": torch.zeros(3, 5, 5)}, r"right must have the heads of left, 2, got 3"),
        ({"context": 8}, r"context must be from 0 to the length 7 of tokens, got 8"),
        ({"context": -1}, r"context must be from 0 to the length 7 of tokens, got -1"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value[:40],
)
def test_refuses_what_does_not_fit(changes, message):
    tokens, left, right, _ = make(dtype=torch.float32)
    with pytest.raises(ValueError, match=message):
        gram_attention(**({"tokens": tokens, "left": left, "right": right} | changes))


def test_the_compiled_operator_refuses_what_does_not_fit():
    tokens, left, right, dout = make()
    ops = torch.ops.fastsciml
    with pytest.raises(RuntimeError, match="context must be from 0 to the length of tokens"):
        ops.gram_attention(tokens, left, right, 8)
    with pytest.raises(RuntimeError, match="left must be a non-empty"):
        ops.gram_attention(tokens, left[:, :4].contiguous(), right, 7)
    with pytest.raises(RuntimeError, match="right must have the shape"):
        ops.gram_attention(tokens, left, right[:1].contiguous(), 7)
    with pytest.raises(RuntimeError, match="right has the wrong dtype"):
        ops.gram_attention(tokens, left, right.float(), 7)
    with pytest.raises(RuntimeError, match="tokens must be contiguous"):
        ops.gram_attention(tokens.transpose(0, 1), left, right, 3)
    with pytest.raises(RuntimeError, match="dout must have the shape"):
        ops.gram_attention_backward(dout[:1].contiguous(), tokens, left, right, 7, True)


def test_refuses_dtypes_that_do_not_fit():
    tokens, left, right, _ = make(dtype=torch.float32)
    with pytest.raises(TypeError, match=r"right must have the dtype of tokens, torch\.float32, got torch\.float64"):
        gram_attention(tokens, left, right.double())
    with pytest.raises(TypeError, match=r"tokens must be floating, got torch\.int64"):
        gram_attention(tokens.long(), left, right)
