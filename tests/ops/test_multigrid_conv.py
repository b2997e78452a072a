"""The V-cycle with learned stencils against dense matrices built from the stencils' formulae."""

import itertools
import sys

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from fastsciml.nn import MgConv1d, MgConv2d, MgConv3d
from fastsciml.ops import multigrid_conv
from fastsciml.ops.multigrid_conv import multigrid_conv_definition
from fastsciml.ops.multigrid_levels import End, Level, Norm, Smoothing, flattened, restored
from fastsciml.ops.multigrid_stencil import Activation, Boundary

LAYERS = {1: MgConv1d, 2: MgConv2d, 3: MgConv3d}
BOUNDARIES = ["dirichlet", "neumann", "periodic"]


def neighbour(i, n, boundary):
    """The point that stands for point i of n, None beyond a Dirichlet boundary."""
    if 0 <= i < n:
        return i
    if boundary == "dirichlet":
        return None
    return i % n if boundary == "periodic" else (-i if i < 0 else 2 * (n - 1) - i)


def stencil_matrix(weight, shape, boundary, stride=1):
    """[C_out coarse points, C_in fine points] of a convolution, entry by entry."""
    coarse = [-(-n // stride) for n in shape]
    matrix = torch.zeros(weight.shape[0], *coarse, weight.shape[1], *shape, dtype=weight.dtype)
    for out in itertools.product(*map(range, coarse)):
        for k in itertools.product(range(3), repeat=len(shape)):
            at = [neighbour(stride * o + j - 1, n, boundary) for o, j, n in zip(out, k, shape, strict=True)]
            if None not in at:
                matrix[(slice(None), *out, slice(None), *at)] += weight[(..., *k)]
    return matrix.flatten(len(shape) + 1).flatten(0, len(shape))


def prolongation_matrix(weight, shape, boundary):
    """[C fine points, C coarse points]: fine point 2 c + k - 1 gets entry k of coarse point c, beyond the grid too."""
    coarse = [-(-n // 2) for n in shape]
    matrix = torch.zeros(weight.shape[1], *shape, weight.shape[0], *coarse, dtype=weight.dtype)
    for c in itertools.product(*(range(-1, m + 1) for m in coarse)):
        source = [neighbour(i, m, boundary) for i, m in zip(c, coarse, strict=True)]
        for k in itertools.product(range(4), repeat=len(shape)):
            at = [2 * i + j - 1 for i, j in zip(c, k, strict=True)]
            if None not in source and all(0 <= i < n for i, n in zip(at, shape, strict=True)):
                matrix[(slice(None), *at, slice(None), *source)] += weight[(..., *k)].T
    return matrix.flatten(len(shape) + 1).flatten(0, len(shape))


def by_matrices(f, levels, boundary):
    """The cycle of the docstring on vectors, recursively."""

    def cycle(u, f, levels, shape):
        level = levels[0]

        def iterate(u, smoothings):
            for S, A in smoothings:
                S = stencil_matrix(S, shape, boundary)
                u = S @ f if u is None else u + S @ (f - stencil_matrix(A, shape, boundary) @ u)
            return u

        u = iterate(u, level.pre)
        if level.transfer is not None:
            R, Pi, P, A, _ = level.transfer
            r = f if A is None else f - stencil_matrix(A, shape, boundary) @ u
            below = cycle(
                stencil_matrix(Pi, shape, boundary, 2) @ u,
                stencil_matrix(R, shape, boundary, 2) @ r,
                levels[1:],
                [-(-n // 2) for n in shape],
            )
            u = u + prolongation_matrix(P, shape, boundary) @ below
        return iterate(u, level.post)

    u = cycle(None, f.flatten(1).T, levels, f.shape[2:])
    return u.T.reshape(f.shape[0], -1, *f.shape[2:])


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("use_residual", [False, True])
@pytest.mark.parametrize(("shape", "levels"), [((11,), 3), ((12,), 1), ((6, 7), 2), ((8, 5), 3), ((4, 3, 5), 2)])
def test_is_the_cycle_of_matrices(shape, levels, use_residual, boundary):
    layer = LAYERS[len(shape)](
        2, 3, levels, pre=[1] * (levels - 1) + [2], post=1, boundary=boundary, use_residual=use_residual
    ).double()
    f = torch.randn(2, 2, *shape, dtype=torch.float64)
    torch.testing.assert_close(layer(f), by_matrices(f, layer.stencils(), boundary))


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_gradients_of_first_and_second_order(boundary):
    layer = MgConv2d(1, 1, 2, post=1, boundary=boundary, use_residual=True).double()
    f = torch.randn(1, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    leaves = [f, *layer.parameters()]
    names = [name for name, _ in layer.named_parameters()]

    def function(f, *weights):
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (f,))

    assert gradcheck(function, leaves)
    assert gradgradcheck(function, leaves)


def end_of(layer):
    u, f = layer.out_channels, layer.in_channels
    return {"pointwise": torch.randn(u, f, 1, 1), "bias": torch.randn(u), "activation": "gelu"}


def with_norms(levels):
    """Affine over the channels, over the whole grid's points, or not at all."""
    norms = (Norm(torch.randn(3, 1, 1), torch.randn(3, 1, 1)), Norm(torch.randn(3, 7, 9), None), Norm())
    return [
        level if level.transfer is None else level._replace(transfer=level.transfer._replace(norm=norm))
        for level, norm in zip(levels, norms, strict=True)
    ]


VARIANTS = ["plain", "one level", "post", "residual", "norms", "no end"]


def variant(name, boundary):
    """Levels, f and the end of a layer."""
    count = 1 if name == "one level" else 3
    layer = MgConv2d(2, 3, count, post=int(name == "post"), boundary=boundary, use_residual=name == "residual")
    levels = layer.stencils()
    if name == "norms":
        levels = with_norms(levels)
    return torch.randn(2, 2, 14, 17), levels, {} if name == "no end" else end_of(layer)


def results(f, levels, end, boundary, function, dtype, device="cpu", **options):
    """The output and the gradients of f and of every tensor."""
    tensors, structure = flattened(levels, End(end.get("pointwise"), end.get("bias"), Activation.NONE))
    leaves = [t.detach().to(device, dtype).requires_grad_() for t in (f, *tensors)]
    levels, ended = restored(leaves[1:], structure)
    activation = end.get("activation", "none")
    if function is multigrid_conv:
        of_end = {"pointwise": ended.pointwise, "bias": ended.bias, "activation": activation}
        out = multigrid_conv(leaves[0], levels, boundary, **of_end, **options)
    else:
        ended = ended._replace(activation=Activation[activation.upper()])
        out = function(leaves[0], levels, Boundary[boundary.upper()], ended)
    dout = torch.cos(torch.arange(out.numel(), dtype=torch.float64)).view_as(out)
    return [out.detach(), *torch.autograd.grad(out, leaves, dout.to(device, dtype))]


@pytest.mark.parametrize("checkpoint", [False, True], ids=["kept", "made anew"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("name", VARIANTS)
def test_the_kernels_agree_with_the_float64_definition(name, boundary, dtype, checkpoint):
    f, levels, end = variant(name, boundary)
    exact = results(f, levels, end, boundary, multigrid_conv_definition, torch.float64)
    ours = results(f, levels, end, boundary, multigrid_conv, dtype, checkpoint=checkpoint)
    for out, reference in zip(ours, exact, strict=True):
        assert out.dtype == dtype
        error = (out.double() - reference).norm() / reference.norm()
        assert error < {torch.float32: 3e-6, torch.float64: 1e-13}[dtype]


@pytest.mark.parametrize("name", VARIANTS)
def test_without_gradients_the_result_is_the_same(name):
    f, levels, end = variant(name, "neumann")
    kept = multigrid_conv(f, levels, "neumann", **end)
    with torch.no_grad():
        torch.testing.assert_close(multigrid_conv(f, levels, "neumann", **end), kept.detach())


def test_gradients_come_alone_where_others_are_not_wanted():
    f, levels, end = variant("residual", "periodic")
    stencils = flattened(levels, End(None, None, Activation.NONE))[0]
    f.requires_grad_()
    for t in stencils:
        t.requires_grad_(False)
    both = torch.autograd.grad(multigrid_conv(f, levels, "periodic", **end).sum(), f)[0]
    stencils[0].requires_grad_()
    out = multigrid_conv(f, levels, "periodic", **end).sum()
    torch.testing.assert_close(torch.autograd.grad(out, (f, stencils[0]))[0], both)


def test_other_devices_dtypes_and_strides():
    f, levels, end = variant("plain", "dirichlet")
    expected = multigrid_conv(f, levels, **end)
    turned = f.transpose(2, 3).contiguous().transpose(2, 3)
    torch.testing.assert_close(multigrid_conv(turned, levels, **end), expected)
    empty = multigrid_conv(f[:0], levels, **end, checkpoint=True)
    assert empty.shape == (0, 3, 14, 17)
    with pytest.raises(TypeError, match=r"the stencils must have the dtype of f, torch.float64, got torch.float32"):
        multigrid_conv(f.double(), levels)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_kernels_can_be_refused(checkpoint, monkeypatch):
    f, levels, end = variant("residual", "periodic")
    expected = results(f, levels, end, "periodic", multigrid_conv, torch.float64)
    monkeypatch.delattr(torch.ops.fastsciml, "multigrid_conv")
    by_torch = results(f, levels, end, "periodic", multigrid_conv, torch.float64, kernels=False, checkpoint=checkpoint)
    for out, reference in zip(by_torch, expected, strict=True):
        torch.testing.assert_close(out, reference)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", VARIANTS)
def test_kernels_on_a_gpu_agree_with_the_float64_definition(name):
    f, levels, end = variant(name, "neumann")
    exact = results(f, levels, end, "neumann", multigrid_conv_definition, torch.float64)
    ours = results(f, levels, end, "neumann", multigrid_conv, torch.float32, "cuda", kernels=True)
    for out, reference in zip(ours, exact, strict=True):
        assert (out.cpu().double() - reference).norm() < 1e-5 * reference.norm()


def test_samples_in_shares_are_no_other_samples(monkeypatch):
    """Batches of more than the cache holds go through the cycle by shares."""
    f, levels, end = variant("norms", "neumann")
    f = torch.cat([f, -f, 2 * f])[:5]
    whole = results(f, levels, end, "neumann", multigrid_conv, torch.float64)
    monkeypatch.setattr(sys.modules["fastsciml.ops.multigrid_conv"], "SHARE", 2 * f[0].numel() * 8)
    for checkpoint in (False, True):
        shared = results(f, levels, end, "neumann", multigrid_conv, torch.float64, checkpoint=checkpoint)
        for out, reference in zip(shared, whole, strict=True):
            torch.testing.assert_close(out, reference)


def test_shares_compile_without_a_graph_break(monkeypatch):
    layer, f = MgConv2d(1, 4, 3), torch.randn(5, 1, 9, 12)
    monkeypatch.setattr(sys.modules["fastsciml.ops.multigrid_conv"], "SHARE", 2 * f[0].nbytes)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(f), layer(f))


def test_autocast_takes_its_dtype():
    f, levels, end = variant("post", "dirichlet")
    with torch.autocast("cpu", torch.bfloat16):
        out = multigrid_conv(f, levels, **end)
    assert out.dtype == torch.bfloat16
    expected = multigrid_conv(f, levels, **end)
    assert (out.float() - expected).norm() / expected.norm() < 0.02
    out.sum().backward()
    assert levels[0].pre[0].S.grad.dtype == torch.float32


@pytest.mark.parametrize("name", ["post", "norms"])
def test_the_operators_keep_torchs_rules(name):
    f, levels, end = variant(name, "periodic")
    tensors, structure = flattened(levels, End(end["pointwise"], end["bias"], Activation.GELU))
    f, *tensors = (t.detach().double().requires_grad_() for t in (f, *tensors))
    op = torch.ops.fastsciml
    torch.library.opcheck(op.multigrid_conv, (f, tensors, *structure, Boundary.PERIODIC, True))
    dout = torch.randn(2, 3, 14, 17, dtype=torch.float64, requires_grad=True)
    torch.library.opcheck(op.multigrid_conv_backward, (dout, f, tensors, *structure, Boundary.PERIODIC, [], True))


def test_compiles_without_a_graph_break():
    layer, f = MgConv2d(1, 4, 3), torch.randn(2, 1, 9, 12)
    torch.testing.assert_close(torch.compile(layer, fullgraph=True, backend="aot_eager")(f), layer(f))


def test_what_does_not_fit_is_refused():
    layer = MgConv2d(2, 3, 4, boundary="neumann")
    for shape, sentence in (
        ((1, 2, 8), "f must have 4 dimensions, got 3"),
        ((1, 3, 16, 16), "f must have the 2 channels"),
        ((1, 2, 16, 8), r"at least 2 points .* coarsest level, got \[2, 1\]"),
    ):
        with pytest.raises(ValueError, match=sentence):
            layer(torch.randn(shape))
    S = torch.randn(2, 2, 3)
    f = torch.randn(1, 2, 4)
    for levels, boundary, sentence in (
        ([], "dirichlet", "levels must begin"),
        ([Level([Smoothing(S, S)], [], None)], "dirichlet", "levels must begin"),
        ([Level([Smoothing(S, None)], [], None)] * 2, "dirichlet", "levels must have a transfer"),
        ([Level([Smoothing(S, None)], [], None)], "other", "boundary must be one of"),
    ):
        with pytest.raises(ValueError, match=sentence):
            multigrid_conv(f, levels, boundary)
