"""The cycles' kernels beyond what the operators' tests hold against the definition: order, launches, missing room."""

from dataclasses import replace

import pytest
import torch
from cuda_on_host import HostOperators

from fastsciml.ops import full_multigrid, multigrid_v_cycle, multigrid_workspace, split_rows
from fastsciml.solvers.boundary import parse_boundary
from fastsciml.solvers.grid import make_grid
from fastsciml.solvers.hierarchy import box_hierarchy, medium_hierarchy
from fastsciml.solvers.medium import Medium

MIXED = [("neumann", "dirichlet"), "periodic", "neumann"]


@pytest.fixture(autouse=True)
def _cuda_on_host(monkeypatch):
    monkeypatch.setattr(torch.ops, "fastsciml", HostOperators())


def hierarchy_of(shape, boundary, conducts=False):
    grid = make_grid(shape, (1.0, 1.0, 1.0), parse_boundary(boundary, 3))
    if not conducts:
        return box_hierarchy(grid, 0.1)
    faces = [torch.rand([n + (a == axis) for a, n in enumerate(shape)]) + 0.5 for axis in range(3)]
    everywhere = torch.ones(shape, dtype=torch.bool)
    return medium_hierarchy(grid, Medium(everywhere, tuple(faces), torch.full(shape, 0.1), None))


def cycle(hierarchy, rhs, cycles=1):
    out = torch.empty(hierarchy.padded_shape)
    multigrid_v_cycle(split_rows(rhs), out, hierarchy, torch.empty(multigrid_workspace(hierarchy)), cycles)
    return out


@pytest.mark.parametrize("conducts", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize(
    ("shape", "boundary"),
    [((6, 120, 66), MIXED), ((33, 35, 31), MIXED), ((18, 21, 27), "periodic")],
    ids=str,
)
def test_gives_the_same_bits_in_any_order_of_blocks_and_threads(shape, boundary, symmetric, conducts, host_kernels):
    """Blocks share nothing, and threads wait where they must: steps along rows, steps over cells, the tail."""
    hierarchy = replace(hierarchy_of(shape, boundary, conducts), symmetric=symmetric)
    rhs = torch.randn(shape)
    results = []
    try:
        for seed in (0, 1, 2):
            host_kernels.set_order(seed)
            results.append(cycle(hierarchy, rhs, cycles=2))
    finally:
        host_kernels.set_order(0)
    assert all(torch.equal(results[0], result) for result in results[1:])


def kernels_of(run, host_kernels):
    host_kernels.count(True)
    try:
        run()
        return [launch["kernel"] for launch in host_kernels.traffic()]
    finally:
        host_kernels.count(False)


TAIL = "multigrid tail"


def steps_of(large_levels: int) -> list[str]:
    """A cycle's launches: two sweeps before and after on the finest level, three below; the first half-sweep from zero
    is a step of its own.
    """
    sweeps = [2] + [3] * large_levels
    down = [["start", *["relax"] * (2 * sweeps[l] - 1), "restrict"] for l in range(large_levels)]
    up = [["load", *["relax"] * (2 * sweeps[l])] for l in reversed(range(large_levels))]
    return [f"multigrid {step}" for level in (*down, ["tail"], *up) for step in level]


@pytest.mark.parametrize(
    ("shape", "large_levels"),
    [
        ((16, 16, 16), 0),
        ((17, 16, 16), 1),
        ((4, 200, 204), 2),
        ((2, 4, 8194), 2),
        ((66, 66, 66), 3),
    ],
    ids=str,
)
def test_takes_a_launch_for_each_step_on_a_large_level_and_one_for_all_small_ones(shape, large_levels, host_kernels):
    hierarchy = hierarchy_of(shape, "dirichlet")
    launches = kernels_of(lambda: cycle(hierarchy, torch.randn(shape)), host_kernels)
    assert launches == ["split_rows", *steps_of(large_levels)]


def test_a_seam_takes_a_launch_more_for_each_half_sweep(host_kernels):
    """Odd periodic axes close between two cells of one colour."""
    hierarchy = hierarchy_of((16, 17, 19), ["dirichlet", "periodic", "periodic"])
    launches = kernels_of(lambda: cycle(hierarchy, torch.randn(16, 17, 19)), host_kernels)
    assert launches.count("multigrid relax") == 3 * (3 + 4)


def test_full_multigrid_of_a_small_grid_is_one_launch(host_kernels):
    hierarchy = hierarchy_of((12, 16, 20), MIXED)
    rhs, out = split_rows(torch.randn(12, 16, 20)), torch.empty(hierarchy.padded_shape)
    workspace = torch.empty(multigrid_workspace(hierarchy))
    assert kernels_of(lambda: full_multigrid(rhs, out, hierarchy, workspace), host_kernels) == [TAIL]


def test_refuses_a_workspace_that_holds_too_few_levels():
    hierarchy = hierarchy_of((9, 8, 7), MIXED)
    rhs = torch.zeros(hierarchy.padded_shape)
    with pytest.raises(RuntimeError, match="multigrid: the workspace must hold all levels"):
        multigrid_v_cycle(rhs, rhs.clone(), hierarchy, torch.zeros(8))


def test_refuses_arrays_that_vectors_of_four_floats_do_not_fit():
    hierarchy = hierarchy_of((9, 8, 7), MIXED)
    out = torch.zeros(hierarchy.padded_shape)
    shifted = torch.zeros(out.numel() + 1)[1:].view(hierarchy.padded_shape)
    with pytest.raises(RuntimeError, match="must start at a multiple of 16 bytes"):
        multigrid_v_cycle(shifted, out, hierarchy, torch.zeros(multigrid_workspace(hierarchy)))
