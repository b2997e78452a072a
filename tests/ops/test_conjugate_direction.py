import pytest
import torch

from fastsciml.ops import conjugate_direction_step, conjugate_line_search, join_rows, poisson_apply, split_rows
from fastsciml.ops.conjugate_direction import conjugate_line_search_definition
from fastsciml.solvers.boundary import parse_boundary
from fastsciml.solvers.discretisation import Discretisation, Fill
from fastsciml.solvers.grid import make_grid

SHAPES = [(1, 1, 1), (1, 1, 19), (7, 1, 16), (5, 6, 33), (40, 45, 40)]
BOUNDARIES = ["dirichlet", "periodic", [("neumann", "dirichlet"), "periodic", "neumann"]]
FILLS = ["box", "solid", "fixed", "coefficient", "everything"]


class Problem:
    def __init__(self, shape, boundary, fill, dtype=torch.float64, stretched=False):
        uniform = zip(shape, (1.0, 2.0, 0.5), strict=True)
        spacing = [torch.rand(n).double().numpy() + 0.5 if stretched else h for n, h in uniform]
        grid = make_grid(shape, spacing, parse_boundary(boundary, 3))

        def some(share):
            mask = torch.rand(shape) < share
            mask.view(-1)[0] = False
            return mask

        masked = fill in ("solid", "everything")
        faces = [torch.rand([n + (a == b) for b, n in enumerate(shape)], dtype=dtype) + 0.1 for a in range(3)]
        for a, periodic in enumerate(grid.periodic):
            if periodic:
                faces[a].narrow(a, shape[a], 1).copy_(faces[a].narrow(a, 0, 1))
        self.sample = Discretisation(
            grid,
            Fill(
                solid=some(0.2) if masked else None,
                fixed=some(0.2) if fill in ("fixed", "everything") else None,
                faces=faces if fill in ("coefficient", "everything") else None,
                alpha=torch.rand(shape, dtype=dtype) if fill == "everything" else torch.tensor(0.3, dtype=dtype),
            ),
            dtype,
        )
        self.hierarchy = self.sample.hierarchy()
        self.volumes = torch.from_numpy(grid.volumes())

    def field(self, dtype):
        field = torch.randn(self.sample.grid.extents, dtype=dtype)
        return field if self.sample.unknown is None else field * self.sample.unknown

    def direction(self):
        return split_rows(self.field(torch.float32))

    def apply(self, u):
        a = self.sample.operator
        coefficient = a.coefficient and [face.to(u.dtype) for face in a.coefficient]
        arguments = (a.couplings.to(u.dtype), a.periodic, a.faces, coefficient, a.alpha.to(u.dtype))
        return poisson_apply(u[None].contiguous(), *arguments)[0]

    def step(self, u, z, p, r, f, length, beta, scale, from_zero=False):
        a = self.sample.operator
        operator = (a.couplings, a.periodic, a.faces, a.coefficient, a.alpha)
        return conjugate_direction_step(u, z, p, r, f, *operator, length, beta, scale, from_zero)


@pytest.mark.parametrize("stretched", [False, True])
@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_line_search_agrees_with_the_definition(shape, boundary, fill, stretched):
    problem = Problem(shape, boundary, fill, stretched=stretched)
    z, p, r = (problem.direction() for _ in range(3))
    zs, ps, rs = (join_rows(t, shape[2]).double() for t in (z, p, r))
    products = conjugate_line_search(z, p, r, problem.hierarchy)
    az = problem.apply(zs)
    reference = conjugate_line_search_definition(zs, ps, rs, az, problem.volumes)
    scale = torch.stack([zs.norm() * az.norm(), ps.norm() * az.norm(), rs.norm() * zs.norm(), rs.norm() * ps.norm()])
    assert ((products - reference).abs() <= 1e-5 * scale).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_step_leaves_the_true_residual(shape, boundary, fill, dtype, threads):
    problem = Problem(shape, boundary, fill, dtype)
    n = shape[2]
    u, f = problem.field(dtype), problem.field(dtype)
    z, p = problem.direction(), problem.direction()
    length, beta, scale = 0.3, -0.2, 4.0
    expected_p = z + beta * p
    old_u = u.double().clone()

    r = torch.full_like(p, torch.nan)
    norm = problem.step(u, z, p, r, f, length, beta, scale)
    torch.testing.assert_close(z, expected_p, rtol=1e-6, atol=1e-6)
    new_u = old_u + length * join_rows(z, n).double()
    residual = f.double() - problem.apply(new_u)
    size = 20 * float(new_u.norm() + f.norm() + 1e-30)
    tolerance = (1e-6 if dtype == torch.float32 else 1e-14) * size
    assert float((u.double() - new_u).norm()) <= tolerance
    assert float((join_rows(r, n).double() / scale - residual).norm()) <= max(tolerance, 2e-7 * float(residual.norm()))
    assert norm == pytest.approx(float(residual.norm()), rel=1e-12, abs=tolerance)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_step_from_zero_reads_no_solution(shape, threads):
    problem = Problem(shape, "dirichlet", "everything")
    f, z = problem.field(torch.float64), problem.direction()
    zero, unset = torch.zeros_like(f), torch.full_like(f, torch.nan)
    residuals = [torch.empty_like(z) for _ in range(2)]
    norms = [
        problem.step(u, z, None, r, f, 0.3, 0.0, 1.0, from_zero=u is unset)
        for u, r in zip((zero, unset), residuals, strict=True)
    ]
    assert torch.equal(zero, unset)
    assert torch.equal(*residuals)
    assert norms[0] == norms[1]


def test_step_needs_an_old_direction_only_with_a_beta():
    problem = Problem((3, 4, 16), "dirichlet", "box")
    u, f = problem.field(torch.float64), problem.field(torch.float64)
    z = problem.direction()
    before, r = z.clone(), torch.full_like(z, torch.nan)
    problem.step(u, z, None, r, f, 1.0, 0.0, 1.0)
    assert torch.equal(z, before)
    assert r.isfinite().all()
    with pytest.raises(RuntimeError, match="p is missing"):
        problem.step(u, z, None, r, f, 1.0, 0.5, 1.0)


@pytest.mark.parametrize("name", ["line_search", "step"])
def test_opcheck(name):
    problem = Problem((3, 4, 5), "dirichlet", "everything")
    h = problem.hierarchy
    z, p, r = (problem.direction() for _ in range(3))
    if name == "line_search":
        op = torch.ops.fastsciml.conjugate_line_search.default
        arguments = (z, p, r, h.extents, h.periodic, h.axes[0], h.maps[0], h.diagonals[0], h.z_couplings[0], h.faces[0])
    else:
        op = torch.ops.fastsciml.conjugate_direction_step.default
        u, f = problem.field(torch.float64), problem.field(torch.float64)
        a = problem.sample.operator
        arguments = (u, z, p, r, f, a.couplings, a.periodic, a.faces, a.coefficient, a.alpha, 0.1, 0.2, 1.0, False)
    torch.library.opcheck(op, arguments, test_utils=["test_schema", "test_faketensor"])
