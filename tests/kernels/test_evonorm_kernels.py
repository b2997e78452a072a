"""The Triton kernels against the operators on the CPU in float64, which tests/ops compares with the definitions."""

import pytest
import torch
from fastsciml.kernels.evonorm_tiles import MOST_HELD_BACKWARD, group_tiles

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TOLERANCE = {torch.float32: 3e-6, torch.float64: 1e-13, torch.bfloat16: 6e-3, torch.float16: 1e-3}
SHAPES = [(2, 4), (2, 4, 63), (2, 6, 7, 9), (1, 4, 5, 4, 3), (2, 40, 10, 10), (1, 2, 97, 100)]


@pytest.fixture(params=SHAPES, ids=str)
def shape(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["plain", "interleaved"])
def tensors(request, shape):
    """x, dy, and [3, C] of v, weight, bias, in float64."""
    x, dy = torch.randn(2, *shape, dtype=torch.float64).unbind()
    if request.param:
        x, dy = (t.movedim(1, -1).contiguous().movedim(-1, 1) for t in (x, dy))
    return x, dy, torch.rand(3, shape[1], dtype=torch.float64) + 0.5


def check(results, references, dtype):
    for result, reference in zip(results, references, strict=True):
        error = (result.cpu().double() - reference).norm() / reference.norm()
        assert error <= TOLERANCE[dtype]


def to(dtype, *given):
    return [t.to(DEVICE, dtype) for t in given]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("centred", [True, False])
def test_groups(launch, tensors, centred, dtype):
    x, dy, parameters = tensors
    x, dy = x.to(dtype).double(), dy.to(dtype).double()
    real = torch.float64 if dtype == torch.float64 else torch.float32
    parameters = parameters.to(real).double()
    ops = torch.ops.fastsciml
    y, statistics = ops.evonorm_s(x, *parameters, 2, centred, 1e-3)
    expected = ops.evonorm_s_backward(dy, x, *parameters[:2], statistics, 2, centred, 1e-3)
    (low, low_dy), real_parameters = to(dtype, x, dy), to(real, *parameters)
    y_out, statistics_out = launch.evonorm_s(low, *real_parameters, 2, centred, 1e-3)
    check([y_out, statistics_out], [y, statistics], dtype)
    assert y_out.stride() == low.stride()
    out = launch.evonorm_s_backward(low_dy, low, *real_parameters[:2], statistics_out, 2, centred, 1e-3)
    check(out, expected, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("variant", [0, 1, 2])
def test_stages(launch, tensors, variant, dtype):
    x, dy, _ = tensors
    x, dy = x.to(dtype).double(), dy.to(dtype).double()
    real = torch.float64 if dtype == torch.float64 else torch.float32
    parameters = (torch.rand(x.shape[0], 7, x.shape[1]) + 0.5).to(real).double()
    few = parameters[:, :5].contiguous()
    ops = torch.ops.fastsciml
    (low, low_dy), (seven, five) = to(dtype, x, dy), to(real, parameters, few)
    check([launch.evonorm_b_map(low, five, variant)], [ops.evonorm_b_map(x, few, variant)], dtype)
    check(
        [launch.evonorm_b_slope(low_dy, low, seven, variant)], [ops.evonorm_b_slope(dy, x, parameters, variant)], dtype
    )
    sums = launch.evonorm_b_sums(low_dy, low, five, variant).cpu().double()
    expected = ops.evonorm_b_sums(dy, x, few, variant)
    torch.testing.assert_close(sums, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("centred", [True, False])
def test_moments(launch, tensors, centred, dtype):
    x = tensors[0].to(dtype).double() + (3 if centred else 0)
    x = x.to(dtype).double()
    expected = torch.ops.fastsciml.evonorm_moments(x, centred)
    result = launch.evonorm_moments(x.to(DEVICE, dtype), centred).cpu().double()
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)


def test_without_parameters(launch):
    x = torch.randn(2, 4, 7, 9, device=DEVICE)
    y, statistics = launch.evonorm_s(x, None, None, None, 2, True, 1e-5)
    expected = torch.ops.fastsciml.evonorm_s(x.cpu(), None, None, None, 2, True, 1e-5)
    torch.testing.assert_close(y.cpu(), expected[0])
    dx, _ = launch.evonorm_s_backward(x, x, None, None, statistics, 2, True, 1e-5)
    cpu = torch.ops.fastsciml.evonorm_s_backward(x.cpu(), x.cpu(), None, None, expected[1], 2, True, 1e-5)
    torch.testing.assert_close(dx.cpu(), cpu[0], rtol=1e-4, atol=1e-5)


def test_shapes_reach_both_the_held_and_the_split_version():
    held = {group_tiles(shape[1] // 2, torch.Size(shape[2:]).numel(), MOST_HELD_BACKWARD).held for shape in SHAPES}
    assert held == {True, False}
