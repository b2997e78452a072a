import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from bench import mgno_solver, mgno_steps, mgno_suite
from bench.mgno_accuracy import app
from bench.mgno_problems import TASKS, load
from bench.mgno_suite import measured_pairs
from bench.mgno_together import Job, train_together
from bench.mgno_training import Lane, Recipe, has_neuraloperator, one_cycle
from fastsciml.data import OperatorData

CPU = torch.device("cpu")
SMALL = Recipe("mgno", {"width": 6, "layers": 2}, rate=4e-3)
SMALL_FNO = Recipe("fno", {"width": 6, "modes": 4}, rate=4e-3)
needs_fno = pytest.mark.skipif(not has_neuraloperator(), reason="the package neuraloperator is not installed")


@pytest.fixture(scope="module")
def darcy():
    return load("dirichlet", 24, 8, points=15)


@pytest.mark.parametrize("name", TASKS)
def test_pairs_of_every_problem(name):
    task = load(name, 6, 4, points=9)
    assert (len(task.train), len(task.test)) == (6, 4)
    assert task.train.x.shape[1:] == task.train.y.shape[1:] == (1, 9, 9)
    assert task.train.y.dtype == torch.float32


def test_a_problems_file_is_read_and_test_samples_do_not_depend_on_the_number_trained_on(tmp_path):
    x = torch.arange(12.0).view(12, 1, 1, 1).expand(12, 1, 16, 16).contiguous()
    OperatorData(x, x).save(tmp_path / "darcy-16.npz")
    task = load("darcy-small", 4, 2, folder=tmp_path)
    assert task.train.x[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert task.test.x[:, 0, 0, 0].tolist() == [10, 11]
    with pytest.raises(ValueError, match=r"has 12 samples, and 11 \+ 2 are asked for"):
        load("darcy-small", 11, 2, folder=tmp_path)
    with pytest.raises(ValueError, match=r"problem must be one of darcy-rough, .* got 'stokes'"):
        load("stokes", 4)


def test_the_schedule_is_torchs():
    optimizer = torch.optim.SGD([torch.zeros(1)], 1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=40, cycle_momentum=False)
    for rate in one_cycle(1e-3, 40).tolist():
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-5)
        optimizer.step()
        if schedule.last_epoch < 39:
            schedule.step()


@pytest.mark.parametrize("recipe", [SMALL, pytest.param(SMALL_FNO, marks=needs_fno)], ids=["mgno", "fno"])
def test_training_lowers_the_error_and_can_begin_again(darcy, recipe):
    lane = Lane(recipe, darcy, 0, 60, CPU)
    lane.begin(60)
    before = lane.errors()
    assert lane.advance(60) == 60
    after = lane.errors()
    assert after["l2"] < 0.8 * before["l2"]
    lane.begin(60)
    lane.advance(60)
    assert lane.errors() == after
    lane.begin(60)
    assert lane.advance(60, lambda: True) == 0


def test_errors_at_the_edge_and_inside_are_relative_to_the_solution_there(darcy):
    lane = Lane(SMALL, darcy, 0, 1, CPU)
    off = darcy.test.y.clone()
    off[..., 1:-1, 1:-1] *= 1.5
    lane.predictions = lambda: off
    errors = lane.errors()
    assert errors["edge"] == 0
    assert errors["inside"] == pytest.approx(0.5, rel=1e-5)


def test_a_time_too_short_scales_all_steps_alike(darcy):
    rows = []
    jobs = [Job(darcy, SMALL, seed, steps) for seed, steps in ((0, 20_000), (1, 10_000))]
    trained = train_together(jobs, CPU, seconds=3.0, write=rows.append)
    assert [one.row for one in trained] == rows
    for row, job in zip(rows, jobs, strict=True):
        assert row["steps_allowed"] == job.steps
        assert row["steps_planned"] == pytest.approx(row["scaled"] * job.steps, abs=2 + 1e-4 * job.steps)
        assert 0 <= row["scaled"] < 0.5


def test_measured_steps_keep_the_least(tmp_path, darcy):
    file = tmp_path / "steps.json"
    seconds = mgno_steps.measure([(darcy, SMALL)], 2, lambda what: None)
    (name,) = seconds
    assert name == "dirichlet 15: mgno layers 2, width 6, batch 8"
    mgno_steps.write(seconds, file)
    mgno_steps.write({name: 100.0, "other": 1.0}, file)
    assert mgno_steps.read(file) == {**seconds, "other": 1.0}
    with pytest.raises(ValueError, match="holds no measured steps"):
        mgno_steps.read(tmp_path / "none.json")


@pytest.fixture
def small_problems(monkeypatch):
    for name, source in TASKS.items():
        monkeypatch.setitem(TASKS, name, replace(source, draw=TASKS["neumann"].draw, points=9))


def test_the_suite_writes_every_stage(tmp_path, monkeypatch, small_problems):
    recipes = [SMALL, *([SMALL_FNO] if has_neuraloperator() else [])]
    monkeypatch.setattr(mgno_suite, "first_recipes", lambda name: recipes)
    monkeypatch.setattr(mgno_suite, "variants", lambda best: [replace(best, loss="l2"), replace(best, batch=4)])
    monkeypatch.setattr(mgno_suite, "SEEDS", 1)
    monkeypatch.setattr(mgno_suite, "BOUNDARIES", [("neumann", SMALL)])
    keys = {f"darcy-{of} 9: {recipe.architecture()}": 1800.0 for of in ("rough", "small") for recipe in recipes}
    out = tmp_path / "out"
    mgno_suite.Suite(tmp_path, out, 0.0, keys, CPU, graph=False, samples=8, test=4).run()
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert {row["stage"] for row in rows if "l2" in row} == {*mgno_suite.SHARES}
    left_out = next(row["why"] for row in rows if row["stage"] == "left out")
    assert left_out == "no step measured of darcy-rough 9: mgno layers 2, width 6, batch 4"
    assert {file.name for file in out.glob("*.pt")} >= {"darcy-rough-mgno-0.pt", "darcy-small-mgno-0.pt"}
    shown = CliRunner().invoke(app, ["--show", str(out / "results.jsonl")])
    assert "neumann" in shown.output


def test_every_architecture_is_measured_once(small_problems):
    names = [mgno_steps.key(task, recipe) for task, recipe in measured_pairs(None, samples=8)]
    assert len(set(names)) == len(names) >= 5


def test_flexible_conjugate_gradients_solve():
    f = torch.randn(15, 15, dtype=torch.float64)
    u, residuals = mgno_solver.flexible_conjugate_gradients(f, lambda r: r * (1 + 0.01 * torch.rand(())))
    assert residuals[-1] <= mgno_solver.TOLERANCE
    torch.testing.assert_close(mgno_solver.applied(u), f, rtol=0, atol=1e-6)


def test_solver_ways_all_reach_the_tolerance(monkeypatch):
    monkeypatch.setattr(mgno_solver, "SOLVED", 2)
    ways = mgno_solver.measure(15, 24, 20, CPU)
    assert [way.converged for way in ways if "over MgNO" not in way.name] == [2] * 5
    assert len(ways) == 6


def test_command(tmp_path):
    out = tmp_path / "rows.jsonl"
    arguments = f"--problem periodic --model mgno --samples 16 --test 4 --resolution 8 --seeds 2 --width 4 --out {out}"
    result = CliRunner().invoke(app, [*arguments.split(), "--steps", "5"])
    assert result.exit_code == 0, result.output
    assert "periodic 8²" in result.output
    assert [json.loads(line)["seed"] for line in out.read_text().splitlines()] == [0, 1]
    result = CliRunner().invoke(app, [*arguments.split()])
    assert result.exit_code == 2
    assert "give one of --steps and --minutes" in result.output
