from dataclasses import replace

import numpy as np
import pytest
import torch
from media import ball, random_faces

from fastsciml.ops import join_rows, multigrid_v_cycle, multigrid_workspace, split_rows
from fastsciml.ops.multigrid_v_cycle import hierarchy_arguments, multigrid_v_cycle_definition
from fastsciml.ops.pack_faces import pack_faces
from fastsciml.solvers.boundary import parse_boundary
from fastsciml.solvers.grid import make_grid, parse_spacing
from fastsciml.solvers.hierarchy import box_hierarchy, medium_hierarchy
from fastsciml.solvers.medium import Medium, UniformMedium
from fastsciml.solvers.nullspace import find_null_space
from fastsciml.solvers.schedule import Schedule, mirrored

MIXED = [("neumann", "dirichlet"), "dirichlet", "neumann"]
CASES = [
    ((8, 8, 8), "dirichlet", 1.0),
    ((7, 9, 11), "dirichlet", 1.0),
    ((13, 21, 17), MIXED, 1.0),
    ((16, 16, 32), "neumann", [1, 1.5, 2]),
    ((16, 8, 32), "periodic", 1.0),
    ((8, 4, 20), ["periodic", "periodic", "neumann"], 1.0),
    ((40, 24, 16), "dirichlet", [1, 1.5, 9]),
    ((5, 7, 9), "periodic", 1.0),
    ((3, 3, 3), "periodic", 1.0),
    ((13, 1, 10), "periodic", 1.0),
    ((1, 1, 33), "dirichlet", 1.0),
    ((21, 1, 14), ["neumann", "neumann", ("dirichlet", "neumann")], 1.0),
    ((1, 1, 1), "dirichlet", 1.0),
    ((40, 36, 50), MIXED, 1.0),
]
# Levels of more than 16^3 cells, which take a launch for each step on CUDA: periodic axes shorter than a sweep's reach,
# padded rows, rows longer than a warp. The last ones do not fit the steps along rows: odd periodic axes, and one that
# coarsens later.
LARGE = [
    ((34, 33, 31), "dirichlet", 1.0),
    ((40, 36, 50), "periodic", 1.0),
    ((6, 150, 66), "periodic", 1.0),
    ((5, 66, 254), MIXED, 1.0),
    ((4, 60, 260), "periodic", 1.0),
    ((1, 200, 202), ["neumann", "neumann", "dirichlet"], 1.0),
    ((33, 31, 34), ["periodic", "dirichlet", "periodic"], 1.0),
    ((20, 24, 80), MIXED, [1, 1, 9]),
]


def hierarchy_of(shape, boundary, spacing, masked, alpha=0.0):
    grid = make_grid(shape, parse_spacing(spacing, shape), parse_boundary(boundary, 3))
    if not masked:
        return box_hierarchy(grid, alpha), torch.ones(shape, dtype=torch.bool)
    if masked == "coefficient":
        faces = random_faces(shape, torch.float32, closed=0)
        everywhere = torch.ones(shape, dtype=torch.bool)
        return medium_hierarchy(grid, Medium(everywhere, faces, torch.full(shape, alpha), None)), everywhere
    # A ball leaves rows without an obstacle, and coarse cells that are all solid.
    fluid = ball(shape) if masked == "ball" else torch.rand(shape) < 0.8
    fluid.view(-1)[0] = True
    return medium_hierarchy(grid, UniformMedium(pack_faces(fluid, None, grid.periodic), alpha=alpha)), fluid


def cycle(hierarchy, rhs, cycles=1, device="cpu"):
    out = torch.empty(hierarchy.padded_shape).to(device)
    workspace = torch.empty(multigrid_workspace(hierarchy)).to(device)
    multigrid_v_cycle(split_rows(rhs).to(device), out, hierarchy.to(torch.device(device)), workspace, cycles)
    joined = join_rows(out.cpu(), rhs.shape[-1])
    assert torch.equal(split_rows(joined.contiguous()), out.cpu())  # the padding is 0
    return joined


@pytest.mark.parametrize("masked", [None, "scattered", "ball"])
@pytest.mark.parametrize(("shape", "boundary", "spacing"), CASES, ids=str)
def test_agrees_with_the_float64_definition(shape, boundary, spacing, masked, threads):
    check(shape, boundary, spacing, masked)


@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 4, 2), (2, 2, 3), (5, 7, 9), (8, 4, 20)], ids=str)
def test_agrees_in_the_constant_that_nothing_fixes(shape, device):
    """Periodic levels of a single plane once took red and black for the same: the constant told."""
    hierarchy, _ = hierarchy_of(shape, "periodic", 1.0, None)
    rhs = torch.randn(shape, dtype=torch.float64)
    rhs -= rhs.mean()
    torch.testing.assert_close(
        cycle(hierarchy, rhs, device=device).double(),
        multigrid_v_cycle_definition(rhs, hierarchy),
        rtol=1e-3,
        atol=1e-4,
    )


@pytest.mark.parametrize("masked", [None, "scattered", "ball"])
@pytest.mark.parametrize("boundary", ["neumann", MIXED], ids=str)
def test_agrees_with_alpha_on_the_diagonal(boundary, masked):
    check((13, 21, 18), boundary, 1.0, masked, alpha=0.5)


@pytest.mark.slow
def test_agrees_where_arrays_exceed_the_caches():
    """The kernels write past the caches then."""
    check((67, 256, 257), ["dirichlet", "periodic", "periodic"], 1.0, masked=None)


@pytest.mark.parametrize("masked", [None, "scattered", "ball", "coefficient"])
@pytest.mark.parametrize(("shape", "boundary", "spacing"), CASES + LARGE, ids=str)
def test_further_cycles_go_on_from_the_last(shape, boundary, spacing, masked, device):
    check(shape, boundary, spacing, masked, cycles=2, device=device)


@pytest.mark.parametrize("masked", [None, "coefficient"])
@pytest.mark.parametrize(
    ("shape", "boundary"),
    [((34, 33, 31), "dirichlet"), ((6, 150, 66), "periodic"), ((5, 66, 254), MIXED), ((7, 9, 11), "dirichlet")],
    ids=str,
)
@pytest.mark.parametrize("sweeps", [1, 3])
def test_other_numbers_of_sweeps(shape, boundary, masked, sweeps, device):
    check(shape, boundary, 1.0, masked, device=device, sweeps=sweeps)


def check(shape, boundary, spacing, masked, alpha=0.0, cycles=1, device="cpu", sweeps=2):
    hierarchy, fluid = hierarchy_of(shape, boundary, spacing, masked, alpha)
    hierarchy = replace(hierarchy, sweeps=sweeps)
    # Where nothing fixes a constant, the right-hand side has none and the result's is arbitrary.
    null_space = find_null_space(hierarchy.grid, fluid, torch.full(shape, alpha) > 0)
    rhs = torch.randn(shape, dtype=torch.float64) * fluid
    null_space.project(rhs)
    out = cycle(hierarchy, rhs, cycles, device)
    reference = multigrid_v_cycle_definition(rhs, hierarchy, cycles)
    single = multigrid_v_cycle_definition(rhs.float(), hierarchy, cycles)

    def distance(result):
        difference = result - reference
        null_space.project(difference)
        return float(difference.norm())

    # The kernels relax as (1 - w) v + w/d (...), one load less than the definition's v + w/d (f - A v), and so round v
    # itself in every sweep: 7 epsilons of the result at 128^3, where a cycle is to be good to a hundredth. Where sweeps
    # go on from a result, rounding w/d counts as well: as a change of the diagonal by an epsilon.
    few_roundings = (
        (5 * max(sweeps, 2) if cycles == 1 else 1000) * torch.finfo(torch.float32).eps * float(reference.norm())
    )
    assert distance(out.double()) <= max(2 * distance(single.double()), few_roundings)
    assert (out[~fluid] == 0).all()


@pytest.mark.parametrize("masked", [None, "scattered", "ball"])
@pytest.mark.parametrize(
    ("shape", "boundary"),
    [((70, 72, 50), MIXED), ((57, 65, 67), "periodic"), ((128, 8, 240), "dirichlet"), ((21, 144, 77), "periodic")],
    ids=str,
)
def test_is_the_same_for_any_number_of_threads(shape, boundary, masked):
    hierarchy, fluid = hierarchy_of(shape, boundary, 1.0, masked)
    rhs = torch.randn(shape) * fluid
    before = torch.get_num_threads()
    try:
        outs = []
        for count in (1, 2, 3, 7):
            torch.set_num_threads(count)
            outs.append(cycle(hierarchy, rhs, cycles=2))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(outs[0], out) for out in outs[1:])


@pytest.mark.parametrize("masked", [None, "scattered", "ball"])
@pytest.mark.parametrize(
    ("shape", "boundary", "spacing"),
    [
        ((12, 9, 14), "dirichlet", 1.0),
        ((13, 21, 17), MIXED, [1, 1.5, 2]),
        ((16, 8, 32), "periodic", 1.0),
        ((12, 1, 27), "neumann", 1.0),
        ((34, 32, 36), MIXED, 1.0),
        ((12, 9, 14), MIXED, [1.1 ** np.arange(12), 1.3 ** np.arange(9), 1 + np.arange(14.0) / 20]),
    ],
    ids=["dirichlet", "mixed", "periodic", "plane", "large", "stretched"],
)
def test_a_symmetric_cycle_is_self_adjoint(shape, boundary, spacing, masked, device):
    hierarchy, fluid = hierarchy_of(shape, boundary, spacing, masked, alpha=0.1)
    hierarchy = replace(hierarchy, symmetric=True)
    volumes = torch.from_numpy(hierarchy.grid.volumes())
    x, y = torch.randn(2, *shape, dtype=torch.float64) * fluid

    def asymmetry(b):
        product, adjoint = (volumes * b(x) * y).sum(), (volumes * x * b(y)).sum()
        return abs(product - adjoint) / (volumes * b(x) * x).sum().abs()

    assert asymmetry(lambda v: multigrid_v_cycle_definition(v, hierarchy)) < 1e-6  # the hierarchy is float32
    assert asymmetry(lambda v: cycle(hierarchy, v, device=device).double()) < 1e-5
    reference = multigrid_v_cycle_definition(x, hierarchy, 2)
    torch.testing.assert_close(
        cycle(hierarchy, x, 2, device).double(), reference, rtol=0, atol=1e-4 * float(reference.abs().max())
    )
    # And a good cycle: it takes off nine tenths of the error in the energy norm.
    level = hierarchy.level(0, torch.float64)
    remaining = x - multigrid_v_cycle_definition(level.apply(x) * fluid, hierarchy)
    energy = lambda v: float((volumes * v * level.apply(v)).sum())  # noqa: E731
    assert energy(remaining) < 0.1**2 * energy(x)


@pytest.mark.parametrize("masked", [None, "ball", "coefficient"])
@pytest.mark.parametrize("shape", [(12, 9, 14), (34, 32, 36)], ids=str)
def test_a_schedule_of_its_own(shape, masked, device):
    """Learned factors take the place of the built-in ones, and a symmetric cycle stays so, past unmerged cells, too."""
    hierarchy, fluid = hierarchy_of(shape, MIXED, 1.0, masked, alpha=0.1)
    learned = mirrored([0.9, 1.1], 1.4, [0.7, 1.2, 1.0], 0.8)
    hierarchy = replace(hierarchy, symmetric=True, learned=learned)
    x, y = torch.randn(2, *shape, dtype=torch.float64) * fluid
    reference = multigrid_v_cycle_definition(x, hierarchy)
    out = cycle(hierarchy, x, device=device).double()
    torch.testing.assert_close(out, reference, rtol=0, atol=1e-5 * float(reference.abs().max()))
    assert not torch.allclose(out, cycle(replace(hierarchy, learned=None), x, device=device).double(), rtol=0.01)
    asymmetry = (out * y).sum() - (x * cycle(hierarchy, y, device=device).double()).sum()
    assert abs(asymmetry) < 1e-5 * (out * x).sum()


def test_refuses_a_schedule_of_another_length():
    hierarchy, _ = hierarchy_of((5, 6, 7), MIXED, 1.0, False)
    rhs, out = torch.zeros(2, *hierarchy.padded_shape)
    few = Schedule(hierarchy.schedule.finest, hierarchy.schedule.finest)
    with pytest.raises(RuntimeError, match="schedule must have"):
        multigrid_v_cycle(rhs, out, replace(hierarchy, learned=few), torch.zeros(multigrid_workspace(hierarchy)))


def test_is_linear():
    hierarchy, _ = hierarchy_of((13, 21, 17), MIXED, 1.0, False)
    a, b = torch.randn(2, 13, 21, 17)
    sum_of = cycle(hierarchy, a) + 2 * cycle(hierarchy, b)
    torch.testing.assert_close(cycle(hierarchy, a + 2 * b), sum_of, rtol=1e-4, atol=1e-4)


def test_opcheck():
    hierarchy, _ = hierarchy_of((5, 6, 7), MIXED, 1.0, "ball")
    rhs, out = torch.randn(2, *hierarchy.padded_shape)
    first, levels = hierarchy_arguments(hierarchy)
    torch.library.opcheck(
        torch.ops.fastsciml.multigrid_v_cycle.default,
        (rhs, out, *first, 2, *levels, torch.zeros(multigrid_workspace(hierarchy))),
        test_utils=["test_schema", "test_faketensor"],
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r, o, w: (r[1:], o, w), "rhs must have shape"),
        (lambda r, o, w: (r.double(), o, w), "rhs must be contiguous and float32"),
        (lambda r, o, w: (r, o[..., :3], w), "out must have shape"),
        (lambda r, o, w: (r, o, w[::2]), "workspace must be contiguous"),
    ],
)
def test_refuses_what_does_not_fit(change, message):
    hierarchy, _ = hierarchy_of((5, 6, 7), MIXED, 1.0, False)
    rhs, out = torch.zeros(2, *hierarchy.padded_shape)
    workspace = torch.zeros(multigrid_workspace(hierarchy))
    rhs, out, workspace = change(rhs, out, workspace)
    with pytest.raises(ValueError, match=message):
        multigrid_v_cycle(rhs, out, hierarchy, workspace)


def test_refuses_a_workspace_that_is_too_small():
    hierarchy, _ = hierarchy_of((5, 6, 7), MIXED, 1.0, False)
    rhs, out = torch.zeros(2, *hierarchy.padded_shape)
    with pytest.raises(RuntimeError, match="workspace"):
        multigrid_v_cycle(rhs, out, hierarchy, torch.zeros(8))
