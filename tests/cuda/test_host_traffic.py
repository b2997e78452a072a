"""What the host runtime counts, against counts by hand."""

from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
import torch
from cuda_on_host import HostOperators, host_module

from fastsciml.ops import multigrid_v_cycle, multigrid_workspace, split_rows
from fastsciml.solvers.boundary import parse_boundary
from fastsciml.solvers.grid import make_grid
from fastsciml.solvers.hierarchy import box_hierarchy

SIZE = 64
NONE = {
    "blocks": 1,
    "threads": SIZE,
    "read_bytes": 0,
    "written_bytes": 0,
    "read_sectors_bytes": 0,
    "written_sectors_bytes": 0,
    "read_lines_bytes": 0,
    "written_lines_bytes": 0,
    "shared_accesses": 0,
    "barriers": 0,
}


@pytest.fixture
def counting(host_kernels) -> Iterator[ModuleType]:
    """The host runtime, which counts until the test ends."""
    host_kernels.count(True)
    yield host_kernels
    host_kernels.count(False)


@pytest.fixture
def counting_flops() -> Iterator[ModuleType]:
    """The runtime that counts floating-point operations, too."""
    module = host_module(count_flops=True)
    module.count(True)
    yield module
    module.count(False)


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize(
    ("start", "step", "times", "sectors", "lines"),
    [
        (0, 1, 1, 8, 2),  # 256 bytes from a line's begin
        (1, 1, 1, 9, 3),  # and from 4 bytes later
        (0, 2, 1, 16, 4),
        (3, 8, 1, 64, 16),  # a sector each
        (0, 32, 64, 4096, 4096),  # a line each
        (0, 0, 5, 1, 1),  # one entry by all, again and again
    ],
)
def test_sectors_and_lines_count_once_for_each_block(start, step, times, sectors, lines, blocks, counting, guarded):
    values = guarded.copy(np.ones(start + (SIZE * times - 1) * step + 1, np.float32))
    out = guarded.empty((blocks * SIZE,), np.float32)
    counting.rules.gather(values, out, start, step, times)
    np.testing.assert_array_equal(out, times)
    assert counting.traffic() == [
        NONE
        | {
            "kernel": "gather",
            "blocks": blocks,
            "read_bytes": blocks * SIZE * times * 4,
            "written_bytes": blocks * SIZE * 4,
            "read_sectors_bytes": blocks * sectors * 32,
            "written_sectors_bytes": blocks * 256,
            "read_lines_bytes": blocks * lines * 128,
            "written_lines_bytes": blocks * 256,
        }
    ]


def test_shared_memory_and_barriers(counting, guarded):
    out = guarded.empty((3 * SIZE,), np.float32)
    counting.rules.reverse(out)
    (launch,) = counting.traffic()
    assert launch["shared_accesses"] == 2 * out.size
    assert launch["barriers"] == 3


def test_four_entries_at_once_are_one_access_of_their_size(counting, guarded):
    out = guarded.copy(np.zeros(SIZE, np.float32))
    counting.rules.take_four(out)
    (launch,) = counting.traffic()
    assert [launch["read_bytes"], launch["read_lines_bytes"]] == [128, 128]
    assert [launch["written_bytes"], launch["written_lines_bytes"]] == [128, 128]


def test_launches_are_counted_one_by_one_from_when_counting_begins(host_kernels, guarded):
    out = guarded.empty((SIZE,), np.float32)
    for on, expected in [
        (True, ["reverse", "reverse"]),
        (False, ["reverse", "reverse"]),
        (True, ["reverse", "reverse"]),
    ]:
        host_kernels.count(on)
        host_kernels.rules.reverse(out)
        host_kernels.rules.reverse(out)
        assert [launch["kernel"] for launch in host_kernels.traffic()] == expected
    host_kernels.count(False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kernel", "flops"),
    [
        ("reverse", 0),
        ("sum", 5 * 64 + 5 * 32),  # shuffles over all warps, then over one, in two places at once
        ("votes", 2 * (31 + 30 + 28 + 24 + 16) + 3 * 64),  # a scan, then into the sum at the end
        ("expressions", 4 * 64 + 1),  # the last thread divides
        ("dynamic", 64 * 2 * 64),
        ("count", 64),  # atomic sums
    ],
)
def test_flops_of_a_block(kernel, flops, host_kernels, counting_flops, guarded):
    plain, counted = (guarded.copy(np.zeros(SIZE, np.float32)) for _ in range(2))
    dynamic = {"dynamic_shared": 2 * SIZE * 4} if kernel == "dynamic" else {}
    getattr(host_kernels.rules, kernel)(plain, **dynamic)
    getattr(counting_flops.rules, kernel)(counted, **dynamic)
    np.testing.assert_array_equal(plain, counted)
    assert [launch["flops"] for launch in counting_flops.traffic()] == [flops]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_flops_of_the_poisson_operator(dtype, counting_flops):
    u, couplings = torch.randn(1, 4, 5, 6, dtype=dtype), torch.rand(2 * (4 + 5 + 6), dtype=dtype)
    plain, counted = (
        HostOperators(count_flops).poisson_apply(u, couplings, [0, 1, 0], None, [], None)
        for count_flops in (False, True)
    )
    assert torch.equal(plain, counted)
    # Six faces: a difference, times two factors, added to its axis's share. Alpha times u, and three shares added.
    assert [launch["flops"] for launch in counting_flops.traffic()] == [(6 * 4 + 1 + 3) * u.numel()]


@pytest.mark.slow
def test_a_cycle_whose_flops_count_is_the_same_cycle(counting, counting_flops, monkeypatch):
    shape = (40, 33, 40)
    hierarchy = box_hierarchy(make_grid(shape, [1.0] * 3, parse_boundary("dirichlet", 3)))
    rhs = split_rows(torch.randn(shape))
    results, traffic = [], []
    for count_flops, module in [(False, counting), (True, counting_flops)]:
        monkeypatch.setattr(torch.ops, "fastsciml", HostOperators(count_flops))
        out, workspace = torch.zeros(hierarchy.padded_shape), torch.zeros(multigrid_workspace(hierarchy))
        multigrid_v_cycle(rhs, out, hierarchy, workspace)
        results.append(out)
        traffic.append(module.traffic())
    assert torch.equal(*results)
    assert [launch["kernel"] for launch in traffic[0]] == [launch["kernel"] for launch in traffic[1]]
    assert all(launch["flops"] > 0 for launch in traffic[1])
