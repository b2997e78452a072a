"""The model of the GPUs: that it counts what the kernels do, judges at the full size only, and never claims a time."""

import io

import pytest
from rich.console import Console

from bench import model, report
from bench.counted import Counter, Launch
from bench.model import DEVICES, Cost, Counts
from bench.report import Settings


@pytest.fixture(scope="module")
def result():
    """Counted without operations, whose build is another one."""
    return model.run(Settings(size=40, quick=True), lambda what: None, Counter(count_flops=False))


def test_counts_every_launch_of_a_cycle(result):
    steps, others, together, _ = result.figures
    assert {row["kernel"]: row["launches"] for row in steps.rows} == {
        "start 40^3": 1,
        "relax 40^3": 3 + 4,
        "restrict 40^3": 1,
        "start 20^3": 1,
        "relax 20^3": 5 + 6,
        "restrict 20^3": 1,
        "tail 10^3": 1,
        "load 20^3": 1,
        "load 40^3": 1,
    }
    assert {row["kernel"] for row in others.rows} <= set(model.FLOORS)
    assert together.rows[0]["launches"] == sum(row["launches"] for row in steps.rows)


def test_no_kernel_moves_less_than_it_must(result):
    for figures in result.figures[:2]:
        for row in figures.rows:
            assert row["floor, B"] == "" or row["floor, B"] <= row["sectors, B"] <= row["lines, B"]


def test_says_that_it_is_a_model(result):
    console = Console(file=io.StringIO(), width=200)
    report.show(result, console)
    text = console.file.getvalue()
    assert "MODEL" in text
    assert "not run here" in text
    assert all(judgement.verdict == "not judged" for judgement in result.judgements)


def launches(*kernels):
    return [Launch(kernel, 1, 1000, 500, 10) for kernel in kernels]


def test_judges_the_full_size():
    unknowns = 256**3
    cycle = Cost.of("", launches("multigrid tail", "multigrid tail"), unknowns)
    counts = Counts(launches("multigrid tail", "multigrid tail"), [], {}, 5, 2)
    verdicts = [j.verdict for j in model._judge(Settings(size=256), cycle, cycle, counts, unknowns)]
    assert verdicts == ["met", "met", "missed", "met"]


def test_a_device_is_as_slow_as_its_tightest_limit():
    device = DEVICES[0]
    assert device.seconds(device.bandwidth, 0) == 1
    assert device.seconds(1, 2 * device.flops) == 2
