import csv
import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from fastsciml.cli import app
from fastsciml.incontext.run import load

SMALL = ["--x-dim", 3, "--examples", 5, "--batch", 16, "--steps", 40, "--threads", 1]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


def icl(*arguments):
    return CliRunner().invoke(app, ["icl", *map(str, arguments)])


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--layers", 2, "--looped", "--learner", "softmax"),
        ("--task", "sine", "--features", "8,8", "--x-dim", 1),
        ("--learner", "transformer", "--width", 8, "--noise", 0.5),
        ("--task", "teacher", "--learner", "descent++", "--layers", 2),
    ],
    ids=lambda options: "-".join(map(str, options)) or "default",
)
def test_run_writes_weights_log_comparison_and_picture(folder, options):
    result = icl("train", "-o", "run", *SMALL, *options)
    assert result.exit_code == 0, result.output
    assert {path.name for path in (folder / "run").iterdir()} == {
        "checkpoint.safetensors",
        "log.csv",
        "comparison.csv",
        "picture.png",
    }
    log = rows(folder / "run" / "log.csv")
    assert [int(row["step"]) for row in log] == list(range(1, 41))
    assert float(log[-1]["validation_loss"]) > 0
    names = [row["name"] for row in rows(folder / "run" / "comparison.csv")]
    assert all(name in result.stdout for name in names)
    assert (folder / "run" / "picture.png").read_bytes().startswith(b"\x89PNG")
    experiment, _ = load(folder / "run")
    assert experiment.steps == 40


def test_runs_are_compared_by_depth_and_noise(folder):
    for layers, noise in ((1, 0), (2, 0), (2, 1)):
        made = icl(
            "train", "-o", f"{layers}-{noise}", *SMALL, "--learner", "transformer", "--width", 8, "--layers", layers,
            "--noise", noise, "--x", "normal",
        )  # fmt: skip
        assert made.exit_code == 0, made.output
    result = icl("compare", "2-1", "1-0", "2-0", "-o", "all.png")
    assert result.exit_code == 0, result.output
    table = rows(folder / "all.csv")
    assert [row["learner"] for row in table] == [
        "transformer, 1 layer, noise 0",
        "transformer, 2 layers, noise 0",
        "transformer, 2 layers, noise 1",
    ]
    assert all(row["nearest"] for row in table)
    assert (folder / "all.png").read_bytes().startswith(b"\x89PNG")


def test_killed_run_goes_on_from_its_checkpoint(folder):
    command = [sys.executable, "-m", "fastsciml", "icl", "train", "-o", "run", *map(str, SMALL)]
    command += ["--steps", "100000", "--log-every", "10", "--checkpoint-every", "10"]
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        process = subprocess.Popen([*command, "--resume"], stderr=subprocess.PIPE, text=True)
        before = steps_in(folder)
        deadline = time.monotonic() + 60
        while steps_in(folder) <= before + 10:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, number)
        _, stderr = process.communicate()
        assert process.returncode == code
    assert "--resume goes on from there" in stderr


def steps_in(folder):
    log = folder / "run" / "log.csv"
    return int(rows(log)[-1]["step"]) if log.exists() else 0


def test_another_experiment_in_the_folder_is_refused(folder):
    assert icl("train", "-o", "run", *SMALL).exit_code == 0
    again = icl("train", "-o", "run", *SMALL)
    assert (again.exit_code, again.stdout) == (2, "")
    assert "run holds a run already" in again.stderr
    other = icl("train", "-o", "run", *SMALL, "--resume", "--layers", 2)
    assert other.exit_code == 2
    assert "another experiment: layers 1 instead of 2" in other.stderr
    same = icl("train", "-o", "run", *SMALL, "--resume")
    assert same.exit_code == 0, same.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("train", "--layers", 0), "layers must be positive, got 0"),
        (("train", "--features", "8,a"), "--features must be whole numbers"),
        (("train", "--device", "nowhere"), "--device nowhere cannot be used"),
        (("train", "--task", "sine", "--x-dim", 2), "must be 1 for sine waves"),
        (("compare", "nothing"), "there is no checkpoint nothing"),
        (("compare", "nothing", "-o", "a.pdf"), "--output must end in .png"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(folder, arguments, sentence):
    result = icl(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(folder.iterdir())
