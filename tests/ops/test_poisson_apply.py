import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from fastsciml.data import poisson_matrix
from fastsciml.ops import poisson_apply
from fastsciml.ops.poisson_apply import poisson_apply_definition
from fastsciml.solvers.boundary import parse_boundary
from fastsciml.solvers.faces import open_faces, pack_faces
from fastsciml.solvers.grid import Grid, parse_spacing

BOUNDARIES = ["dirichlet", "neumann", "periodic", ["periodic", ("neumann", "dirichlet"), ("dirichlet", "neumann")]]
SHAPES = [(1, 1, 1), (1, 5, 2), (7, 1, 13), (4, 6, 16), (5, 3, 37), (9, 80, 100)]
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-14}


def arguments(shape, boundary, dtype, masked=False, batch=1, device="cpu"):
    grid = Grid(shape, parse_spacing([0.5, 1.0, 2.0], 3), parse_boundary(boundary, 3))
    couplings = torch.cat([torch.from_numpy(c) for axis in grid.axes for c in axis.face_couplings()])
    faces = None
    if masked:
        fluid = torch.rand(shape) < 0.7
        faces = pack_faces(fluid, open_faces(fluid, grid.periodic)).to(device)
    u = torch.randn(batch, *shape, dtype=torch.float64)
    return grid, (u.to(device, dtype), couplings.to(device, dtype), list(grid.periodic), faces, 0.7)


def relative_error(out, reference):
    return float((out.double() - reference).norm() / reference.norm().clamp(min=1e-300))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_float64_definition(shape, boundary, masked, dtype, device):
    _, args = arguments(shape, boundary, dtype, masked, batch=2, device=device)
    doubles = (args[0].double(), args[1].double(), *args[2:])
    reference = poisson_apply_definition(*doubles)
    assert relative_error(poisson_apply(*args), reference) <= TOLERANCE[dtype]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
def test_definition_agrees_with_the_matrix(boundary, masked):
    shape = (4, 3, 5)
    torch.manual_seed(1)
    fluid = torch.rand(shape) < 0.7 if masked else torch.ones(shape, dtype=torch.bool)
    grid, (u, couplings, periodic, *_) = arguments(shape, boundary, torch.float64)
    faces = pack_faces(fluid, open_faces(fluid, grid.periodic))
    matrix = poisson_matrix(shape, grid.spacing, grid.boundary, ~fluid.numpy())
    out = poisson_apply_definition(u, couplings, periodic, faces)
    torch.testing.assert_close(out.flatten(), torch.from_numpy(matrix @ u.flatten().numpy()))


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_of_first_and_second_order(masked):
    _, (u, couplings, periodic, faces, alpha) = arguments((3, 4, 5), BOUNDARIES[3], torch.float64, masked)
    u.requires_grad_()

    def function(v):
        return poisson_apply(v, couplings, periodic, faces, alpha)

    assert gradcheck(function, u)
    assert gradgradcheck(function, u)


@pytest.mark.parametrize("masked", [False, True])
def test_opcheck(masked):
    _, args = arguments((3, 4, 5), "dirichlet", torch.float64, masked)
    args[0].requires_grad_()
    torch.library.opcheck(torch.ops.fastsciml.poisson_apply.default, args)


def test_compiles_without_a_graph_break():
    _, (u, couplings, periodic, faces, alpha) = arguments((3, 4, 5), "periodic", torch.float64)

    def function(v):
        return poisson_apply(v.sin(), couplings, periodic, faces, alpha).cos()

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(u), function(u))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda u, c, p, f, a: (u[0], c, p, f), "u must be a non-empty"),
        (lambda u, c, p, f, a: (u.half(), c, p, f), "u must be float32 or float64"),
        (lambda u, c, p, f, a: (u.transpose(1, 3), c, p, f), "u must be contiguous"),
        (lambda u, c, p, f, a: (u, c.float(), p, f), "couplings has the wrong dtype"),
        (lambda u, c, p, f, a: (u, c[1:], p, f), "couplings must have"),
        (lambda u, c, p, f, a: (u, c, p[1:], f), "periodic must have 3"),
        (lambda u, c, p, f, a: (u, c, p, f[1:].contiguous()), "faces must have the shape"),
        (lambda u, c, p, f, a: (u, c, p, f.float()), "faces has the wrong dtype"),
    ],
)
def test_refuses_what_does_not_fit(change, message):
    _, args = arguments((3, 4, 5), "dirichlet", torch.float64, masked=True)
    with pytest.raises(RuntimeError, match=message):
        poisson_apply(*change(*args))
