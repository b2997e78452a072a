import pytest
import torch

from fastsciml.ops import conjugate_direction_step, conjugate_line_search, join_rows, poisson_apply, split_rows
from fastsciml.ops.conjugate_direction import conjugate_line_search_definition
from fastsciml.solvers.boundary import parse_boundary
from fastsciml.solvers.faces import open_faces, pack_faces
from fastsciml.solvers.grid import Grid
from fastsciml.solvers.hierarchy import box_hierarchy, masked_hierarchy

SHAPES = [(1, 1, 1), (1, 1, 19), (7, 1, 16), (5, 6, 33), (40, 45, 40)]
BOUNDARIES = ["dirichlet", "periodic", [("neumann", "dirichlet"), "periodic", "neumann"]]


class Problem:
    def __init__(self, shape, boundary, masked, dtype=torch.float64, alpha=0.3):
        self.alpha = alpha
        self.grid = Grid(shape, (1.0, 2.0, 0.5), parse_boundary(boundary, 3))
        self.fluid = torch.rand(shape) < 0.8 if masked else torch.ones(shape, dtype=torch.bool)
        faces = open_faces(self.fluid, self.grid.periodic)
        self.hierarchy = (
            masked_hierarchy(self.grid, self.fluid, faces, alpha) if masked else box_hierarchy(self.grid, alpha)
        )
        self.faces = pack_faces(self.fluid, faces) if masked else None
        couplings = [torch.from_numpy(c) for axis in self.grid.axes for c in axis.face_couplings()]
        self.couplings = torch.cat(couplings).to(dtype)
        self.dtype = dtype

    def field(self, dtype):
        return torch.randn(self.grid.shape, dtype=dtype) * self.fluid

    def direction(self):
        return split_rows(self.field(torch.float32))

    def apply(self, u):
        couplings = self.couplings.to(u.dtype)
        return poisson_apply(u[None].contiguous(), couplings, self.hierarchy.periodic, self.faces, self.alpha)[0]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_line_search_agrees_with_the_definition(shape, boundary, masked):
    problem = Problem(shape, boundary, masked)
    z, p, r = (problem.direction() for _ in range(3))
    zs, ps, rs = (join_rows(t, shape[2]).double() for t in (z, p, r))
    products = conjugate_line_search(z, p, r, problem.hierarchy)
    az = problem.apply(zs)
    reference = conjugate_line_search_definition(zs, ps, rs, az)
    scale = torch.stack([zs.norm() * az.norm(), ps.norm() * az.norm(), rs.norm() * zs.norm(), rs.norm() * ps.norm()])
    assert ((products - reference).abs() <= 1e-5 * scale).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_step_leaves_the_true_residual(shape, boundary, masked, dtype, threads):
    problem = Problem(shape, boundary, masked, dtype)
    n = shape[2]
    u, f = problem.field(dtype), problem.field(dtype)
    z, p = problem.direction(), problem.direction()
    length, beta, scale = 0.3, -0.2, 4.0
    expected_p = z + beta * p
    old_u = u.double().clone()

    r = torch.full_like(p, torch.nan)
    norm = conjugate_direction_step(
        u, z, p, r, f, problem.couplings, problem.hierarchy.periodic, problem.faces, problem.alpha, length, beta, scale
    )
    torch.testing.assert_close(z, expected_p, rtol=1e-6, atol=1e-6)
    new_u = old_u + length * join_rows(z, n).double()
    residual = f.double() - problem.apply(new_u)
    size = 20 * float(new_u.norm() + f.norm() + 1e-30)
    tolerance = (1e-6 if dtype == torch.float32 else 1e-14) * size
    assert float((u.double() - new_u).norm()) <= tolerance
    assert float((join_rows(r, n).double() / scale - residual).norm()) <= max(tolerance, 2e-7 * float(residual.norm()))
    assert norm == pytest.approx(float(residual.norm()), rel=1e-12, abs=tolerance)


def test_step_needs_an_old_direction_only_with_a_beta():
    problem = Problem((3, 4, 16), "dirichlet", False)
    u, f = problem.field(torch.float64), problem.field(torch.float64)
    z = problem.direction()
    before, r = z.clone(), torch.full_like(z, torch.nan)
    conjugate_direction_step(u, z, None, r, f, problem.couplings, [0, 0, 0], None, 0.0, 1.0, 0.0, 1.0)
    assert torch.equal(z, before)
    assert r.isfinite().all()
    with pytest.raises(RuntimeError, match="p is missing"):
        conjugate_direction_step(u, z, None, r, f, problem.couplings, [0, 0, 0], None, 0.0, 1.0, 0.5, 1.0)


@pytest.mark.parametrize("name", ["line_search", "step"])
def test_opcheck(name):
    problem = Problem((3, 4, 5), "dirichlet", True)
    h = problem.hierarchy
    z, p, r = (problem.direction() for _ in range(3))
    if name == "line_search":
        op = torch.ops.fastsciml.conjugate_line_search.default
        arguments = (z, p, r, h.extents, h.periodic, h.axes[0], h.row_indices[0], h.diagonals[0], h.z_couplings[0])
    else:
        op = torch.ops.fastsciml.conjugate_direction_step.default
        u, f = problem.field(torch.float64), problem.field(torch.float64)
        arguments = (u, z, p, r, f, problem.couplings, h.periodic, problem.faces, 0.3, 0.1, 0.2, 1.0)
    torch.library.opcheck(op, arguments, test_utils=["test_schema", "test_faketensor"])
