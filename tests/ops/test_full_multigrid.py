import pytest
import torch

from fastsciml.data import manufactured
from fastsciml.ops import join_rows, multigrid_workspace, split_rows
from fastsciml.ops.full_multigrid import full_multigrid, full_multigrid_definition
from fastsciml.ops.multigrid_v_cycle import hierarchy_arguments
from fastsciml.ops.pack_faces import pack_faces
from fastsciml.solvers.boundary import parse_boundary
from fastsciml.solvers.grid import make_grid, parse_spacing
from fastsciml.solvers.hierarchy import box_hierarchy, medium_hierarchy
from fastsciml.solvers.medium import UniformMedium
from fastsciml.solvers.nullspace import find_null_space

MIXED = [("neumann", "dirichlet"), "dirichlet", "neumann"]


def hierarchy_of(shape, boundary, spacing=1.0, masked=False):
    grid = make_grid(shape, parse_spacing(spacing, shape), parse_boundary(boundary, 3))
    if not masked:
        return box_hierarchy(grid, 0.0), torch.ones(shape, dtype=torch.bool)
    fluid = torch.rand(shape) < 0.8
    return medium_hierarchy(grid, UniformMedium(pack_faces(fluid, None, grid.periodic))), fluid


def solution(hierarchy, rhs, device="cpu"):
    out = torch.empty(hierarchy.padded_shape).to(device)
    workspace = torch.empty(multigrid_workspace(hierarchy)).to(device)
    full_multigrid(split_rows(rhs).to(device), out, hierarchy.to(torch.device(device)), workspace)
    return join_rows(out.cpu(), rhs.shape[-1])


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("shape", "boundary", "spacing"),
    [
        ((8, 8, 8), "dirichlet", 1.0),
        ((13, 21, 17), MIXED, 1.0),
        ((12, 8, 30), ["periodic", "dirichlet", "periodic"], 1.0),
        ((5, 7, 9), ["periodic", "periodic", "dirichlet"], 1.0),
        ((40, 24, 16), "dirichlet", [1, 1.5, 9]),
        ((21, 1, 14), MIXED, 1.0),
        ((1, 1, 33), "dirichlet", 1.0),
        ((1, 1, 1), "dirichlet", 1.0),
        ((40, 72, 50), MIXED, 1.0),
        ((36, 40, 34), "periodic", 1.0),
    ],
    ids=str,
)
def test_agrees_with_the_float64_definition(shape, boundary, spacing, masked, threads, device):
    hierarchy, fluid = hierarchy_of(shape, boundary, spacing, masked)
    # Where nothing fixes a constant, the right-hand side has none and the result's is arbitrary.
    null_space = find_null_space(hierarchy.grid, fluid)
    rhs = torch.randn(shape, dtype=torch.float64) * fluid
    null_space.project(rhs)
    reference = full_multigrid_definition(rhs, hierarchy)
    difference = solution(hierarchy, rhs, device).double() - reference
    null_space.project(difference)
    assert float(difference.norm()) <= 1e-4 * float(reference.norm())


@pytest.mark.parametrize("boundary", ["dirichlet", MIXED, ["periodic", "dirichlet", "periodic"]], ids=str)
@pytest.mark.parametrize("n", [32, pytest.param(128, marks=pytest.mark.slow)])
def test_one_pass_is_as_good_as_the_grid(n, boundary):
    rhs, exact = (torch.from_numpy(a) for a in manufactured((n, n, n), boundary))
    hierarchy, _ = hierarchy_of((n, n, n), boundary)
    f = rhs / n**2
    z = solution(hierarchy, f).double()
    level = hierarchy.level(0, torch.float64)
    converged = z
    for _ in range(6):
        converged = converged + solution(hierarchy, f - level.apply(converged)).double()
    # 1.13 for Dirichlet faces, 1.22 for mixed ones.
    bound = 1.2 if boundary == "dirichlet" else 1.25
    assert float((z - exact).norm()) <= bound * float((converged - exact).norm())


def test_opcheck():
    hierarchy, _ = hierarchy_of((5, 6, 7), MIXED, masked=True)
    rhs, out = torch.randn(2, *hierarchy.padded_shape)
    first, levels = hierarchy_arguments(hierarchy)
    torch.library.opcheck(
        torch.ops.fastsciml.full_multigrid.default,
        (rhs, out, *first, *levels, torch.zeros(multigrid_workspace(hierarchy))),
        test_utils=["test_schema", "test_faketensor"],
    )


def test_refuses_what_does_not_fit():
    hierarchy, _ = hierarchy_of((5, 6, 7), MIXED)
    rhs, out = torch.zeros(2, *hierarchy.padded_shape)
    with pytest.raises(ValueError, match="rhs must have shape"):
        full_multigrid(rhs[1:], out, hierarchy, torch.zeros(multigrid_workspace(hierarchy)))
