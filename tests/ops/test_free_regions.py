import itertools

import pytest
import torch
from cuda_on_host import host_module

from fastsciml.ops.free_regions import (
    free_regions,
    free_regions_definition,
    subtract_region_means,
    subtract_region_means_definition,
)

SHAPES = [(5, 6, 7), (1, 1, 200), (30, 1, 70), (1, 1, 1), (2, 2, 2), (40, 36, 64), (17, 40, 129)]
PERIODIC = list(itertools.product([0, 1], repeat=3))


def same(*arguments):
    got, expected = free_regions(*arguments), free_regions_definition(*arguments)
    return all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("periodic", PERIODIC, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_definition(shape, periodic, share, threads):
    unknown = torch.rand(shape) < share
    assert same(unknown, periodic, [0] * 6)
    assert same(unknown, periodic, [0] * 6, torch.rand(shape) < 0.01)


@pytest.mark.parametrize("share", [0.3, 0.6])
@pytest.mark.parametrize("end", range(6))
def test_an_end_holds_what_touches_it(end, share):
    holding = [int(e == end) for e in range(6)]
    assert same(torch.rand(9, 10, 65) < share, [0, 0, 0], holding)


def test_a_held_region_is_not_written():
    unknown = torch.ones(8, 9, 10, dtype=torch.bool)
    unknown[3:5, 3:5, 3:5] = False
    region, sizes = free_regions(unknown, [0, 0, 0], [0, 1, 0, 0, 0, 0])
    assert region.numel() == sizes.numel() == 0


def test_no_unknowns_have_no_region():
    region, sizes = free_regions(torch.zeros(4, 5, 6, dtype=torch.bool), [0, 0, 0], [0] * 6)
    assert region.numel() == sizes.numel() == 0


def test_a_cell_outside_of_the_unknowns_holds_nothing():
    unknown = torch.ones(4, 5, 6, dtype=torch.bool)
    unknown[2] = False
    region, sizes = free_regions(unknown, [0, 0, 0], [0] * 6, ~unknown)
    assert sizes.tolist() == [60, 30]
    assert torch.equal(region.reshape(4, 5, 6)[:, 0, 0], torch.tensor([0, 0, -1, 1], dtype=torch.int32))


def test_a_spiral_is_one_region():
    """A corridor that joins its runs late, and always to earlier ones."""
    unknown = torch.ones(1, 64, 64, dtype=torch.bool)
    for wall in range(1, 31, 2):
        unknown[0, wall : 64 - wall, wall] = False
        unknown[0, 64 - wall - 1, wall : 64 - wall] = False
        unknown[0, wall + 2 : 64 - wall, 64 - wall - 1] = False
        unknown[0, wall + 2, wall + 2 : 64 - wall] = False
    assert same(unknown, [0, 0, 0], [0] * 6)


def test_many_threads_give_the_same():
    unknown = torch.rand(64, 40, 48) < 0.32
    before = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3, 7):
            torch.set_num_threads(count)
            region, sizes = free_regions(unknown, [1, 0, 1], [0] * 6)
            values = torch.randn(unknown.numel(), generator=torch.Generator().manual_seed(1))
            means = subtract_region_means(values, region, sizes)
            results.append((region, sizes, values, means))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def means_and_differences(unknown, dtype, device):
    region, sizes = (tensor.to(device) for tensor in free_regions(unknown, [0, 0, 0], [0] * 6))
    values = torch.randn(unknown.shape, dtype=dtype).to(device)
    return values, region, sizes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("share", [0.2, 0.35, 0.9, 1.0])
def test_means_agree_with_the_definition(share, dtype, threads, device):
    """From hundreds of regions to a single one."""
    shape = (41, 43, 37) if share > 0.5 else (11, 13, 27)
    values, region, sizes = means_and_differences(torch.rand(shape) < share, dtype, device)
    expected = values.clone()
    means = subtract_region_means_definition(expected, region, sizes)
    torch.testing.assert_close(subtract_region_means(values, region, sizes), means, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(values, expected)


def test_one_region_of_many_blocks(device):
    region, sizes = torch.zeros(300_001, dtype=torch.int32), torch.tensor([300_001.0], dtype=torch.float64)
    region[::7] = -1
    sizes -= (region < 0).sum()
    values, region, sizes = (torch.randn(300_001) + 3).to(device), region.to(device), sizes.to(device)
    means = subtract_region_means(values, region, sizes)
    assert 2.9 < float(means) < 3.1
    assert abs(float(values[region >= 0].double().mean())) < 1e-6


@pytest.mark.parametrize("share", [0.2, 1.0])
@pytest.mark.parametrize("device", ["cuda-host"], indirect=True)
def test_cuda_gives_the_same_in_any_order_of_threads(device, share):
    values, region, sizes = means_and_differences(torch.rand(5, 13, 27) < share, torch.float32, device)
    results = []
    try:
        for seed in range(3):
            host_module().set_order(seed)
            projected = values.clone()
            results.append((subtract_region_means(projected, region, sizes), projected))
    finally:
        host_module().set_order(0)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("device", ["cuda-host"], indirect=True)
def test_cuda_leaves_a_region_without_a_size_alone(device):
    values, region = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0, 1, -1, 0], dtype=torch.int32)
    means = subtract_region_means(values, region, torch.tensor([2.0], dtype=torch.float64))
    assert means.tolist() == [2.5]
    assert values.tolist() == [-1.5, 2.0, 3.0, 1.5]


def test_opcheck():
    unknown = torch.rand(5, 6, 7) < 0.5
    tests = ["test_schema", "test_faketensor"]
    arguments = (unknown, [0, 1, 0], [0, 1, 0, 0, 0, 0], None)
    torch.library.opcheck(torch.ops.fastsciml.free_regions.default, arguments, test_utils=tests)
    region, sizes = free_regions(unknown, [0, 1, 0], [0] * 6)
    arguments = (torch.randn(5, 6, 7), region, sizes)
    torch.library.opcheck(torch.ops.fastsciml.subtract_region_means.default, arguments, test_utils=tests)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(unknown=torch.zeros(3, 5, 7)), "unknown has the wrong dtype"),
        (dict(unknown=torch.zeros(3, 0, 7, dtype=torch.bool)), "non-empty"),
        (dict(periodic=[0]), "periodic must have three"),
        (dict(holding=[0] * 5), "holding must have an entry per end"),
        (dict(holds=torch.zeros(3, 5, 8, dtype=torch.bool)), "holds must have the shape"),
    ],
)
def test_refuses_what_does_not_fit(change, message):
    arguments = dict(unknown=torch.ones(3, 5, 7, dtype=torch.bool), periodic=[0] * 3, holding=[0] * 6, holds=None)
    with pytest.raises(RuntimeError, match=message):
        free_regions(**{**arguments, **change})


@pytest.mark.parametrize(
    ("region", "sizes", "message"),
    [
        (torch.zeros(34, dtype=torch.int32), torch.ones(1, dtype=torch.float64), "one entry per value"),
        (torch.zeros(35, dtype=torch.int64), torch.ones(1, dtype=torch.float64), "region has the wrong dtype"),
        (torch.ones(35, dtype=torch.int32), torch.ones(1, dtype=torch.float64), "below the number of sizes"),
        (torch.zeros(35, dtype=torch.int32), torch.ones(0, dtype=torch.float64), "not be empty"),
    ],
)
def test_refuses_regions_that_do_not_fit(region, sizes, message):
    with pytest.raises(RuntimeError, match=message):
        subtract_region_means(torch.zeros(5, 7), region, sizes)
