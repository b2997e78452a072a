from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from bench import evonorm, evonorm_memory, evonorm_peers, limits
from bench.__main__ import SIZES, app
from bench.evonorm_peers import Case, timm_layer
from bench.measure import DisagreementError
from bench.report import Settings
from fastsciml import ops

TINY = Settings(size=16, quick=True, repetitions=1)


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    """Without what takes seconds: the compiler, processes, large copies."""
    monkeypatch.setattr(evonorm, "compiled", lambda function: function)
    monkeypatch.setattr(limits, "copy_bandwidth", lambda: 1e10)
    monkeypatch.setattr(evonorm_memory, "peak_tensors", lambda name, threads: 4.01)


def silent(what):
    pass


def test_a_small_run_measures_everything_and_judges_nothing():
    report = evonorm.run(TINY, silent)
    assert {judgement.verdict for judgement in report.judgements} == {"not judged"}
    assert [j.target.what for j in report.judgements if j.measured is None] == [
        "S0: peak memory, tensors of x's size",
        "B0: peak memory, tensors of x's size",
    ]
    assert all(figures.rows for figures in report.figures)
    assert len(report.figures[1].rows) == 3
    assert len(evonorm._cases(replace(TINY, quick=False))) == 7


def test_the_full_run_judges_every_promise(monkeypatch):
    monkeypatch.setattr(evonorm, "FULL_SIZE", TINY.size)
    first = evonorm.run(TINY, silent)
    monkeypatch.setattr(evonorm, "_cases", lambda settings: [Case((2, 64, 16, 16))])
    report = evonorm.run(replace(TINY, quick=False), silent)
    assert len(report.judgements) == len(first.judgements) == 17
    assert {judgement.verdict for judgement in report.judgements} <= {"met", "missed"}
    assert report.judgements[-1].verdict == "met"


@pytest.mark.parametrize("name", ["S0", "S1", "S2", "B0"])
def test_a_wrong_result_gets_no_time(name, monkeypatch):
    case = Case((2, 64, 5, 6))
    case.check(name)
    right = getattr(ops, f"evonorm_{name.lower()}")

    def wrong(*arguments, **options):
        result = right(*arguments, **options)
        return (result[0] * 1.0001, result[1]) if name == "B0" else result * 1.0001

    monkeypatch.setattr(evonorm_peers.ops, f"evonorm_{name.lower()}", wrong)
    with pytest.raises(DisagreementError, match="no time is reported"):
        case.check(name)


def test_peers_compute_what_they_are_named_for():
    case = Case((4, 64, 5, 6), channels_last=True)
    assert case.x.is_contiguous(memory_format=torch.channels_last)
    x, (v, weight, bias) = case.x, case.parameters
    norm = torch.nn.BatchNorm2d(64)
    norm.load_state_dict({"weight": weight, "bias": bias}, strict=False)
    torch.testing.assert_close(evonorm_peers.batch_norm(x, v, weight, bias), norm(x).relu())
    group = torch.nn.GroupNorm(32, 64)
    group.load_state_dict({"weight": weight, "bias": bias})
    torch.testing.assert_close(evonorm_peers.group_norm(x, v, weight, bias), torch.nn.functional.silu(group(x)))
    layer = timm_layer("S0", 64)
    if layer is not None:
        one = torch.ones(64)
        torch.testing.assert_close(layer(x), evonorm_peers.ours(x, one, one, 0 * one, "S0"))


@pytest.mark.skipif(not evonorm.memory.measurable(), reason="needs Linux")
def test_memory_holds_input_output_and_gradients(monkeypatch):
    monkeypatch.undo()
    assert 3.9 < evonorm_memory.peak_tensors("S0", 1) < 6


def test_each_core_has_its_sizes():
    assert SIZES["evonorm"] == (56, 16)
    result = CliRunner().invoke(app, ["evonorm", "--size", "128", "--check"])
    assert result.exit_code == 2
