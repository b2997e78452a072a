"""Learned stencils, their transposes and their weights' gradients against the definition in float64."""

import itertools
from typing import NamedTuple

import pytest
import torch
from torch.nn import functional

from fastsciml.ops.multigrid_stencil import (
    ACTIVATIONS,
    Activation,
    Boundary,
    Kind,
    stencil,
    stencil_adjoint,
    stencil_definition,
    stencil_gradient,
)

TAPS = {Kind.SAME: 3, Kind.RESTRICT: 3, Kind.PROLONG: 4, Kind.POINT: 1}
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
# What a kernel may add to twice the error of plain PyTorch in float32; in float64 that is the reference itself.
ROUNDING = {torch.float32: 5e-7, torch.float64: 1e-14, torch.bfloat16: 3e-3, torch.float16: 4e-4}
# The last ones have rows of more than one vector and more rows than a strip.
SHAPES = [(1,), (5,), (40,), (2, 2), (4, 7), (37, 6), (18, 35), (3, 4, 5), (2, 6, 9)]


# Not the host runtime of tests/conftest.py: the kernels for CUDA are Triton's (tests/kernels).
@pytest.fixture(params=["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def device(request):
    return request.param


class Case(NamedTuple):
    kind: Kind
    boundary: Boundary
    shape: tuple[int, ...]  # of x, or where it is prolonged of the result
    channels: tuple[int, int] = (3, 5)
    dtype: torch.dtype = torch.float32
    device: str = "cpu"

    @property
    def grids(self):
        halves = tuple(-(-n // 2) for n in self.shape)
        if self.kind == Kind.PROLONG:
            return halves, self.shape
        return self.shape, halves if self.kind == Kind.RESTRICT else self.shape

    def make(self, *shape):
        return torch.randn(shape, dtype=torch.float64).to(self.device, self.dtype)

    def tensors(self):
        """x, weight, dout."""
        (before, after), (of_x, of_out) = self.channels, self.grids
        pair = (before, after) if self.kind == Kind.PROLONG else (after, before)
        weight = self.make(*pair, *[TAPS[self.kind]] * len(self.shape))
        return self.make(2, before, *of_x), weight, self.make(2, after, *of_out)


def has_case(boundary, kind, shape):
    coarse = [-(-n // 2) for n in shape] if kind == Kind.PROLONG else shape
    return boundary != Boundary.NEUMANN or kind == Kind.POINT or min(coarse) > 1


def by_definition(case, x, weight, dout):
    """The stencil's result and the gradients of x and weight."""
    leaves = [x.detach().requires_grad_(), weight.detach().requires_grad_()]
    out = stencil_definition(*leaves, case.kind, case.boundary, case.grids[1])
    return out.detach(), *torch.autograd.grad(out, leaves, dout)


def error(out, reference):
    return float((out.double() - reference).norm() / reference.norm().clamp(min=1e-300))


def check(case):
    tensors = case.tensors()
    x, weight, dout = tensors
    real = torch.float64 if case.dtype == torch.float64 else torch.float32
    exact = by_definition(case, *(t.double() for t in tensors))
    plain = by_definition(case, *(t.to(real) for t in tensors))
    ours = (
        stencil(x, weight, case.kind, case.boundary, case.grids[1]),
        stencil_adjoint(dout, weight, case.kind, case.boundary, case.grids[0]),
        stencil_gradient(dout, x, case.kind, case.boundary, weight.shape),
    )
    for name, out, reference, rounded in zip(("out", "dx", "dweight"), ours, exact, plain, strict=True):
        assert out.shape == reference.shape
        assert out.dtype == case.dtype
        assert error(out, reference) <= 2 * error(rounded, reference) + ROUNDING[case.dtype], name


@pytest.mark.parametrize("boundary", Boundary)
@pytest.mark.parametrize(
    ("kind", "shape"), list(itertools.product(Kind, SHAPES)), ids=lambda v: v.name if isinstance(v, Kind) else str(v)
)
def test_any_grid_agrees_with_the_float64_definition(kind, shape, boundary, device):
    if not has_case(boundary, kind, shape):
        if device != "cpu":
            pytest.skip("there multigrid_conv checks its grids, not the kernels")
        x, weight, dout = Case(kind, boundary, shape, device=device).tensors()
        with pytest.raises(RuntimeError, match="extents must fit the kind of stencil"):
            stencil(x, weight, kind, boundary, dout.shape[2:])
        return
    check(Case(kind, boundary, shape, device=device))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("channels", [(1, 1), (1, 24), (24, 1), (7, 13), (32, 25)], ids=str)
@pytest.mark.parametrize("kind", Kind)
def test_any_channels_and_dtype_agree_with_the_float64_definition(kind, channels, dtype, device, threads):
    check(Case(kind, Boundary.NEUMANN, (11, 20), channels, dtype, device))


@pytest.mark.slow
@pytest.mark.parametrize("boundary", Boundary)
@pytest.mark.parametrize("kind", Kind)
def test_many_strips_and_panels_agree_with_the_float64_definition(kind, boundary, device, threads):
    check(Case(kind, boundary, (133, 259), (24, 24), device=device))
    check(Case(kind, boundary, (9, 21, 40), (12, 8), device=device))


@pytest.mark.parametrize("activation", Activation)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", Kind)
def test_what_is_added_and_the_end_of_a_layer(kind, dtype, activation, device):
    case = Case(kind, Boundary.PERIODIC, (6, 19), (3, 9), dtype, device)
    x, weight, dout = case.tensors()
    added, data = torch.randn_like(dout), case.make(2, 4, *case.grids[1])
    pointwise, bias = case.make(9, 4, 1, 1), case.make(9)
    ours = stencil(x, weight, kind, case.boundary, case.grids[1], added, True, data, pointwise, bias, activation)
    by_x = stencil_definition(x.double(), weight.double(), kind, case.boundary, case.grids[1])
    of_data = functional.conv2d(data.double(), pointwise.double(), bias.double())
    expected = ACTIVATIONS[activation](added.double() - by_x + of_data)
    assert error(ours, expected) < 4e-7 + ROUNDING[dtype]

    dx = stencil_adjoint(dout, weight, kind, case.boundary, case.grids[0], x, True)
    expected = x.double() - by_definition(case, x.double(), weight.double(), dout.double())[1]
    assert error(dx, expected) < 4e-7 + ROUNDING[dtype]


def test_gelu_is_exact_over_its_whole_range():
    x = torch.linspace(-12, 12, 100_001).view(1, 1, -1)
    one = torch.ones(1, 1, 1)
    ours = stencil(x, one, Kind.POINT, Boundary.DIRICHLET, x.shape[2:], activation=Activation.GELU)
    assert (ours.double() - functional.gelu(x.double())).abs().max() < 5e-7
    x, one = x.double(), one.double()
    ours = stencil(x, one, Kind.POINT, Boundary.DIRICHLET, x.shape[2:], activation=Activation.GELU)
    torch.testing.assert_close(ours, functional.gelu(x), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("kind", Kind)
def test_no_bit_depends_on_the_number_of_threads(kind):
    case = Case(kind, Boundary.NEUMANN, (40, 50), (6, 9))
    x, weight, dout = case.tensors()
    before, results = torch.get_num_threads(), []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        results.append(
            [
                stencil(x, weight, kind, case.boundary, case.grids[1]),
                stencil_adjoint(dout, weight, kind, case.boundary, case.grids[0]),
                stencil_gradient(dout, x, kind, case.boundary, weight.shape),
            ]
        )
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("kind", Kind)
def test_the_operators_keep_torchs_rules(kind, device):
    case = Case(kind, Boundary.PERIODIC, (4, 6), dtype=torch.float64, device=device)
    x, weight, dout = case.tensors()
    ops, (of_x, of_out) = torch.ops.fastsciml, case.grids
    rest = (kind, case.boundary)
    calls = (
        (ops.multigrid_stencil, (x, weight, *rest, list(of_out), None, False, None, None, None, 0)),
        (ops.multigrid_stencil_adjoint, (dout, weight, *rest, list(of_x), None, False)),
        (ops.multigrid_stencil_gradient, (dout, x, *rest, list(weight.shape))),
    )
    for operator, arguments in calls:
        torch.library.opcheck(operator, arguments)


def test_what_does_not_fit_is_refused():
    x, weight, dout = Case(Kind.SAME, Boundary.DIRICHLET, (6, 8)).tensors()
    extents = dout.shape[2:]
    for arguments, sentence in (
        ((x[0, 0], weight, Kind.SAME, 0, extents), "x must be a non-empty"),
        ((x, weight.double(), Kind.SAME, 0, extents), "weight has the wrong dtype"),
        ((x, weight[:, :2].contiguous(), Kind.SAME, 0, extents), "weight must have the channels"),
        ((x, weight, Kind.RESTRICT, 0, extents), "extents must fit"),
        ((x, weight, 7, 0, extents), "kind must be 0 to 3"),
        ((x, weight, Kind.SAME, 5, extents), "boundary must be 0 to 2"),
        ((x, weight, Kind.SAME, 0, extents, dout[:1]), "added must have the shape"),
        ((x, weight, Kind.SAME, 0, extents, None, False, x), "pointwise must come with"),
        ((x, weight, Kind.SAME, 0, extents, None, False, None, None, torch.ones(3)), "bias must have an element"),
    ):
        with pytest.raises(RuntimeError, match=sentence):
            stencil(*arguments)
    with pytest.raises(RuntimeError, match="dout must have the dimensions and batch of x"):
        stencil_gradient(dout[:1], x, Kind.SAME, 0, weight.shape)
    with pytest.raises(RuntimeError, match="weight must have the channels"):
        stencil_adjoint(x, weight, Kind.SAME, 0, extents)
