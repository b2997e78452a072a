"""The six EvoNorm operators against their definitions in float64."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from fastsciml import ops
from fastsciml.ops.evonorm_b import evonorm_b_definition
from fastsciml.ops.evonorm_s import evonorm_s_definition

VARIANTS = ["b0", "b1", "b2", "s0", "s1", "s2"]
WITH_V = ["b0", "s0"]
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
# What a kernel may add to twice the error of plain PyTorch; in float64 that is the reference itself, and has none.
ROUNDING = {torch.float32: 5e-7, torch.float64: 1e-13, torch.bfloat16: 3e-3, torch.float16: 4e-4}
SHAPES = [(4, 8), (3, 6, 63), (2, 4, 100), (3, 6, 7, 9), (1, 2, 65, 67), (2, 4, 3, 5, 4), (2, 516, 3, 3), (1, 2, 70000)]


def make(shape, dtype=torch.float32, device="cpu", mean=0.5):
    """x, v, weight, bias."""
    x = (torch.randn(shape, dtype=torch.float64) + mean).to(device, dtype)
    real = torch.float64 if dtype == torch.float64 else torch.float32
    return x, *(torch.randn(3, shape[1], dtype=torch.float64) / 2 + 1).to(device, real).unbind()


def interleaved(x):
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


def call(variant, x, v, weight, bias, groups=2, eps=1e-3, variance=None, definition=False):
    v = v if variant in WITH_V else None
    if variant[0] == "s":
        if definition:
            return evonorm_s_definition(x, v, weight, bias, groups, variant != "s2", eps)
        first = () if v is None else (v,)
        return getattr(ops, f"evonorm_{variant}")(x, *first, weight, bias, groups, eps)
    if definition:
        return evonorm_b_definition(x, v, weight, bias, variance, int(variant[1]), eps)
    first = () if v is None else (v,)
    return getattr(ops, f"evonorm_{variant}")(x, *first, weight, bias, variance, eps)[0]


def with_gradients(variant, tensors, dy, **options):
    leaves = [t.detach().requires_grad_() for t in tensors]
    y = call(variant, *leaves, **options)
    gradients = torch.autograd.grad(y, leaves, dy.to(y.dtype), allow_unused=True)
    return [y.detach(), *(g for g in gradients if g is not None)]


def error(out, reference):
    return float((out.double() - reference).norm() / reference.norm().clamp(min=1e-300))


def check_against_definition(variant, tensors, **options):
    dtype = tensors[0].dtype
    dy = torch.randn_like(tensors[0], dtype=torch.float64).to(dtype)
    reference = with_gradients(variant, [t.double() for t in tensors], dy, definition=True, **options)
    plain = [t.double() if dtype == torch.float64 else t.float() for t in tensors]
    plain = with_gradients(variant, plain, dy, definition=True, **options)
    ours = with_gradients(variant, tensors, dy, **options)
    assert ours[0].dtype == ours[1].dtype == dtype
    for out, peer, exact in zip(ours, plain, reference, strict=True):
        assert out.shape == exact.shape
        assert error(out, exact) <= 2 * error(peer, exact) + ROUNDING[dtype]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", [torch.Tensor.contiguous, interleaved], ids=["plain", "interleaved"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("variant", VARIANTS)
def test_output_and_gradients_agree_with_the_float64_definition(variant, shape, layout, dtype, device):
    x, *parameters = make(shape, dtype, device)
    check_against_definition(variant, [layout(x), *parameters])


@pytest.mark.parametrize("shape", [(4, 8), (3, 6, 7, 9)], ids=str)
@pytest.mark.parametrize("variant", ["b0", "b1", "b2"])
def test_a_given_variance_is_a_constant(variant, shape, device):
    tensors = make(shape, device=device)
    variance = torch.rand(shape[1], device=device) + 0.5
    check_against_definition(variant, tensors, variance=variance)


@pytest.mark.parametrize("layout", [torch.Tensor.contiguous, interleaved], ids=["plain", "interleaved"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_distant_mean_costs_no_accuracy(variant, layout):
    mean = 1000.0
    x, *parameters = make((2, 4, 40, 50), mean=mean)
    tensors, dy = [layout(x), *parameters], torch.randn(x.shape)
    y, *gradients = with_gradients(variant, tensors, dy)
    expected, *references = with_gradients(variant, [t.double() for t in tensors], dy, definition=True)
    assert error(y, expected) < 1e-5
    # The gradients hold x - mean, and float32 holds the mean to mean 2^-24 deviations; B2's holds rms - x as well.
    for gradient, reference in zip(gradients, references, strict=True):
        assert error(gradient, reference) < 2 * mean * 2**-24


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_tensor_that_is_neither_layout_is_taken(variant):
    x, *parameters = make((6, 4, 10, 7))
    check_against_definition(variant, [x[::2, :, ::3], *parameters])
    x = x.requires_grad_()
    call(variant, x, *parameters).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_memory_format_is_kept(variant):
    x, *parameters = make((2, 4, 5, 6))
    x = x.to(memory_format=torch.channels_last).requires_grad_()
    y = call(variant, x, *parameters)
    y.backward(torch.randn(y.shape))
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("layout", [torch.Tensor.contiguous, interleaved], ids=["plain", "interleaved"])
# In the last two, one thread takes whole groups or samples, and two share each of them.
@pytest.mark.parametrize("shape", [(16, 4, 33, 31), (1, 4, 300, 200), (3, 4, 90, 80), (6, 4, 60, 60)], ids=str)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_number_of_threads_changes_no_bit(variant, shape, layout):
    x, *parameters = make(shape)
    dy, results, before = torch.randn(shape), [], torch.get_num_threads()
    try:
        for threads in (1, 2, 2):
            torch.set_num_threads(threads)
            results.append(with_gradients(variant, [layout(x), *parameters], dy))
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        for a, b in zip(results[0], result, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_of_first_and_second_order(variant, affine):
    tensors = [t.requires_grad_() for t in make((2, 4, 3, 2), torch.float64)]
    if not affine:
        tensors = tensors[:2]

    def function(x, v, weight=None, bias=None):
        return call(variant, x, v, weight, bias)

    assert gradcheck(function, tensors)
    assert gradgradcheck(function, tensors)


@pytest.mark.parametrize("variant", ["b0", "b1", "b2"])
def test_gradients_with_a_given_variance(variant):
    tensors = [t.requires_grad_() for t in make((2, 4, 3, 2), torch.float64)]
    variance = torch.rand(4, dtype=torch.float64) + 0.5
    assert gradcheck(lambda *t: call(variant, *t, variance=variance), tensors)
    assert gradgradcheck(lambda *t: call(variant, *t, variance=variance), tensors)


@pytest.mark.parametrize("layout", [torch.Tensor.contiguous, interleaved], ids=["plain", "interleaved"])
def test_opcheck(layout):
    x, v, weight, bias = make((2, 4, 3, 5))
    x = layout(x)
    leaves = [t.requires_grad_() for t in (x, v, weight, bias)]
    library = torch.ops.fastsciml
    torch.library.opcheck(library.evonorm_s.default, (*leaves, 2, True, 1e-5))
    statistics = library.evonorm_s(*leaves, 2, True, 1e-5)[1].detach()
    dy = torch.randn_like(x).requires_grad_()
    torch.library.opcheck(library.evonorm_s_backward.default, (dy, *leaves[:3], statistics, 2, True, 1e-5))
    for variance in (None, torch.ones(4)):
        torch.library.opcheck(library.evonorm_b.default, (*leaves, variance, 0, 1e-5, None))
        _, planes, batch = library.evonorm_b(*leaves, variance, 0, 1e-5, None)
        arguments = (dy, *leaves[:3], planes, batch, variance is None, 0, 1e-5, None)
        torch.library.opcheck(library.evonorm_b_backward.default, arguments)


@pytest.mark.parametrize("variant", VARIANTS)
def test_compiles_without_a_graph_break(variant):
    tensors = make((2, 4, 5, 6))
    dy = torch.randn(2, 4, 5, 6)
    compiled = torch.compile(lambda *t: call(variant, *t).cos(), fullgraph=True, backend="aot_eager")
    expected = with_gradients(variant, tensors, dy)
    leaves = [t.detach().requires_grad_() for t in tensors]
    y = compiled(*leaves)
    torch.testing.assert_close(y, expected[0].cos())
    y.sum().backward()
    assert leaves[0].grad.isfinite().all()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layout", [torch.Tensor.contiguous, interleaved], ids=["plain", "interleaved"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_nan_and_infinity_spread_as_in_the_definition(variant, layout, training, value):
    x, *parameters = make((3, 4, 5, 6))
    x[1, 2, 3, 4] = value
    variance = None if training else torch.ones(4)
    expected = call(variant, x, *parameters, variance=variance, definition=True)
    torch.testing.assert_close(call(variant, layout(x), *parameters, variance=variance), expected, equal_nan=True)
    assert not expected.isfinite().all()


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("variant", VARIANTS)
def test_nan_in_a_parameter_spreads(variant, which):
    x, *parameters = make((3, 4, 5, 6))
    parameters[which][1] = torch.nan
    expected = call(variant, x, *parameters, definition=True)
    torch.testing.assert_close(call(variant, x, *parameters), expected, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_sigmoid_is_exact_to_a_few_units_in_the_last_place(dtype):
    """S2 of groups that no scale touches: y / x is the sigmoid where eps outweighs the squares."""
    x = torch.linspace(-86, 60, 100001, dtype=dtype).reshape(1, 1, -1)
    eps = 1e30
    y = ops.evonorm_s2(x, torch.full((1,), math.sqrt(eps), dtype=dtype), None, 1, eps)
    expected = (x.double() * torch.sigmoid(x.double())) * (math.sqrt(eps) / (eps + float(x.square().mean())) ** 0.5)
    worst = ((y.double() - expected) / expected).nan_to_num().abs().max()
    assert worst < 5 * torch.finfo(dtype).eps


def test_every_half_is_read_and_written_as_torch_does():
    for dtype in (torch.float16, torch.bfloat16):
        bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
        x = bits.view(dtype).reshape(1, 1, -1)
        parameters = torch.zeros(1, 5, 1)
        parameters[:, 0] = 1.0009765
        parameters[:, 2] = 1.0
        # B2's right side, -infinity - x, leaves x / 1 * weight, but for -infinity.
        parameters[:, 3] = -torch.inf
        x[x == -torch.inf] = 0
        y = torch.ops.fastsciml.evonorm_b_map(x, parameters, 2)
        torch.testing.assert_close(y, (x.float() * 1.0009765).to(dtype), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("variant", VARIANTS)
def test_autocast_keeps_the_low_precision_of_the_layer_before(variant):
    x, *parameters = make((2, 4, 5, 6), torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert call(variant, x, *parameters).dtype == torch.bfloat16


def test_low_precision_parameters_get_gradients_of_their_dtype():
    x, v, weight, bias = make((2, 4, 5, 6), torch.bfloat16)
    leaves = [t.bfloat16().requires_grad_() for t in (v, weight, bias)]
    ops.evonorm_s0(x, *leaves, groups=2).sum().backward()
    assert all(t.grad.dtype == torch.bfloat16 and t.grad.isfinite().all() for t in leaves)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_device_without_kernels_goes_by_the_definition(variant, monkeypatch):
    tensors = make((2, 4, 5, 6))
    expected = call(variant, *tensors)
    monkeypatch.setattr("fastsciml.ops.triton_kernels.KERNEL_DEVICES", ())
    torch.testing.assert_close(call(variant, *tensors), expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_refuses_what_does_not_fit(variant):
    x, *parameters = make((2, 4, 5, 6))
    with pytest.raises(TypeError, match=r"x must be floating, got torch\.int64"):
        call(variant, x.long(), *parameters)
    with pytest.raises(ValueError, match=r"x must be \[N, C"):
        call(variant, x[0, 0, 0], *parameters)
    with pytest.raises(ValueError, match=r"weight must have shape \(4,\) for x with 4 channels"):
        call(variant, x, parameters[0], parameters[1][:3], parameters[2])
    if variant[0] == "s":
        for groups in (3, 0, 8):
            with pytest.raises(ValueError, match=f"4 channels cannot be divided into {groups} groups"):
                call(variant, x, *parameters, groups=groups)
    else:
        with pytest.raises(ValueError, match="needs more than one element per channel"):
            call(variant, x[:1, :, :1, :1], *parameters)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda x, p: (x[:, :, ::2], None, None, None, 2, True, 1e-5), "contiguous or channels_last"),
        (lambda x, p: (x, None, None, None, 3, True, 1e-5), "4 channels cannot be divided into 3 groups"),
        (lambda x, p: (x, p[:3], None, None, 2, True, 1e-5), "v must have 4 elements"),
        (lambda x, p: (x, None, p.double(), None, 2, True, 1e-5), "weight has the wrong dtype"),
        (lambda x, p: (x[:0], None, None, None, 2, True, 1e-5), "non-empty"),
    ],
)
def test_the_kernel_refuses_what_does_not_fit(arguments, message):
    with pytest.raises(RuntimeError, match=message):
        torch.ops.fastsciml.evonorm_s(*arguments(torch.randn(2, 4, 6, 5), torch.ones(4)))


def test_an_empty_batch_gives_an_empty_result():
    x, v, weight, bias = make((0, 4, 5, 6))
    assert ops.evonorm_s0(x, v, weight, bias, groups=2).shape == x.shape
