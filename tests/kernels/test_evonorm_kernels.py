"""The Triton kernels against the operators on the CPU in float64, which tests/ops compares with the definitions."""

import pytest
import torch
from fastsciml.kernels.evonorm_tiles import held_group, stage

from fastsciml import ops
from fastsciml.ops import evonorm_cuda

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# Triton's interpreter cuts numbers to bfloat16 off, where a device rounds: 2^-7.
TOLERANCE = {torch.float32: 3e-6, torch.float64: 1e-13, torch.bfloat16: 2**-7, torch.float16: 1e-3}
# Held groups and stages; several chunks of a space, steps of a chunk, blocks of channels and of samples.
SHAPES = [(2, 4), (2, 4, 63), (2, 6, 7, 9), (1, 4, 5, 4, 3), (2, 40, 10, 10), (1, 2, 97, 100), (33, 2, 3, 7)]


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
def test_groups(tensors, centred, dtype):
    x, dy, parameters = tensors
    x, dy = x.to(dtype).double(), dy.to(dtype).double()
    real = torch.float64 if dtype == torch.float64 else torch.float32
    parameters = parameters.to(real).double()
    shipped = torch.ops.fastsciml
    y, statistics = shipped.evonorm_s(x, *parameters, 2, centred, 1e-3)
    expected = shipped.evonorm_s_backward(dy, x, *parameters[:2], statistics, 2, centred, 1e-3)
    (low, low_dy), real_parameters = to(dtype, x, dy), to(real, *parameters)
    y_out, statistics_out = evonorm_cuda.evonorm_s(low, *real_parameters, 2, centred, 1e-3)
    check([y_out, statistics_out], [y, statistics], dtype)
    assert y_out.stride() == low.stride()
    out = evonorm_cuda.evonorm_s_backward(low_dy, low, *real_parameters[:2], statistics_out, 2, centred, 1e-3)
    check(out, expected, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("variant", [0, 1, 2])
def test_batches(tensors, variant, training, dtype):
    x, dy, parameters = tensors
    x, dy = x.to(dtype).double(), dy.to(dtype).double()
    real = torch.float64 if dtype == torch.float64 else torch.float32
    parameters = parameters.to(real).double()
    variance = None if training else (torch.rand(x.shape[1]) + 0.5).to(real).double()
    shipped = torch.ops.fastsciml
    y, planes, batch = shipped.evonorm_b(x, *parameters, variance, variant, 1e-3, None)
    rest = (planes, batch, training, variant, 1e-3, None)
    expected = shipped.evonorm_b_backward(dy, x, *parameters[:2], *rest)
    (low, low_dy), real_parameters = to(dtype, x, dy), to(real, *parameters)
    given = None if variance is None else to(real, variance)[0]
    out = evonorm_cuda.evonorm_b(low, *real_parameters, given, variant, 1e-3, None)
    check(out, [y, planes, batch], dtype)
    assert out[0].stride() == low.stride()
    arguments = (low_dy, low, *real_parameters[:2], *out[1:], training, variant, 1e-3, None)
    check(evonorm_cuda.evonorm_b_backward(*arguments), expected, dtype)


def test_without_parameters():
    x = torch.randn(2, 4, 7, 9, device=DEVICE)
    nothing = (None, None, None)
    y, statistics = evonorm_cuda.evonorm_s(x, *nothing, 2, True, 1e-5)
    expected = torch.ops.fastsciml.evonorm_s(x.cpu(), *nothing, 2, True, 1e-5)
    torch.testing.assert_close(y.cpu(), expected[0])
    dx, _ = evonorm_cuda.evonorm_s_backward(x, x, None, None, statistics, 2, True, 1e-5)
    cpu = torch.ops.fastsciml.evonorm_s_backward(x.cpu(), x.cpu(), None, None, expected[1], 2, True, 1e-5)
    torch.testing.assert_close(dx.cpu(), cpu[0], rtol=1e-4, atol=1e-5)
    y, planes, batch = evonorm_cuda.evonorm_b(x, *nothing, None, 0, 1e-5, None)
    expected = torch.ops.fastsciml.evonorm_b(x.cpu(), *nothing, None, 0, 1e-5, None)
    torch.testing.assert_close(y.cpu(), expected[0])
    dx, _ = evonorm_cuda.evonorm_b_backward(x, x, None, None, planes, batch, True, 0, 1e-5, None)
    cpu = torch.ops.fastsciml.evonorm_b_backward(x.cpu(), x.cpu(), None, None, *expected[1:], True, 0, 1e-5, None)
    torch.testing.assert_close(dx.cpu(), cpu[0], rtol=1e-4, atol=1e-5)


def test_a_distant_mean_costs_no_accuracy():
    x = (torch.randn(2, 4, 97, 100, dtype=torch.float64) + 1000).float()
    for centred in (True, False):
        _, statistics = evonorm_cuda.evonorm_s(x.to(DEVICE), None, None, None, 2, centred, 1e-5)
        expected = torch.ops.fastsciml.evonorm_s(x.double(), None, None, None, 2, centred, 1e-5)[1]
        torch.testing.assert_close(statistics.cpu().double(), expected, rtol=1e-5, atol=1e-5)


def test_shapes_reach_both_the_held_and_the_staged_version():
    held = {held_group(shape[1] // 2, torch.Size(shape[2:]).numel(), False, 4, backward=True) for shape in SHAPES}
    assert None in held
    assert len(held) > 1


@pytest.mark.parametrize(
    ("shape", "chunks", "steps"),
    [((2, 64, 112 * 112), 7, 1), ((128, 64, 3136), 1, 2), ((1, 3, 1 << 24), 64, 128), ((128, 512, 49), 1, 1)],
    ids=str,
)
def test_a_stage_cuts_the_space_so_that_its_programs_fill_a_device(shape, chunks, steps):
    tiles = stage(*shape, interleaved=False)
    assert (tiles.chunks, tiles.steps) == (chunks, steps)
    assert tiles.chunks * tiles.chunk_positions >= shape[2]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="NO GPU: the layers are not captured in CUDA graphs")
@pytest.mark.parametrize("name", ["s0", "b0"])
def test_a_cuda_graph_replays_both_directions(name):
    x, dy = torch.randn(2, 8, 64, 30, 31, device="cuda").unbind()
    leaves = [t.requires_grad_() for t in (x, *torch.rand(3, 64, device="cuda"))]

    def both():
        y = ops.evonorm_s0(*leaves) if name == "s0" else ops.evonorm_b0(*leaves)[0]
        return y.detach(), *torch.autograd.grad(y, leaves, dy)

    with torch.cuda.stream(torch.cuda.Stream()):
        both()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = both()
    with torch.no_grad():
        x.normal_()
    graph.replay()
    for replayed, expected in zip(captured, both(), strict=True):
        torch.testing.assert_close(replayed, expected, rtol=0, atol=0)
