import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from fastsciml.data import poisson_matrix
from fastsciml.ops import poisson_apply
from fastsciml.ops.pack_faces import pack_faces
from fastsciml.ops.poisson_apply import poisson_apply_definition
from fastsciml.solvers.boundary import parse_boundary
from fastsciml.solvers.grid import make_grid, parse_spacing

BOUNDARIES = ["dirichlet", "neumann", "periodic", ["periodic", ("neumann", "dirichlet"), ("dirichlet", "neumann")]]
SHAPES = [(1, 1, 1), (1, 5, 2), (7, 1, 13), (4, 6, 16), (5, 3, 37), (9, 80, 100)]
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-14}


FILLS = ["box", "faces", "coefficient", "alphas", "everything"]


def arguments(shape, boundary, dtype, fill="box", batch=1, device="cpu"):
    grid = make_grid(shape, parse_spacing([0.5, 1.0, 2.0], shape), parse_boundary(boundary, 3))
    couplings = torch.cat([torch.from_numpy(c) for axis in grid.axes for c in axis.face_couplings()])
    faces, coefficient = None, None
    if fill in ("faces", "everything"):
        fluid = torch.rand(shape) < 0.7
        faces = pack_faces(fluid, None, grid.periodic).to(device)
    if fill in ("coefficient", "everything"):
        sizes = [[n + (a == b) for b, n in enumerate(shape)] for a in range(3)]
        coefficient = [torch.rand(size, dtype=torch.float64).to(device, dtype) + 0.1 for size in sizes]
        coefficient = closed_round(coefficient, grid.periodic)
    alpha = torch.rand(shape if fill in ("alphas", "everything") else (), dtype=torch.float64).to(device, dtype)
    u = torch.randn(batch, *shape, dtype=torch.float64)
    return grid, (u.to(device, dtype), couplings.to(device, dtype), list(grid.periodic), faces, coefficient, alpha)


def closed_round(coefficient, periodic):
    """On a periodic axis the first and the last face are one."""
    around = []
    for a, k in enumerate(coefficient):
        n = k.shape[a] - 1
        around.append(torch.cat([k.narrow(a, 0, n), k.narrow(a, 0, 1)], a) if periodic[a] else k)
    return around


def doubled(args):
    u, couplings, periodic, faces, coefficient, alpha = args
    return (
        u.double(),
        couplings.double(),
        periodic,
        faces,
        coefficient and [k.double() for k in coefficient],
        alpha.double(),
    )


def relative_error(out, reference):
    return float((out.double() - reference).norm() / reference.norm().clamp(min=1e-300))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_float64_definition(shape, boundary, fill, dtype, device):
    _, args = arguments(shape, boundary, dtype, fill, batch=2, device=device)
    reference = poisson_apply_definition(*doubled(args))
    assert relative_error(poisson_apply(*args), reference) <= TOLERANCE[dtype]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
def test_definition_agrees_with_the_matrix(boundary, masked):
    shape = (4, 3, 5)
    torch.manual_seed(1)
    fluid = torch.rand(shape) < 0.7 if masked else torch.ones(shape, dtype=torch.bool)
    grid, (u, couplings, periodic, *_) = arguments(shape, boundary, torch.float64)
    faces = pack_faces(fluid, None, grid.periodic)
    matrix = poisson_matrix(shape, [0.5, 1.0, 2.0], boundary, ~fluid.numpy())
    out = poisson_apply_definition(u, couplings, periodic, faces)
    torch.testing.assert_close(out.flatten(), torch.from_numpy(matrix @ u.flatten().numpy()))


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
def test_gradients_of_first_and_second_order(boundary, fill):
    _, (u, couplings, periodic, faces, coefficient, alpha) = arguments(
        (2, 3, 4), boundary, torch.float64, fill, batch=2
    )
    inputs = [u, alpha, *(coefficient or [])]
    for tensor in inputs:
        tensor.requires_grad_()

    def function(v, a, *k):
        return poisson_apply(v, couplings, periodic, faces, closed_round(k, periodic), a)

    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
def test_gradients_on_a_stretched_grid(boundary):
    """A is not symmetric there."""
    shape = (3, 2, 4)
    grid = make_grid(shape, [np.random.rand(n) + 0.5 for n in shape], parse_boundary(boundary, 3))
    couplings = torch.cat([torch.from_numpy(c) for axis in grid.axes for c in axis.face_couplings()])
    u = torch.randn(1, *shape, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda v: poisson_apply(v, couplings, list(grid.periodic)), u)


@pytest.mark.parametrize("fill", FILLS)
def test_opcheck(fill):
    _, (u, couplings, periodic, faces, coefficient, alpha) = arguments((3, 4, 5), "dirichlet", torch.float64, fill)
    u.requires_grad_()
    arguments_of_op = (u, couplings, periodic, faces, coefficient or [], alpha.requires_grad_())
    torch.library.opcheck(torch.ops.fastsciml.poisson_apply.default, arguments_of_op)


def test_compiles_without_a_graph_break():
    _, (u, *operator) = arguments((3, 4, 5), "periodic", torch.float64, "everything")

    def function(v):
        return poisson_apply(v.sin(), *operator).cos()

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(u), function(u))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda u, *rest: (u[0], *rest), "u must be a non-empty"),
        (lambda u, *rest: (u.half(), *rest), "u must be float32 or float64"),
        (lambda u, *rest: (u.transpose(1, 3), *rest), "u must be contiguous"),
        (lambda u, c, *rest: (u, c.float(), *rest), "couplings has the wrong dtype"),
        (lambda u, c, *rest: (u, c[1:], *rest), "couplings must have"),
        (lambda u, c, p, *rest: (u, c, p[1:], *rest), "periodic must have 3"),
        (lambda u, c, p, f, *rest: (u, c, p, f[1:].contiguous(), *rest), "faces must have the shape"),
        (lambda u, c, p, f, *rest: (u, c, p, f.float(), *rest), "faces has the wrong dtype"),
        (lambda u, c, p, f, k, a: (u, c, p, f, k[1:], a), "coefficient must be three tensors"),
        (lambda u, c, p, f, k, a: (u, c, p, f, [k[0], k[2], k[1]], a), "coefficient must be three tensors"),
        (lambda u, c, p, f, k, a: (u, c, p, f, k, a[1:].contiguous()), "alpha must have one entry or the shape"),
        (lambda u, c, p, f, k, a: (u, c, p, f, k, a.float()), "alpha has the wrong dtype"),
    ],
)
def test_refuses_what_does_not_fit(change, message):
    _, args = arguments((3, 4, 5), "dirichlet", torch.float64, "everything")
    with pytest.raises(RuntimeError, match=message):
        poisson_apply(*change(*args))
