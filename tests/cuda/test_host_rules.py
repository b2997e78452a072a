"""What threads of a block may ask of each other, and that the host runtime finds what they may not."""

import numpy as np
import pytest

ORDERS = [0, 1, 2, 3]
SIZE = 64


@pytest.fixture
def rules(host_kernels):
    return host_kernels.rules


def run(kernel, guarded, blocks=1, order=0):
    out = guarded.empty((blocks * SIZE,), np.float32)
    out[...] = 0
    kernel(out, order)
    return out.reshape(blocks, SIZE)


@pytest.mark.parametrize("order", ORDERS)
def test_a_barrier_lets_every_thread_see_what_all_have_written(order, rules, guarded):
    out = run(rules.reverse, guarded, blocks=3, order=order)
    np.testing.assert_array_equal(out, np.tile(np.arange(SIZE)[::-1], (3, 1)))


@pytest.mark.parametrize("order", ORDERS)
def test_shuffles_and_shared_memory_sum_a_block(order, rules, guarded):
    out = run(rules.sum, guarded, blocks=2, order=order)
    np.testing.assert_array_equal(out, SIZE * (SIZE + 1) / 2)


@pytest.mark.parametrize("order", ORDERS)
def test_votes_counting_barriers_and_a_scan(order, rules, guarded):
    out = run(rules.votes, guarded, order=order)[0]
    lane = np.arange(SIZE) % 32
    np.testing.assert_allclose(out, 31 + 32 * (lane < 16) + (lane + 1) / 64)


def test_a_race_shows_in_the_order_of_threads(rules, guarded):
    results = {run(rules.race, guarded, order=order).tobytes() for order in ORDERS}
    assert len(results) > 1


def test_shared_memory_that_was_never_written_is_nan(rules, guarded):
    out = run(rules.unwritten, guarded)[0]
    assert np.flatnonzero(np.isnan(out)).tolist() == [7]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (
            "two_barriers",
            r"two_barriers, block \(0, 0, 0\): thread 0 waits at the barrier of rules.cpp:\d+, thread 16 waits at the "
            r"barrier of rules.cpp:\d+",
        ),
        ("early_return", r"thread 0 waits at the barrier of rules.cpp:\d+, thread 40 has returned"),
        ("absent_lanes", r"thread 0 waits at the warp's exchange of rules.cpp:\d+, thread 16 has returned"),
        ("outside_the_mask", r"a shuffle of rules.cpp:\d+ reads lane 20, which takes no part"),
        ("not_in_the_mask", r"thread \d+ is no lane of the mask of rules.cpp:\d+"),
        ("too_much", r"asks for 52000 bytes of shared memory, of 49152"),
    ],
    ids=lambda value: value if "_" in value and " " not in value else "",
)
def test_a_broken_rule_is_found(kernel, message, order, rules, guarded):
    with pytest.raises(RuntimeError, match=message):
        run(getattr(rules, kernel), guarded, order=order)


def test_the_next_launch_after_a_fault_runs(rules, guarded):
    with pytest.raises(RuntimeError, match="has returned"):
        run(rules.early_return, guarded)
    np.testing.assert_array_equal(run(rules.reverse, guarded)[0], np.arange(SIZE)[::-1])
