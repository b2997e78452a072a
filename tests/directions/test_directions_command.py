import csv
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from typer.testing import CliRunner

from fastsciml.cli import app
from fastsciml.directions import load_direction
from fastsciml.directions.weights import described_direction

DATA = ["--problem", "box", "--size", 8, "--ritz", 20, "--count", 12, "--validation", 4]
TINY = [*DATA, "--set", "channels=2", "--set", "layers=[1, 1, 1]", "--batch", 4, "--rate", 3e-3, "--threads", 1]
FILES = {"checkpoint.safetensors", "log.csv", "direction.safetensors", "picture.png"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, one_thread):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


def dcdm(*arguments):
    return CliRunner().invoke(app, ["dcdm", *map(str, arguments)])


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_run_writes_network_log_and_picture(folder):
    result = dcdm("train", "-o", "run", *TINY, "--epochs", 3)
    assert result.exit_code == 0, result.output
    assert {path.name for path in (folder / "run").iterdir()} == {*FILES, "data"}
    assert (folder / "run" / "picture.png").read_bytes().startswith(b"\x89PNG")
    log = rows(folder / "run" / "log.csv")
    assert [row["epoch"] for row in log] == ["1", "2", "3"]
    assert {"loss", "validation_loss", "seconds"} < set(log[0])
    network = load_direction("run/direction.safetensors", dims=3)
    assert network(torch.randn(1, 1, 9, 9, 9)).shape == (1, 1, 9, 9, 9)
    about = described_direction("run/direction.safetensors")[0]["about"]
    assert about["settings"]["problem"] == "box"
    best = min(float(row["validation_loss"]) for row in log)
    assert about["validation_loss"] == pytest.approx(best, rel=1e-5)
    assert f"Best validation loss {best:.4g}" in result.stdout


def test_generated_data_are_trained_on(folder):
    assert dcdm("generate", "-o", "data", *DATA).exit_code == 0
    stamps = {path: path.stat().st_mtime_ns for path in (folder / "data").rglob("*")}
    assert dcdm("train", "-o", "run", "--data", "data", *TINY, "--epochs", 1).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in (folder / "data").rglob("*")} == stamps
    assert {path.name for path in (folder / "run").iterdir()} == FILES
    other = dcdm("train", "-o", "other", "--data", "data", *TINY, "--seed", 1)
    assert other.exit_code == 2
    assert "holds other data" in other.output


def test_planes_geometries_and_precisions(folder):
    options = ["--problem", "obstacles", "--geometries", 2, "--dims", 2, "--size", 16, "--amp", "bfloat16"]
    result = dcdm("train", "-o", "run", *TINY, *options, "--epochs", 2, "--schedule", "cosine", "--patience", 0)
    assert result.exit_code == 0, result.output
    assert {path.name for path in (folder / "run" / "data").iterdir()} == {"geometry-0", "geometry-1"}


def test_run_goes_on_only_when_told_to_and_as_it_was(folder):
    assert dcdm("train", "-o", "run", *TINY, "--epochs", 2).exit_code == 0
    refused = dcdm("train", "-o", "run", *TINY, "--epochs", 2)
    assert refused.exit_code == 2
    assert "--resume goes on with it" in refused.output
    other = dcdm("train", "-o", "run", *TINY, "--epochs", 2, "--batch", 3, "--resume")
    assert other.exit_code == 2
    assert "holds another run: batch 4 instead of 3" in other.output
    assert dcdm("train", "-o", "run", *TINY, "--epochs", 2, "--resume").exit_code == 0


def test_training_begins_with_weights_of_another_grid(folder):
    assert dcdm("train", "-o", "coarse", *TINY, "--epochs", 1).exit_code == 0
    finer = [*TINY, "--size", 10, "--epochs", 1, "--rate", 1e-9, "--start", "coarse/direction.safetensors"]
    result = dcdm("train", "-o", "fine", *finer)
    assert result.exit_code == 0, result.output
    first, last = (load_direction(f"{run}/direction.safetensors").state_dict() for run in ("coarse", "fine"))
    for name in first:
        torch.testing.assert_close(last[name], first[name], atol=1e-6, rtol=0)
    other = dcdm("train", "-o", "other", *finer, "--set", "channels=3")
    assert other.exit_code == 2
    assert "is of another architecture" in other.output


@pytest.mark.slow
def test_interrupted_run_goes_on(folder):
    command = [sys.executable, "-m", "fastsciml", "dcdm", "train", "-o", "run", *map(str, TINY), "--epochs", "100000"]
    run = subprocess.Popen([*command, "--patience", "0"], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (folder / "run" / "log.csv").exists() and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGINT)
    _, told = run.communicate(timeout=60)
    assert run.returncode == 130, told
    assert "--resume goes on from there" in told
    assert (folder / "run" / "checkpoint.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--network", "unet"], "network must be one of dcdm-64, dcdm-128, multigrid"),
        (["--problem", "sphere"], "problem must be one of plume, plume-empty, box, ball, obstacles"),
        (["--start", "none"], "there is no file none, nor a network of this name"),
        (["--set", "channels"], "--set must be NAME=VALUE"),
        (["--set", "depth=3"], "cannot be made of"),
        (["--set", "channels=0"], "channels must be a positive whole number"),
        (["--size", 2], "size must be at least 4"),
        (["--dims", 4], "dims must be one of 2, 3"),
        (["--geometries", 2], 'geometries are of "obstacles"'),
        (["--ritz", 513], "ritz must be at most the problem's 512 unknowns"),
        (["--low-share", 1.1], "low_share must lie between 0 and 1"),
        (["--count", 0], "count must be positive"),
        (["--rate", 0], "rate must be positive"),
        (["--patience", -1], "patience must be positive"),
        (["--seed", -1], "seed must not be negative"),
        (["--device", "nowhere"], "--device nowhere cannot be used"),
        (["--threads", 0], "--threads"),
        (["--schedule", "step"], "--schedule"),
        (["--amp", "float16"], "--amp"),
        (["--epochs", "many"], "--epochs"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, list) else "",
)
def test_bad_input_is_told_in_a_sentence(folder, options, sentence):
    result = dcdm("train", "-o", "run", *TINY, *options)
    assert result.exit_code == 2, result.output
    assert sentence in result.output
    assert not (folder / "run" / "checkpoint.safetensors").exists()
