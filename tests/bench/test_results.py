"""Files of results: where they go, how runs merge, and what is refused before anything is measured."""

import json

import pytest
from typer.testing import CliRunner

from bench import machine, results
from bench.__main__ import CORES, SIZES, app
from bench.measure import Spread
from bench.report import Comparison, Report, Settings, Target
from bench.results import Results, ResultsError, file_name

RUNNER = CliRunner()
SPEED = Target("speed", 2.0)
PNG = b"\x89PNG\r\n"


def made(core="poisson", value=1.0):
    peers = [Comparison(f"{core}, tiny", "a peer", Spread(value, value / 2, 2 * value))]
    return Report(core, Settings(12), [SPEED.judge(Spread.of([value]))], [], ["a note"], peers, ["a peer: absent."])


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(results, "FOLDER", tmp_path / "default")
    monkeypatch.setattr("bench.__main__.FOLDER", tmp_path / "default")
    monkeypatch.setattr(machine, "_cpu_model", lambda: "Some(R) CPU @ 2.50GHz")


@pytest.fixture
def runs(monkeypatch):
    """The cores that were run; none takes time."""
    names = []
    for name in CORES:
        monkeypatch.setitem(CORES, name, lambda settings, tell, name=name: names.append(name) or made(name, 3.0))
    return names


def test_a_processor_s_name_makes_a_file_name():
    assert file_name("AMD EPYC 7B13 @ 2.4GHz / 64-Core") == "amd-epyc-7b13-2-4ghz-64-core"
    assert file_name(" ") == "unknown"


def test_the_newest_report_of_a_core_replaces_its_older_one(tmp_path):
    for report in (made("poisson"), made("evonorm"), made("poisson", 7.0)):
        Results(tmp_path, small=False).add(report)
    document = json.loads((tmp_path / "some-r-cpu-2-50ghz.json").read_text())
    assert list(document["cores"]) == ["poisson", "evonorm"]
    assert document["cores"]["poisson"]["peers"][0]["times"]["median"] == 7.0
    assert document["cores"]["evonorm"]["machine"]["cpu"] == "Some(R) CPU @ 2.50GHz"
    assert document["cores"]["evonorm"]["when"]


def test_small_runs_leave_full_results_alone(tmp_path):
    Results(tmp_path, small=False).add(made(value=1.0))
    Results(tmp_path, small=True).add(made(value=9.0))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "some-r-cpu-2-50ghz-small.json",
        "some-r-cpu-2-50ghz.json",
    ]


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    kept = Results(tmp_path, small=False)
    kept.add(made())
    before = kept.path.read_bytes()
    monkeypatch.setattr("bench.report.json.dumps", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        kept.add(made("evonorm"))
    assert kept.path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [kept.path]


@pytest.mark.parametrize("text", ["{", "[]", '{"cores": {}}', '{"format": 0, "cores": {}}'])
def test_what_is_no_file_of_results_is_not_overwritten(text, tmp_path):
    path = tmp_path / "some-r-cpu-2-50ghz.json"
    path.write_text(text)
    with pytest.raises(ResultsError, match="move it away"):
        Results(tmp_path, small=False)
    assert path.read_text() == text


@pytest.mark.usefixtures("runs")
def test_a_run_writes_results_and_pictures(tmp_path):
    result = RUNNER.invoke(app, ["evonorm", "--output", "out"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "some-r-cpu-2-50ghz.json").is_file()
    assert (tmp_path / "out" / "some-r-cpu-2-50ghz-peers.png").read_bytes().startswith(PNG)
    assert "Absent: a peer: absent." in result.stdout


@pytest.mark.usefixtures("runs")
def test_the_default_folder_is_beside_the_benchmarks(tmp_path):
    RUNNER.invoke(app, ["evonorm", "--quick"])
    assert (tmp_path / "default" / "some-r-cpu-2-50ghz-small.json").is_file()


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("arguments", [["--no-output"], ["--output", ""]])
def test_nothing_is_written_where_nothing_is_wanted(arguments, tmp_path):
    assert RUNNER.invoke(app, ["evonorm", *arguments]).exit_code == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("folder", "sentence"), [("absent/out", "does not exist"), ("file", "is no folder")])
def test_a_folder_that_cannot_be_is_refused_before_measuring(folder, sentence, tmp_path, runs):
    (tmp_path / "file").write_text("")
    result = RUNNER.invoke(app, ["evonorm", "--output", folder], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert not runs


@pytest.mark.usefixtures("runs")
def test_a_check_names_what_fell_short():
    result = RUNNER.invoke(app, ["evonorm", "attention", "--check", "--no-output"])
    assert result.exit_code == 1
    lines = result.stderr.splitlines()[-2:]
    assert lines == [f"bench: {core}: speed: must be ≤ 2, measured 3" for core in ("evonorm", "attention")]


def test_a_quick_run_takes_every_core_but_those_that_take_minutes(runs):
    assert RUNNER.invoke(app, ["--quick", "--no-output"]).exit_code == 0
    assert set(CORES) - set(runs) <= {"gpu", "model"}
    assert "model" not in runs
    runs.clear()
    assert RUNNER.invoke(app, ["--no-output"]).exit_code == 0
    assert "model" in runs
    assert set(SIZES) == set(CORES)
