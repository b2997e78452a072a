import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from bench import (
    limits,
    memory,
    poisson,
    poisson_backward,
    poisson_box,
    poisson_convergence,
    poisson_cycle,
    poisson_fmg,
    poisson_growth,
    poisson_masked,
    report,
)
from bench.__main__ import CORES, app
from bench.limits import copy_bandwidth
from bench.measure import DisagreementError, Spread, Timing, interleave, ratio
from bench.petsc import Petsc
from bench.poisson_problems import Outcome, Problem, noisy_ball, noisy_box
from bench.report import Settings, Target

RUNNER = CliRunner()
TINY = Settings(size=12, quick=True, repetitions=2)
FULL_TINY = replace(TINY, quick=False)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("bench.__main__.FOLDER", tmp_path / "results")
    return tmp_path


@pytest.fixture(autouse=True)
def _same_threads_afterwards():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def _no_process():
    """What takes seconds, and has tests of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "peak_increase", lambda problem, tolerance, threads: 10 * problem.rhs.nbytes)
        patch.setattr(limits, "copy_bandwidth", lambda: 1e10)
        yield


@pytest.fixture(scope="module")
def tiny():
    return poisson.run(TINY, _silent)


@pytest.fixture(scope="module")
def whole():
    """The full run, its size made tiny, where there is no PETSc."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Petsc, "find", lambda processes: None)
        patch.setattr(poisson, "FULL_SIZE", TINY.size)
        return poisson.run(FULL_TINY, _silent)


def _silent(what):
    pass


def _judged(report_, *parts):
    (judgement,) = (j for j in report_.judgements if all(part in j.target.what for part in parts))
    return judgement


def test_a_spread_is_the_median_and_the_extremes():
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert str(Spread.of([3.0, 1.0, 2.0])) == "2 (1..3)"
    assert str(Spread.of([2.0])) == "2"


def test_a_ratio_is_taken_round_by_round():
    """A slow round slows both down: 10/10 does not meet the 1 of another round."""
    assert ratio([2.0, 20.0, 4.0], [1.0, 10.0, 1.0]) == Spread(2.0, 2.0, 4.0)


def test_the_copy_bandwidth_is_positive():
    assert copy_bandwidth(1000) > 0


def test_competitors_take_turns():
    order = []
    timings = interleave({name: lambda name=name: order.append(name) or len(order) for name in "ab"}, 3)
    assert "".join(order) == "ababab"
    assert [len(timing.seconds) for timing in timings.values()] == [3, 3]
    assert timings["b"].output == 6


@pytest.mark.parametrize(
    ("target", "value", "verdict"),
    [
        (Target("at most", 2.0), 2.0, "met"),
        (Target("at most", 2.0), 2.01, "missed"),
        (Target("at least", 50.0, at_least=True), 50.0, "met"),
        (Target("at least", 50.0, at_least=True), 49.9, "missed"),
        (Target("at most", 2.0), float("nan"), "missed"),
    ],
)
def test_the_median_decides(target, value, verdict):
    assert target.judge(Spread(value, 0.0, 100.0)).verdict == verdict


def test_a_miss_and_a_target_without_measurement_are_shown_and_are_not_met(tiny):
    target = Target("speed", 2.0)
    for judgement, text in ((target.judge(Spread.of([3.0])), "missed"), (target.not_judged("no peer"), "no peer")):
        judged = replace(tiny, judgements=[target.judge(Spread.of([1.0])), judgement])
        assert not judged.all_met
        console = Console(width=120, file=io.StringIO())
        report.show(judged, console)
        assert text in console.file.getvalue()
    assert replace(tiny, judgements=[target.judge(Spread.of([1.0]))]).all_met


def test_a_small_run_measures_everything_and_judges_nothing(tiny):
    assert {j.verdict for j in tiny.judgements} == {"not judged"}
    unmeasured = [j.target.what for j in tiny.judgements if j.measured is None]
    assert len(unmeasured) == 4
    assert sum("PETSc" in what for what in unmeasured) == 3
    assert "seconds per unknown" in unmeasured[-1]
    assert all(figures.rows for figures in tiny.figures)
    assert 0 < _judged(tiny, "convergence", "the worst").measured.median < 0.15
    assert _judged(tiny, "larger / smaller").measured.median >= 1


def test_the_full_run_has_every_promise(whole):
    limits_ = [(j.target.limit, j.target.at_least) for j in whole.judgements]
    assert limits_[:8] == [(1.0, False), (0.9, False)] * 4
    assert limits_[8:12] == [(100.0, True)] * 3 + [(25.0, True)]
    assert limits_[12:] == [
        (12.0, False), (2.0, False), (0.5, True), (1.2, False), (3.0, True),
        (1.15, False), (1.3, False), (0.15, False), (1.2, False),
    ]  # fmt: skip
    assert [j.target.what.split(",")[1].strip() for j in whole.judgements[:8:2]] == [
        "11^3 vertices", "12^3 cells", "23^3 vertices", "24^3 cells",
    ]  # fmt: skip


def test_only_the_full_run_judges(whole):
    assert all(j.verdict in ("met", "missed") for j in whole.judgements if "PETSc" not in j.target.what)
    assert _judged(whole, "the worst", "convergence").verdict == "met"


def test_without_petsc_its_promises_are_not_judged(whole):
    """Nor is anything else taken for met that was not measured."""
    petsc = [j for j in whole.judgements if "PETSc" in j.target.what]
    assert [(j.verdict, j.measured, j.why) for j in petsc] == [("not judged", None, "petsc4py is not installed")] * 3
    assert not whole.all_met
    assert any(line.startswith("petsc4py is not installed: PETSc CG + hypre BoomerAMG,") for line in whole.absent)


def test_an_absent_peer_is_named(monkeypatch):
    monkeypatch.setattr(poisson_masked, "installed_version", lambda name: poisson_masked.ABSENT)
    smoke = poisson_masked.measure(TINY, _silent)
    assert smoke.times_ours(poisson_masked.PYAMG) is None
    assert "pyamg is not installed: PyAMG Ruge-Stuben + CG not compared." in poisson_masked.absent(smoke)
    assert [row["solver"] for row in poisson_masked.figures(smoke).rows] == ["fastsciml"]


def test_growth_without_memory_is_not_judged(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 2**30)
    assert poisson_growth.why_not(Settings(128)) == "needs 8 GiB of free memory"
    promise = poisson.Promise(Target("growth", 1.15), None, "needs 8 GiB of free memory")
    judgement = promise.judge(Settings(poisson.FULL_SIZE))
    assert (judgement.verdict, judgement.why) == ("not judged", "needs 8 GiB of free memory")


def test_growth_is_seconds_per_unknown_of_the_worst_size():
    problems = [Problem(np.zeros((n, 1, 1)), centering="vertex") for n in (1, 2, 4)]
    growth = poisson_growth.Growth(
        problems, [Timing(seconds, None) for seconds in ([1.0, 2.0], [3.0, 6.0], [4.4, 8.8])], first=9.0
    )
    assert growth.worst == Spread.of([1.5])
    assert growth.of(2).median == pytest.approx(1.1)


def test_a_v_cycle_that_is_wrong_gets_no_time(monkeypatch):
    cycle = poisson_cycle.Cycle(noisy_ball(12))
    cycle()
    cycle.check()
    cycle.out.mul_(2)
    with pytest.raises(DisagreementError, match="V-cycle"):
        cycle.check()


def test_a_v_cycle_moves_what_its_passes_say():
    time = poisson_cycle.CycleTime(noisy_box(10), [1e-6, 2e-6])
    assert time.bytes == 24_000
    assert time.share(1e10).most == pytest.approx(2.4)


def test_full_multigrid_that_is_wrong_gets_no_time(monkeypatch):
    right = Problem.solve

    def wrong(self, tolerance, method="auto"):
        outcome = right(self, 1e-10, "multigrid")
        return replace(outcome, u=2 * outcome.u) if method == "fmg" else outcome

    monkeypatch.setattr(Problem, "solve", wrong)
    with pytest.raises(DisagreementError, match="fmg"):
        poisson_fmg.measure(TINY, _silent)


def test_a_wrong_gradient_gets_no_time(monkeypatch):
    right = poisson_backward._round
    monkeypatch.setattr(poisson_backward, "_round", lambda *given: (*right(*given)[:2], 1.01 * right(*given)[2]))
    with pytest.raises(DisagreementError, match="gradient"):
        poisson_backward.measure(TINY, _silent)


def test_a_competitor_in_other_processes_times_itself():
    timings = interleave({"here": lambda: Outcome(np.empty(0)), "there": lambda: Outcome(np.empty(0), seconds=7.0)}, 2)
    assert timings["there"].seconds == [7.0, 7.0]
    assert max(timings["here"].seconds) < 7


def test_a_wrong_solution_gets_no_time(monkeypatch):
    right = Problem.solve

    def wrong(self, tolerance, method="auto"):
        outcome = right(self, tolerance, method)
        return replace(outcome, u=outcome.u * (1 + 1e-7))

    monkeypatch.setattr(Problem, "solve", wrong)
    for core in (poisson_box, poisson_masked, poisson_convergence, poisson_growth, poisson_fmg):
        with pytest.raises(DisagreementError, match="no time is reported"):
            core.measure(TINY, _silent)
    result = RUNNER.invoke(app, ["poisson", "--quick", "--size", "12", "--json", "out.json"])
    assert result.exit_code == 1
    assert "no time is reported" in result.stderr
    assert not result.stdout


def test_results_are_written(folder, tiny, monkeypatch):
    monkeypatch.setitem(CORES, "poisson", lambda settings, tell: replace(tiny, settings=settings))
    result = RUNNER.invoke(app, ["poisson", "--quick", "--json", "out.json", "--threads", "1"])
    assert result.exit_code == 0, result.output
    assert "copy bandwidth" in result.stdout
    document = json.loads((folder / "out.json").read_text())
    assert {"cpu", "threads", "simd", "torch", "scipy"} <= set(document["machine"])
    assert document["cores"]["poisson"]["settings"] == {"size": 64, "quick": True, "repetitions": 7, "threads": 1}
    assert document["cores"]["poisson"]["judgements"][0]["measured"]["median"] > 0


@pytest.mark.parametrize(("value", "code"), [(1.0, 0), (3.0, 1)])
def test_check_tells_by_its_exit_code(tiny, monkeypatch, value, code):
    judged = replace(tiny, judgements=[Target("speed", 2.0).judge(Spread.of([value]))])
    monkeypatch.setitem(CORES, "poisson", lambda settings, tell: judged)
    assert RUNNER.invoke(app, ["poisson", "--check"]).exit_code == code
    assert RUNNER.invoke(app, ["poisson"]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fourier"], "there is no core 'fourier'"),
        (["--quick", "--check"], "--check needs the full run"),
        (["--size", "64", "--check"], "--check needs the full run"),
        (["--size", "4"], "--size"),
        (["--repetitions", "0"], "--repetitions"),
        (["--threads", "0"], "--threads"),
        (["--json", "absent/out.json"], "the folder absent"),
    ],
)
def test_malformed_options_end_with_two(arguments, sentence, monkeypatch):
    monkeypatch.setitem(CORES, "poisson", lambda settings, tell: pytest.fail("work has started"))
    result = RUNNER.invoke(app, arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
