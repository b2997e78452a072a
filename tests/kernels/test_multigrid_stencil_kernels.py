"""The Triton kernels against the definition in float64, and autograd's gradients of it.

`python test_multigrid_stencil_kernels.py` compiles what is started for typical layers for every target, and prints what
ptxas says of each as JSON lines: a process of its own, since one that has interpreted the kernels cannot compile them.
"""

import json
import os
import subprocess
import sys

import pytest
import torch

from fastsciml.ops.multigrid_stencil import ACTIVATIONS, Activation, Boundary, Kind, stencil_definition

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TOLERANCE = {torch.float32: 3e-6, torch.float64: 1e-13, torch.bfloat16: 6e-3, torch.float16: 2e-3}
DIRICHLET, NEUMANN, PERIODIC = Boundary
OPTIONS = ("num_warps", "num_stages", "maxnreg")
REGISTERS_OF_A_MULTIPROCESSOR = 65536
# Kind, boundary, extents of the finer grid.
SHAPES = [(kind, boundary, n) for kind in list(Kind)[:3] for boundary in Boundary for n in ((5,), (4, 7))]
SHAPES += [(Kind.POINT, DIRICHLET, n) for n in ((5,), (4, 7), (3, 2, 3))]
SHAPES += [(kind, PERIODIC, (3, 2, 3)) for kind in list(Kind)[:3]]
SHAPES += [(Kind.SAME, NEUMANN, (3, 2, 3)), (Kind.PROLONG, NEUMANN, (3, 4, 3))]
SMALLEST = [(kind, boundary, (1,)) for kind in list(Kind)[:3] for boundary in (DIRICHLET, PERIODIC)]
SMALLEST += [(kind, PERIODIC, (2, 1)) for kind in list(Kind)[:3]]
SMALLEST += [(Kind.SAME, NEUMANN, (2, 3)), (Kind.RESTRICT, NEUMANN, (2, 3)), (Kind.PROLONG, NEUMANN, (3, 4))]


@pytest.fixture(scope="module")
def kernels():
    """The module that starts the kernels."""
    from fastsciml.kernels import multigrid_stencil_launch

    return multigrid_stencil_launch


class Layer:
    """A stencil's tensors in float64, with values that the dtype can hold, and the definition's results."""

    def __init__(self, kind, boundary, n, channels=(3, 5), batch=1, dtype=torch.float64):
        self.kind, self.boundary, self.dtype, self.batch = kind, boundary, dtype, batch
        coarse = [-(-extent // 2) for extent in n]
        self.inner = coarse if kind == Kind.PROLONG else list(n)
        self.outer = coarse if kind == Kind.RESTRICT else list(n)
        taps = {Kind.SAME: 3, Kind.RESTRICT: 3, Kind.PROLONG: 4, Kind.POINT: 1}[kind]
        self.in_channels, self.out_channels = channels
        of_weight = channels if kind == Kind.PROLONG else channels[::-1]
        self.x = self.values(batch, self.in_channels, *self.inner).requires_grad_()
        self.weight = self.values(*of_weight, *[taps] * len(n)).requires_grad_()
        self.out = stencil_definition(self.x, self.weight, kind, boundary, self.outer)
        self.dout = self.values(*self.out.shape)
        self.dx, self.dweight = torch.autograd.grad(self.out, (self.x, self.weight), self.dout)
        self.out = self.out.detach()

    def values(self, *extents):
        return torch.randn(extents, dtype=torch.float64).to(self.dtype).double()

    def given(self, *tensors):
        return [t if t is None else t.detach().to(DEVICE, self.dtype) for t in tensors]

    def apply(self, kernels, added=None, subtract=False, y=None, pointwise=None, bias=None, activation=Activation.NONE):
        x, weight, added, y, pointwise, bias = self.given(self.x, self.weight, added, y, pointwise, bias)
        about = (self.kind, self.boundary, self.outer)
        return kernels.multigrid_stencil(x, weight, *about, added, subtract, y, pointwise, bias, activation)

    def adjoint(self, kernels, added=None, subtract=False):
        dout, weight, added = self.given(self.dout, self.weight, added)
        about = (self.kind, self.boundary, self.inner)
        return kernels.multigrid_stencil_adjoint(dout, weight, *about, added, subtract)

    def gradient(self, kernels):
        dout, x = self.given(self.dout, self.x)
        return kernels.multigrid_stencil_gradient(dout, x, self.kind, self.boundary, list(self.weight.shape))

    def check(self, found, exact):
        assert found.shape == exact.shape
        assert found.dtype == self.dtype
        assert found.is_contiguous()
        assert (found.cpu().double() - exact).norm() <= TOLERANCE[self.dtype] * exact.norm()

    def check_all(self, kernels):
        self.check(self.apply(kernels), self.out)
        self.check(self.adjoint(kernels), self.dx)
        self.check(self.gradient(kernels), self.dweight)


@pytest.mark.parametrize(("kind", "boundary", "n"), SHAPES + SMALLEST, ids=str)
def test_stencil_adjoint_and_gradient(kernels, kind, boundary, n):
    Layer(kind, boundary, n).check_all(kernels)


@pytest.mark.parametrize("channels", [(1, 17), (17, 1), (40, 33)], ids=str)
@pytest.mark.parametrize("kind", [Kind.SAME, Kind.PROLONG])
def test_blocks_of_channels(kernels, kind, channels):
    Layer(kind, PERIODIC, (6,), channels).check_all(kernels)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("kind", [Kind.SAME, Kind.PROLONG])
def test_dtypes(kernels, kind, dtype):
    Layer(kind, NEUMANN, (4, 5), (17, 3), dtype=dtype).check_all(kernels)


@pytest.mark.parametrize(("kind", "n"), [*((kind, (70,)) for kind in list(Kind)[:3]), (Kind.SAME, (3, 35))], ids=str)
def test_blocks_of_points(kernels, kind, n):
    Layer(kind, NEUMANN, n, batch=2 if len(n) == 1 else 1).check_all(kernels)


def test_programs_share_the_points(kernels, monkeypatch):
    """Nine blocks of points in two shares of five or fewer."""
    monkeypatch.setattr(kernels, "PROGRAMS", 2)
    monkeypatch.setattr(kernels, "LEAST_SHARE", 1)
    layer = Layer(Kind.SAME, PERIODIC, (40,), batch=3)
    layer.check(layer.gradient(kernels), layer.dweight)


@pytest.mark.parametrize("kind", list(Kind)[:3])
def test_large_grids(kernels, monkeypatch, kind):
    """Large blocks, a copied weight, wide offsets."""
    monkeypatch.setattr(kernels, "MANY", 1)
    monkeypatch.setattr(kernels, "WIDE", 1)
    Layer(kind, PERIODIC, (3, 36)).check_all(kernels)


@pytest.mark.parametrize("kind", [Kind.SAME, Kind.PROLONG, Kind.POINT])
@pytest.mark.parametrize("present", [("added",), ("pointwise",), ("bias",), ("added", "pointwise", "bias")], ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_end_of_a_layer(kernels, kind, present, dtype):
    layer = Layer(kind, PERIODIC, (7,), batch=2, dtype=dtype)
    added = layer.values(*layer.out.shape) if "added" in present else None
    y = pointwise = None
    if "pointwise" in present:
        y, pointwise = layer.values(layer.batch, 18, *layer.outer), layer.values(layer.out_channels, 18, 1)
    bias = layer.values(layer.out_channels) if "bias" in present else None
    for activation, subtract in ((Activation.NONE, True), (Activation.GELU, False), (Activation.RELU, True)):
        exact = -layer.out if subtract else layer.out
        if added is not None:
            exact = exact + added
        if pointwise is not None:
            exact = exact + stencil_definition(y, pointwise, Kind.POINT, PERIODIC, layer.outer)
        if bias is not None:
            exact = exact + bias[:, None]
        found = layer.apply(kernels, added, subtract, y, pointwise, bias, activation)
        layer.check(found, ACTIVATIONS[activation](exact))


@pytest.mark.parametrize("subtract", [False, True])
def test_adjoint_added_to_a_field(kernels, subtract):
    layer = Layer(Kind.RESTRICT, NEUMANN, (7,))
    added = layer.values(*layer.x.shape)
    layer.check(layer.adjoint(kernels, added, subtract), added - layer.dx if subtract else added + layer.dx)


def test_not_a_number_stays_one(kernels):
    layer = Layer(Kind.POINT, DIRICHLET, (3,))
    bias = torch.full((layer.out_channels,), torch.nan)
    assert layer.apply(kernels, bias=bias, activation=Activation.RELU).isnan().all()


@pytest.mark.skipif(DEVICE == "cpu", reason="the interpreter multiplies float32 as such")
def test_tf32_only_where_torch_may_use_it(kernels, monkeypatch):
    layer = Layer(Kind.SAME, PERIODIC, (64, 64), (24, 24), dtype=torch.float32)
    layer.check(layer.apply(kernels), layer.out)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", True)
    error = (layer.apply(kernels).cpu().double() - layer.out).norm()
    assert TOLERANCE[torch.float32] * layer.out.norm() < error < 2e-3 * layer.out.norm()


@pytest.mark.slow
def test_every_kernel_compiles_for_every_target_and_spills_nothing(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | {"TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, __file__], env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert {report["target"] for report in reports} == {80, 90, 100}
    assert {report["kernel"] for report in reports} == {"stencil_kernel", "gradient_kernel"}
    for report in reports:
        assert report["spilled"] == 0, report
        assert report["registers"] * report["threads"] <= REGISTERS_OF_A_MULTIPROCESSOR, report


class Started:
    """Takes a kernel's place and keeps what it would be started with."""

    def __init__(self, kernel):
        self.kernel = kernel

    def __getitem__(self, programs):
        def keep(*arguments, **constants):
            self.arguments, self.constants = arguments, constants

        return keep

    def compiled(self, target):
        """For the sizes' divisors and the absent tensors that it was started with."""
        import triton
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        names = {torch.float32: "*fp32", torch.float64: "*fp64", torch.float16: "*fp16", torch.bfloat16: "*bf16"}
        options = {name: self.constants[name] for name in OPTIONS if name in self.constants}
        constants = {name: value for name, value in self.constants.items() if name not in options}
        signature, divisible = dict.fromkeys(self.kernel.arg_names, "constexpr"), {}
        for i, value in enumerate(self.arguments):
            name = self.kernel.arg_names[i]
            if value is None or (isinstance(value, int) and value == 1):
                constants[name] = value
                continue
            signature[name] = "i32" if isinstance(value, int) else names[value.dtype]
            if not isinstance(value, int) or value % 16 == 0:
                divisible[(i,)] = [["tt.divisibility", 16]]
        source = ASTSource(fn=self.kernel, signature=signature, constexprs=constants, attrs=divisible)
        return triton.compile(source, target=GPUTarget("cuda", target, 32), options=options)

    def report(self, target):
        # Not for the tests in the interpreter: it imports the compiler.
        from compile_offline import ptxas_report

        threads = 32 * self.constants["num_warps"]
        return {"kernel": self.kernel.__name__, **ptxas_report(self.compiled(target), target, threads)}


def typical(kind, channels, dtype):
    """Tensors without memory: x, weight, dout, another field, a pointwise map, a bias."""
    fine, coarse = (8, channels, 256, 256), (8, channels, 128, 128)
    taps = {Kind.SAME: 3, Kind.RESTRICT: 3, Kind.PROLONG: 4, Kind.POINT: 1}[kind]
    x, out = coarse if kind == Kind.PROLONG else fine, coarse if kind == Kind.RESTRICT else fine
    shapes = (x, (channels, channels, taps, taps), out, out, (channels, channels, 1, 1), (channels,))
    return [torch.empty(shape, dtype=dtype, device="meta") for shape in shapes]


def print_reports():
    from fastsciml.kernels import multigrid_stencil, multigrid_stencil_launch

    stencil, gradient = Started(multigrid_stencil.stencil_kernel), Started(multigrid_stencil.gradient_kernel)
    multigrid_stencil.stencil_kernel, multigrid_stencil.gradient_kernel = stencil, gradient
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        kinds = ((Kind.SAME, 24), (Kind.PROLONG, 32), (Kind.RESTRICT, 32))
        for kind, channels in kinds if dtype == torch.float32 else kinds[:2]:
            x, weight, dout, added, pointwise, bias = typical(kind, channels, dtype)
            about = (kind, NEUMANN)
            ends = [(added, added, pointwise, bias)]
            if kind == Kind.SAME and dtype == torch.float32:
                ends += [(added, None, None, None), (None, added, pointwise, None), (None, None, None, bias)]
            elif kind == Kind.SAME:
                ends += [(None, None, None, None)]
            for end in ends:
                multigrid_stencil_launch.multigrid_stencil(
                    x, weight, *about, dout.shape[2:], end[0], True, *end[1:], Activation.GELU
                )
                show(stencil, (80, 90, 100) if kind == Kind.PROLONG else (90,), dtype, kind)
            multigrid_stencil_launch.multigrid_stencil_adjoint(dout, weight, *about, x.shape[2:], None, False)
            show(stencil, (90,), dtype, kind)
            multigrid_stencil_launch.multigrid_stencil_gradient(dout, x, *about, weight.shape)
            show(gradient, (80, 90, 100) if kind == Kind.PROLONG else (90,), dtype, kind)


def show(started, targets, dtype, kind):
    for target in targets:
        about = {"target": target, "dtype": str(dtype), "kind": kind.name}
        print(json.dumps(about | started.report(target)), flush=True)


if __name__ == "__main__":
    print_reports()
