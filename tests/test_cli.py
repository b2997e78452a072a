import os
import re
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import fastsciml
from fastsciml.cli import app
from fastsciml.data import manufactured

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A fresh working folder for every test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def _run(*arguments):
    return RUNNER.invoke(app, [str(argument) for argument in arguments])


def _refusal(result):
    """The one sentence a refusal consists of."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line.startswith("fastsciml: ")]
    assert len(lines) == 1
    assert "Traceback" not in result.stderr
    assert lines[0].endswith(".")
    return lines[0]


def test_built_in_plume_is_solved_and_drawn(folder):
    result = _run("solve", "--size", 16)
    assert result.exit_code == 0, result.output
    assert {path.name for path in folder.iterdir()} == {"smoke_plume.npz", "smoke_plume.png"}
    assert (folder / "smoke_plume.png").read_bytes().startswith(b"\x89PNG")
    for text in ("unknowns", "16 × 16 × 16", "neumann below, dirichlet above", "converged"):
        assert text in result.stdout
    with np.load(folder / "smoke_plume.npz", allow_pickle=False) as stored:
        solution = stored["solution"]
        before, after = stored["largest_divergence"]
        assert stored["converged"]
        assert stored["residuals"][-1] <= 1e-8
        assert stored["unknowns"] == np.sum(~stored["solid"])
    assert solution.shape == (16, 16, 16)
    assert solution.dtype == np.float64
    assert after < 1e-6 * before


@pytest.mark.parametrize("shape", [(24, 20), (12, 10, 14)])
@pytest.mark.parametrize(("dtype", "tol"), [("float32", 1e-5), ("float64", 1e-10)])
def test_own_problem_from_files(folder, shape, dtype, tol):
    boundary = [("dirichlet", "neumann"), ("periodic",) * 2, ("neumann", "dirichlet")]
    boundary = boundary[: len(shape)]
    rhs, exact = manufactured(shape, boundary)
    np.save("f.npy", rhs)
    options = [f"--boundary={axis}={','.join(p)}" for axis, p in zip("xyz", boundary, strict=False)]
    spacing = ",".join(str(1 / n) for n in shape)
    result = _run(
        "solve", "--rhs", "f.npy", "--spacing", spacing, "--dtype", dtype, "--tol", tol,
        "-o", "u.npz", "--plot", "u.png", *options,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert (folder / "u.png").read_bytes().startswith(b"\x89PNG")
    with np.load("u.npz", allow_pickle=False) as stored:
        assert stored["solution"].dtype == dtype
        assert abs(stored["solution"] - exact).max() < 0.1 * abs(exact).max()
        np.testing.assert_allclose(stored["spacing"], [1 / n for n in shape])
        assert [tuple(pair) for pair in stored["boundary"]] == boundary
        assert stored["residuals"].shape == (stored["iterations"] + 1,)
        assert stored["residuals"][-1] <= tol == stored["tolerance"]
        assert stored["seconds_solve"] > 0
        assert str(stored["reason"])


def test_mask_reaches_the_solver(folder):
    solid = np.zeros((12, 12), dtype=bool)
    solid[4:8, 5:9] = True
    np.save("f.npy", np.ones((12, 12)))
    np.save("m.npy", solid)
    result = _run("solve", "--rhs", "f.npy", "--solid", "m.npy")
    assert result.exit_code == 0, result.output
    assert {path.name for path in folder.iterdir()} == {"f.npy", "m.npy", "solution.npz"}
    with np.load("solution.npz", allow_pickle=False) as stored:
        assert not stored["solution"][solid].any()
        assert stored["solution"][~solid].min() > 0
        np.testing.assert_array_equal(stored["solid"], solid)
        assert stored["unknowns"] == 144 - 16


def test_giving_up_ends_with_one_and_keeps_the_result(folder):
    np.save("f.npy", np.random.default_rng(0).standard_normal((31, 37)))  # lengths that no transform takes
    result = _run("solve", "--rhs", "f.npy", "--max-iterations", 1, "--tol", 1e-13)
    assert result.exit_code == 1
    assert "not converged" in result.stdout
    assert "fastsciml: " in result.stderr
    with np.load("solution.npz", allow_pickle=False) as stored:
        assert not stored["converged"]
        assert stored["iterations"] == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--rhs", "missing.npy"], "no file missing.npy"),
        (["--rhs", "text.npy"], "text.npy is not a .npy file"),
        (["--rhs", "f.npy", "--solid", "wide.npy"], "wide.npy has shape (9, 8)"),
        (["--rhs", "f.npy", "--solid", "full.npy"], "no cell with an unknown"),
        (["--rhs", "nan.npy"], "NaN"),
        (["--rhs", "f.npy", "--boundary", "robin"], "'robin'"),
        (["--rhs", "f.npy", "--boundary", "z=neumann"], "--boundary z=neumann names no axis"),
        (["--rhs", "f.npy", "--spacing", "1,x"], "--spacing must be"),
        (["--rhs", "f.npy", "--spacing", "-1"], "spacing must be positive"),
        (["--rhs", "f.npy", "--tol", "0"], "--tol must lie between 0 and 1"),
        (["--rhs", "f.npy", "--size", "8"], "--size"),
        (["--boundary", "neumann"], "--boundary needs a right-hand side"),
        (["--rhs", "f.npy", "-o", "out.npy"], "--output must end in .npz"),
        (["--rhs", "f.npy", "-o", "absent/out.npz"], "the folder absent"),
        (["--rhs", "f.npy", "--plot", "out.jpg"], "--plot must end in .png or .pdf or .svg"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(folder, arguments, sentence):
    np.save("f.npy", np.ones((8, 8)))
    np.save("wide.npy", np.zeros((9, 8), dtype=bool))
    np.save("full.npy", np.ones((8, 8), dtype=bool))
    np.save("nan.npy", np.full((8, 8), np.nan))
    (folder / "text.npy").write_text("1 2 3")
    before = set(folder.iterdir())
    assert sentence in _refusal(_run("solve", *arguments))
    assert set(folder.iterdir()) == before


@pytest.mark.parametrize("arguments", [["--dtype", "int8"], ["--size", "2"], ["--tol", "small"], ["--threads", "0"]])
def test_malformed_options_end_with_two(folder, arguments):
    assert _run("solve", *arguments).exit_code == 2
    assert not list(folder.iterdir())


def test_a_failed_write_leaves_the_old_result_alone(folder, monkeypatch):
    (folder / "out.npz").write_bytes(b"old")

    def half_a_write(file, **arrays):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", half_a_write)
    result = _run("solve", "--size", 8, "-o", "out.npz")
    assert result.exit_code == 1
    assert "fastsciml: No space left on device." in result.stderr
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("out.npz", b"old")]


def test_interruption_ends_with_130_and_writes_nothing(folder):
    """A real process that gets a real signal in the middle of its iteration."""
    script = (
        "import os, signal, time, fastsciml.cli\n"
        "class Interrupting(fastsciml.cli.ResidualBar):\n"
        "    def __call__(self, iteration, residual):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(30)\n"
        "fastsciml.cli.ResidualBar = Interrupting\n"
        "fastsciml.cli.app()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, "solve", "--size", "16"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 130, result.stderr
    assert "fastsciml: interrupted." in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(folder.iterdir())


def test_command_runs_as_a_process(folder):
    environment = os.environ | {"COLUMNS": "100"}
    result = subprocess.run(
        [sys.executable, "-m", "fastsciml", "solve", "--size", "8", "--threads", "1"],
        capture_output=True, text=True, timeout=120, check=False, env=environment,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert re.search(r"threads, SIMD\W+1, ", result.stdout)
    assert (folder / "smoke_plume.npz").exists()


def test_config_prints_the_configuration():
    result = _run("config")
    assert result.exit_code == 0
    assert result.stdout.strip() == str(fastsciml.show_config()).strip()


def test_version_is_told():
    result = _run("--version")
    assert result.exit_code == 0
    assert re.fullmatch(r"fastsciml \d+\.\d+\S*\n", result.stdout)
