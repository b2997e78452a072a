import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fastsciml.cli import app
from fastsciml.data import OperatorData, load_operator_data
from fastsciml.operators import RelativeH1, RelativeL2, load_model
from fastsciml.operators.run import settings_of

MODEL = ["--width", 4, "--layers", 2, "--levels", 3]
SMALL = [*MODEL, "--epochs", 3, "--rate", 1e-2, "--threads", 1]
DATA = ["--data", "data.npz", "--test", 4]
FILES = {"checkpoint.safetensors", "log.csv", "model.safetensors", "model.json", "picture.png", "loss.png"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


@pytest.fixture
def data(folder):
    assert mgno("generate", "darcy-rough", "--samples", 12, "--resolution", 9, "--refine", 1).exit_code == 0
    return load_operator_data("data.npz")


def mgno(*arguments):
    return CliRunner().invoke(app, ["mgno", *map(str, arguments)])


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "options",
    [
        (),
        (
            "--preset",
            "darcy-multiscale",
            "--set",
            "post=[1, 0, 0]",
            "--set",
            "activation=relu",
            "--loss",
            "l2",
            "--amp",
            "bfloat16",
            "--checkpoint-gradients",
            "--clip",
            1,
        ),
        ("--boundary", "periodic", "--periodic", "--normalise-y", "point", "--optimizer", "adamw", "--side", 1),
    ],
    ids=lambda options: "-".join(map(str, options)) or "default",
)
def test_run_writes_model_log_and_pictures(folder, data, options):
    result = mgno("train", "-o", "run", *DATA, *SMALL, *options)
    assert result.exit_code == 0, result.output
    assert {path.name for path in (folder / "run").iterdir()} == FILES
    assert is_png(folder / "run" / "picture.png")
    assert is_png(folder / "run" / "loss.png")
    log = rows(folder / "run" / "log.csv")
    assert [int(row["epoch"]) for row in log] == [1, 2, 3]
    operator = load_model("run")
    if "--set" in options:
        arguments = json.loads((folder / "run" / "model.json").read_text())["model"]["arguments"]
        assert (arguments["post"], arguments["activation"]) == ([1, 0, 0], "relu")
    with torch.no_grad():
        error = float(RelativeL2()(operator(data.x[-4:]), data.y[-4:]))
    assert error == pytest.approx(float(log[-1]["test_l2"]), rel=1e-4)
    assert f"{error:.3%} in L2" in result.stdout


def test_trained_model_predicts_and_tells_errors(folder, data):
    assert mgno("train", "-o", "run", *DATA, *SMALL, "--side", 3).exit_code == 0
    result = mgno("predict", "run", "--data", "data.npz", "-o", "p.npz", "--plot", "p.png")
    assert result.exit_code == 0, result.output
    with np.load("p.npz") as found:
        prediction, y = (torch.from_numpy(found[name]) for name in ("prediction", "y"))
        assert y.equal(data.y)
        for name, loss in (("l2", RelativeL2()), ("h1", RelativeH1(3.0))):
            torch.testing.assert_close(torch.from_numpy(found[name]), loss.per_sample(prediction, y))
            assert f"{loss(prediction, y):.3%} in {name.upper()}" in result.stdout
    with torch.no_grad():
        torch.testing.assert_close(prediction, load_model("run")(data.x))
    assert is_png(folder / "p.png")


def test_y_is_not_needed_to_predict_nor_the_grid_of_training(folder, data):
    assert mgno("train", "-o", "run", *DATA, *SMALL).exit_code == 0
    np.savez("x.npz", x=np.random.rand(5, 17, 12).astype(np.float32))
    result = mgno("predict", "run", "--data", "x.npz", "-o", "p.npz", "--plot", "p.png")
    assert result.exit_code == 0, result.output
    with np.load("p.npz") as found:
        assert found["prediction"].shape == (5, 1, 17, 12)
        assert "y" not in found
    assert "no y" in result.stdout
    assert is_png(folder / "p.png")


def test_model_of_single_steps_predicts_a_trajectory(folder):
    x = torch.randn(8, 1, 8, 8)
    OperatorData(x, torch.cat([x.roll(k, 2) for k in (1, 2, 3)], 1)).save("flow.npz")
    assert mgno("train", "-o", "run", "--data", "flow.npz", "--test", 2, "--one-step", *SMALL).exit_code == 0
    assert mgno("predict", "run", "--data", "flow.npz", "-o", "p.npz", "--plot", "p.png").exit_code == 0
    operator = load_model("run")
    with np.load("p.npz") as found, torch.no_grad():
        twice = operator(operator(x))
        torch.testing.assert_close(torch.from_numpy(found["prediction"][:, 1:2]), twice)
        assert found["y"].shape == found["prediction"].shape == (8, 3, 8, 8)
    result = mgno("predict", "run", "--data", "flow.npz", "-o", "p.npz", "--steps", 2)
    assert result.exit_code == 0, result.output
    with np.load("p.npz") as found:
        assert found["y"].shape == found["prediction"].shape == (8, 2, 8, 8)


def test_slopes_are_periodic_where_the_model_is(folder, data):
    for options, periodic in ((("--boundary", "periodic"), True), ((), False), (("--periodic",), True)):
        name = "-".join(options) or "run"
        assert mgno("train", "-o", name, *DATA, *SMALL, "--epochs", 1, *options).exit_code == 0
        assert settings_of(name).training.periodic is periodic


def test_data_are_generated_into_the_run(folder):
    made = ["--generate", "darcy-smooth", "--samples", 8, "--test", 3, "--resolution", 9, "--refine", 1]
    result = mgno("train", "-o", "run", *made, *SMALL)
    assert result.exit_code == 0, result.output
    assert {path.name for path in (folder / "run").iterdir()} == FILES | {"data.npz"}
    assert len(load_operator_data("run/data.npz")) == 8


def test_generating_again_makes_nothing_and_other_data_are_refused(folder, data):
    before = (folder / "data.npz").stat().st_mtime_ns
    again = mgno("generate", "darcy-rough", "--samples", 12, "--resolution", 9, "--refine", 1)
    assert again.exit_code == 0
    assert (folder / "data.npz").stat().st_mtime_ns == before
    other = mgno("generate", "darcy-rough", "--samples", 12, "--resolution", 9, "--refine", 1, "--seed", 1)
    assert other.exit_code == 2
    assert "must not hold other data" in other.stderr


def test_killed_and_interrupted_runs_go_on(folder, data):
    options = [*DATA, *MODEL, "--rate", 1e-2, "--threads", 1, "--epochs", 100]
    command = [sys.executable, "-m", "fastsciml", "mgno", "train", "-o", "run", *map(str, options)]
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        process = subprocess.Popen([*command, "--resume"], stderr=subprocess.PIPE, text=True)
        before = epochs_in(folder)
        deadline = time.monotonic() + 60
        while epochs_in(folder) <= before + 3:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, number)
        _, stderr = process.communicate()
        assert process.returncode == code, stderr
    assert "--resume goes on from there" in stderr
    before = epochs_in(folder)
    assert mgno("train", "-o", "run", *options, "--resume", "--minutes", 0).exit_code == 0
    assert epochs_in(folder) == before + 1


def epochs_in(folder):
    log = folder / "run" / "log.csv"
    return int(rows(log)[-1]["epoch"]) if log.exists() else 0


def test_minutes_end_the_run_early_and_it_can_go_on(folder, data):
    result = mgno("train", "-o", "run", *DATA, *SMALL, "--minutes", 0)
    assert result.exit_code == 0, result.output
    assert "--minutes are over after 1 of 3 epochs" in result.stdout
    assert is_png(folder / "run" / "picture.png")
    rest = mgno("train", "-o", "run", *DATA, *SMALL, "--resume")
    assert rest.exit_code == 0
    assert len(rows(folder / "run" / "log.csv")) == 3


def test_loss_that_is_not_finite_fails_in_one_sentence(folder, data):
    result = mgno("train", "-o", "run", *DATA, *MODEL, "--rate", 1e30, "--epochs", 3)
    assert result.exit_code == 1
    assert "the loss is no longer finite in epoch" in result.stderr
    assert "Traceback" not in result.stderr


def test_another_run_in_the_folder_is_refused(folder, data):
    assert mgno("train", "-o", "run", *DATA, *SMALL).exit_code == 0
    again = mgno("train", "-o", "run", *DATA, *SMALL)
    assert (again.exit_code, again.stdout) == (2, "")
    assert "run holds a run already" in again.stderr
    for options, sentence in (
        (("--rate", 1), "another run: rate 0.01 instead of 1"),
        (("--layers", 3), "another run: changes"),
        (("--train", 2), "another run: train None instead of 2"),
    ):
        other = mgno("train", "-o", "run", *DATA, *SMALL, "--resume", *options)
        assert other.exit_code == 2
        assert sentence in other.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("train",), "give one of data and generate"),
        (("train", "--data", "nothing.npz"), "there is no file nothing.npz"),
        (("train", *DATA, "--preset", "other"), "name must be one of darcy-smooth"),
        (("train", *DATA, "--set", "deepness=1"), "MgNO has no deepness"),
        (("train", *DATA, "--set", "deepness"), "--set must be NAME=VALUE, got 'deepness'"),
        (("train", *DATA, "--width", 0), "width must be positive"),
        (("train", *DATA, "--amp", "float16"), "float16 is for CUDA"),
        (("train", *DATA, "--device", "nowhere"), "--device nowhere cannot be used"),
        (("train", *DATA, "--test", 12), "too few to train on some and test on 12 others"),
        (("train", "--generate", "stokes"), "problem must be one of darcy-smooth"),
        (("train", "--generate", "darcy-rough", "--samples", 3), "samples must be more than are tested on"),
        (("train", "--data", "broken.npz", "--test", 4), "x of the training data is NaN or infinite in sample 2"),
        (("predict", "nothing", "--data", "data.npz"), "nothing holds no trained model: there is no model.json"),
        (("predict", "nothing", "--data", "data.npz", "-o", "p.npy"), "--output must end in .npz"),
        (("predict", "nothing", "--data", "data.npz", "--plot", "no/p.png"), "the folder no, which does not exist"),
        (("generate", "stokes"), "problem must be one of darcy-smooth"),
        (("generate", "darcy-rough", "--resolution", 1), "resolution must be at least 3"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(folder, data, arguments, sentence):
    x = data.x.clone()
    x[2, 0, 3, 4] = torch.nan
    OperatorData(x, data.y).save("broken.npz")
    before = sorted(folder.iterdir())
    result = mgno(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(folder.iterdir()) == before


def test_broken_models_are_refused(folder, data):
    assert mgno("train", "-o", "run", *DATA, *SMALL, "--epochs", 1).exit_code == 0
    for name in ("model.json", "model.safetensors"):
        whole = (folder / "run" / name).read_bytes()
        for content in (b"", b"{}", whole[:100]):
            (folder / "run" / name).write_bytes(content)
            with pytest.raises(ValueError, match="run holds no whole trained model"):
                load_model("run")
        (folder / "run" / name).write_bytes(whole)
    told = json.loads((folder / "run" / "model.json").read_text())
    told["model"]["arguments"]["width"] = 5
    (folder / "run" / "model.json").write_text(json.dumps(told))
    refused = mgno("predict", "run", "--data", "data.npz")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "is of another architecture: it has" in refused.stderr
