"""What the package logs, and that it writes nothing by itself."""

import logging
import subprocess
import sys

import numpy as np
import pytest

from fastsciml import solve_poisson
from fastsciml.files import replacing


def test_a_solve_logs_its_result_and_every_iteration(caplog):
    with caplog.at_level(logging.DEBUG, "fastsciml"):
        result = solve_poisson(np.ones((8, 8)))
    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.DEBUG] * result.iterations + [logging.INFO]
    assert f"iteration {result.iterations}: relative residual {result.residuals[-1]:.3e}" in caplog.messages
    assert f"{result.method}, {result.iterations} iterations" in caplog.messages[-1]


def test_a_file_is_logged_once_it_is_there(caplog, tmp_path):
    caplog.set_level(logging.INFO, "fastsciml")
    with replacing(tmp_path / "whole") as file:
        file.write(b"1")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "broken"):
        raise KeyboardInterrupt
    assert caplog.messages == [f"wrote {tmp_path / 'whole'}"]


@pytest.mark.parametrize(("options", "told"), [([], 0), (["-v"], 1), (["-vv"], 2)])
def test_the_command_logs_when_asked(options, told, tmp_path):
    command = [sys.executable, "-m", "fastsciml", *options, "solve", "--size", "8", "-o", "plume.npz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    assert "converged" in done.stdout
    lines = ["multigrid" in done.stderr and "wrote" in done.stderr, "iteration 1: relative residual" in done.stderr]
    assert lines == [told >= 1, told >= 2]
    assert told or done.stderr == ""
