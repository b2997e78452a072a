import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console
from scipy.sparse.linalg import spsolve
from typer.testing import CliRunner

from bench import limits, memory, poisson, report
from bench.__main__ import CORES, app
from bench.limits import copy_bandwidth
from bench.measure import DisagreementError, Spread, interleave, ratio
from bench.memory import peak_increase
from bench.poisson_peers import RugeStuben, SineTransform
from bench.poisson_problems import Problem, noisy_ball, noisy_box, plume
from bench.report import Settings, Target
from fastsciml.data import poisson_matrix

RUNNER = CliRunner()
TINY = Settings(size=12, quick=True, repetitions=2)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


@pytest.fixture(autouse=True)
def _same_threads_afterwards():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _no_process(monkeypatch):
    """What takes seconds, and has tests of its own."""
    monkeypatch.setattr(memory, "peak_increase", lambda problem, tolerance, threads: 10 * problem.rhs.nbytes)
    monkeypatch.setattr(limits, "copy_bandwidth", lambda: 1e10)


@pytest.fixture
def tiny():
    return poisson.run(TINY, _silent)


def _silent(what):
    pass


def _judged(report_, part):
    (judgement,) = (j for j in report_.judgements if part in j.target.what)
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
    assert [j.target.what for j in tiny.judgements if j.measured is None] == ["box: seconds at 24^3 / those at 12^3"]
    assert all(figures.rows for figures in tiny.figures)
    assert 0 < _judged(tiny, "the worst").measured.median < 0.15
    assert _judged(tiny, "larger / smaller").measured.median >= 1


def test_two_sizes_give_their_ratio():
    both = poisson.run(replace(TINY, size=8, quick=False), _silent)
    assert _judged(both, "seconds at 16^3").measured.median > 0
    assert [row["grid"] for row in both.figures[0].rows] == ["8^3", "16^3"]


def test_only_the_full_run_judges(monkeypatch):
    boxes = poisson._time_boxes(replace(TINY, quick=False), _silent)
    smoke = poisson._time_plume(TINY, _silent)
    runs = poisson._converge(TINY, _silent)
    monkeypatch.setattr(poisson, "FULL_SIZE", TINY.size)
    judgements = poisson._judge(replace(TINY, quick=False), boxes, replace(smoke, pyamg=None), runs)
    assert judgements[2].verdict == "not judged"
    assert "pyamg" in judgements[2].why
    assert all(j.verdict in ("met", "missed") for j in judgements[:2])
    assert judgements[4].verdict == "met"


def test_an_absent_peer_is_named(monkeypatch):
    monkeypatch.setattr(poisson, "installed_version", lambda name: poisson.ABSENT)
    smoke = poisson._time_plume(TINY, _silent)
    assert smoke.pyamg is None
    assert any("pyamg is not installed" in note for note in poisson._notes(TINY))
    assert [row["solver"] for row in poisson._plume_figures(smoke).rows] == ["fastsciml"]


@pytest.mark.parametrize("make", [noisy_box, noisy_ball, plume])
def test_the_residual_is_the_matrix_one(make):
    problem = make(8)
    u = np.random.default_rng(1).standard_normal(problem.shape)
    matrix = poisson_matrix(problem.shape, problem.spacing, problem.boundary, problem.solid)
    f = np.where(problem.fluid, problem.rhs, 0.0)
    expected = np.linalg.norm(f.ravel() - matrix @ u.ravel()) / np.linalg.norm(f)
    assert problem.residual(u) == pytest.approx(expected, rel=1e-12)


def test_competitors_solve_the_matrix():
    box, ball = noisy_box(8), noisy_ball(12)
    exact = spsolve(poisson_matrix(box.shape, box.spacing), box.rhs.ravel()).reshape(box.shape)
    np.testing.assert_allclose(SineTransform(box, 1).solve().u, exact, rtol=1e-10, atol=1e-14)
    assert ball.solid.any()
    pytest.importorskip("pyamg")
    peer = RugeStuben(ball)
    ball.check("PyAMG", peer.on_grid(peer.solve(1e-10).u), 1e-10)
    ball.check("fastsciml", ball.solve(1e-10).u, 1e-10)


def test_a_wrong_solution_gets_no_time(monkeypatch):
    right = Problem.solve

    def wrong(self, tolerance):
        outcome = right(self, tolerance)
        return replace(outcome, u=outcome.u * (1 + 1e-7))

    monkeypatch.setattr(Problem, "solve", wrong)
    for measure in (poisson._time_boxes, poisson._time_plume, poisson._converge):
        with pytest.raises(DisagreementError, match="no time is reported"):
            measure(TINY, _silent)
    result = RUNNER.invoke(app, ["poisson", "--quick", "--size", "12", "--json", "out.json"])
    assert result.exit_code == 1
    assert "no time is reported" in result.stderr
    assert not result.stdout


def test_solvers_that_disagree_get_no_time():
    box = noisy_box(8)
    peer = SineTransform(box, 1)
    u = peer.solve().u
    peer.check_agreement(box.solve(1e-10).u, u, 1e-10)
    with pytest.raises(DisagreementError, match="differ"):
        peer.check_agreement(u + 1e-6, u, 1e-10)


@pytest.mark.skipif(not memory.measurable(), reason="needs Linux")
def test_memory_holds_inputs_and_solution_at_least():
    problem = noisy_ball(64)
    assert peak_increase(problem, 1e-6, 1) > 2 * problem.rhs.nbytes


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
