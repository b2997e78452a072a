"""What the host runtime counts, against counts by hand."""

from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

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
