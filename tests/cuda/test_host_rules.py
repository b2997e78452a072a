"""What threads of a block may ask of each other, and that the host runtime finds what they may not."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

SIZE = 64
FOLDER = Path(__file__).parents[1] / "cuda_host"


@pytest.fixture
def rules(host_kernels):
    return host_kernels.rules


def run(kernel, guarded, blocks=1, **options):
    out = guarded.empty((blocks * SIZE,), np.float32)
    out[...] = 0
    kernel(out, **options)
    return out.reshape(blocks, SIZE)


def test_a_barrier_lets_every_thread_see_what_all_have_written(order, rules, guarded):
    out = run(rules.reverse, guarded, blocks=3)
    np.testing.assert_array_equal(out, np.tile(np.arange(SIZE)[::-1], (3, 1)))


def test_shuffles_and_shared_memory_sum_a_block(order, rules, guarded):
    out = run(rules.sum, guarded, blocks=2)
    np.testing.assert_array_equal(out, SIZE * (SIZE + 1) / 2)


def test_votes_counting_barriers_and_a_scan(order, rules, guarded):
    out = run(rules.votes, guarded)[0]
    lane = np.arange(SIZE) % 32
    np.testing.assert_allclose(out, 31 + 32 * (lane < 16) + (lane + 1) / 64)


def test_entries_of_arrays_stand_in_expressions(order, rules, guarded):
    out = run(rules.expressions, guarded, blocks=2)
    next_one = (np.arange(SIZE) + 1) % SIZE + 1
    first = next_one - 2 * (np.arange(SIZE) + 1)
    np.testing.assert_array_equal(out, np.tile(first + next_one, (2, 1)))


def test_dynamic_shared_memory_holds_two_arrays(order, rules, guarded):
    out = run(rules.dynamic, guarded, blocks=2, dynamic_shared=2 * SIZE * 4)
    np.testing.assert_array_equal(out, SIZE * (SIZE - 1) / 2)


def test_lanes_see_what_their_warp_has_written_before_syncwarp(order, rules, guarded):
    np.testing.assert_array_equal(run(rules.neighbour, guarded)[0], np.arange(SIZE) ^ 1)


def test_some_lanes_of_a_warp_are_in_order_among_themselves(order, rules, guarded):
    number = np.arange(SIZE)
    np.testing.assert_array_equal(run(rules.some_lanes, guarded)[0], np.where(number % 32 < 4, number ^ 2, 0))


def test_atomic_sums_between_barriers(order, rules, guarded):
    np.testing.assert_array_equal(run(rules.count, guarded), 1 + SIZE * (SIZE - 1) / 2)


def test_four_entries_at_once(rules, guarded):
    out = guarded.copy(np.arange(SIZE, dtype=np.float32))
    rules.take_four(out)
    np.testing.assert_array_equal(out, np.arange(SIZE) % 32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_rounds_as_torch_does(dtype, rules, guarded):
    kernel = getattr(rules, str(dtype).removeprefix("torch."), None)
    if kernel is None:
        pytest.skip("NO CUDA HEADERS: half precision in kernels is not tested")
    values = torch.linspace(-3, 70000, SIZE)
    out = guarded.copy(values.numpy())
    kernel(out)
    np.testing.assert_array_equal(out, values.to(dtype).float().numpy())


def race(entry: str) -> str:
    verb = "(reads|writes|updates)"
    first = rf"thread \d+ {verb} entry {entry} of shared memory at L"
    return rf"{first}, thread \d+ {verb} it at L, and nothing orders the two"


FAULTS = {
    "two_barriers": r"block \(0, 0, 0\): thread 0 waits at the barrier of L, thread 16 waits at the barrier of L",
    "early_return": r"thread 0 waits at the barrier of L, thread 40 has returned",
    "absent_lanes": r"thread 0 waits at the warp's exchange of L, thread 16 has returned",
    "outside_the_mask": r"a shuffle of L reads lane 20, which takes no part",
    "not_in_the_mask": r"thread \d+ is no lane of the mask of L",
    "too_much": r"asks for 52000 bytes of shared memory, of 49152",
    "dynamic_too_long": r"asks for 128 entries of 4 bytes of dynamic shared memory, of 0 bytes",
    "unwritten": r"block \(1, 0, 0\): thread 7 reads entry 7 of shared memory, which nobody has written, at L",
    "outside_shared": r"thread 63 writes entry 64 of a shared array of 64, at L",
    "read_after_write": race(r"\d+"),
    "write_after_read": race("0"),
    "two_writers": race("0"),
    "neighbour_out_of_order": race(r"\d+"),
    "lanes_left_out": race(r"\d+"),
    "count_out_of_order": race("0"),
    "counts_read_early": race("0"),
    "write_outside": r"thread 63 writes entry 64 of an array of 64, at L",
    "read_outside": r"thread 0 reads entry -1 of an array of 64, at L",
    "take_four_misaligned": r"thread \d reads 16 bytes at once at an address that is no multiple of them, at L",
}


@pytest.mark.parametrize("kernel", FAULTS)
def test_a_broken_rule_is_found_in_every_order(kernel, order, rules, guarded):
    blocks = {"blocks": 2} if kernel == "unwritten" else {}
    with pytest.raises(RuntimeError) as fault:
        run(getattr(rules, kernel), guarded, **blocks)
    message = str(fault.value)
    assert re.search(FAULTS[kernel].replace("L", r"\w+\.cpp:\d+"), message), message
    for file, line in re.findall(r"(\w+\.cpp):(\d+)", message):
        assert "// fault" in (FOLDER / file).read_text().splitlines()[int(line) - 1], message


def test_blocks_that_write_to_the_same_place_show_in_their_order(host_kernels, rules, guarded):
    last = set()
    for seed in range(4):
        host_kernels.set_order(seed)
        out = guarded.empty((SIZE,), np.float32)
        rules.meeting_blocks(out, blocks=8)
        last.add(out[0])
    host_kernels.set_order(0)
    assert len(last) > 1


@pytest.mark.parametrize(("dynamic_shared", "starts"), [(163 << 10, True), ((163 << 10) + 1, False)])
def test_dynamic_shared_memory_has_the_limit_of_the_smallest_target(dynamic_shared, starts, rules, guarded):
    if starts:
        run(rules.dynamic, guarded, dynamic_shared=dynamic_shared)
    else:
        with pytest.raises(RuntimeError, match="dynamic: the kernel did not start"):
            run(rules.dynamic, guarded, dynamic_shared=dynamic_shared)


def test_the_next_launch_after_a_fault_runs(rules, guarded):
    with pytest.raises(RuntimeError, match="has returned"):
        run(rules.early_return, guarded)
    np.testing.assert_array_equal(run(rules.reverse, guarded)[0], np.arange(SIZE)[::-1])
