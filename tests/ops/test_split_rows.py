import pytest
import torch

from fastsciml.ops import join_rows, split_rows
from fastsciml.ops.split_rows import split_rows_definition

EXTENTS = [1, 2, 15, 16, 31, 32, 33, 64, 77]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("extent", EXTENTS)
def test_agrees_with_the_definition(extent, dtype, threads, device):
    rows = torch.randn(30, 70000 // (30 * extent) + 1, extent, dtype=dtype).to(device)
    assert torch.equal(split_rows(rows, 0.3), split_rows_definition(rows * 0.3).float())


@pytest.mark.parametrize("extent", EXTENTS)
def test_joining_is_the_inverse(extent, device):
    rows = torch.randn(3, 5, extent).to(device)
    assert torch.equal(join_rows(split_rows(rows), extent), rows)


def test_writes_where_it_is_told(device):
    rows = torch.randn(3, 5, 7).to(device)
    out = torch.full((3, 5, 32), torch.nan).to(device)
    assert split_rows(rows, 2.0, out) is out
    assert torch.equal(out, split_rows_definition(2 * rows))


def test_more_cells_than_threads(device):
    """On CUDA each thread has several cells there."""
    rows = torch.randn(1100, 1, 1000).to(device)
    assert torch.equal(split_rows(rows), split_rows_definition(rows))


def test_opcheck():
    torch.library.opcheck(
        torch.ops.fastsciml.split_rows_into.default,
        (torch.randn(3, 5, 7), 2.0, torch.empty(3, 5, 32)),
        test_utils=["test_schema", "test_faketensor"],
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (torch.zeros(3, 5), "non-empty"),
        (torch.zeros(3, 0, 5), "non-empty"),
        (torch.zeros(3, 5, 7, dtype=torch.float16), "float32 or float64"),
        (torch.zeros(3, 5, 7).mT, "contiguous"),
    ],
)
def test_refuses_what_does_not_fit(rows, message, device):
    with pytest.raises(RuntimeError, match=message):
        split_rows(rows.to(device))


@pytest.mark.parametrize(
    "out", [torch.zeros(3, 5, 16), torch.zeros(5, 3, 32), torch.zeros(3, 5, 32, dtype=torch.float64)]
)
def test_refuses_to_write_where_it_does_not_fit(out, device):
    with pytest.raises(RuntimeError, match="out "):
        split_rows(torch.zeros(3, 5, 7).to(device), out=out.to(device))
