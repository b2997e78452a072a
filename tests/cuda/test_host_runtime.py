"""The host runtime itself: the indices a kernel sees, what it refuses, and that guards find a stray write."""

import numpy as np
import pytest
from guarded import GuardedMemory


@pytest.mark.parametrize(
    ("blocks", "threads"), [((1, 1, 1), (1, 1, 1)), ((3, 1, 1), (64, 1, 1)), ((2, 3, 4), (5, 2, 3))], ids=str
)
def test_every_thread_of_every_block_runs_with_its_own_index(blocks, threads, host_kernels, guarded):
    out = guarded.empty((int(np.prod(blocks + threads)),), np.int64)
    host_kernels.number_threads(out, blocks, threads)
    np.testing.assert_array_equal(out, np.arange(out.size))


def test_a_write_past_the_end_is_found(host_kernels):
    memory = GuardedMemory()
    out = memory.empty((63,), np.int64)
    host_kernels.number_threads(out, (1, 1, 1), (64, 1, 1))
    with pytest.raises(AssertionError, match="wrote after an array of 504 bytes"):
        memory.check()


@pytest.mark.parametrize(
    ("blocks", "threads"),
    [
        ((0, 1, 1), (32, 1, 1)),
        ((1, 65536, 1), (32, 1, 1)),
        ((2**31, 1, 1), (32, 1, 1)),
        ((1, 1, 1), (0, 1, 1)),
        ((1, 1, 1), (1025, 1, 1)),
        ((1, 1, 1), (1, 1, 65)),
    ],
    ids=str,
)
def test_a_launch_no_device_accepts_is_refused(blocks, threads, host_kernels, guarded):
    out = guarded.empty((1,), np.int64)
    with pytest.raises(RuntimeError, match="number_threads: the kernel did not start"):
        host_kernels.number_threads(out, blocks, threads)
