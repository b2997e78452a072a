import numpy as np
import pytest
import torch

from fastsciml import solve_poisson
from fastsciml.solvers import NotConvergedWarning


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning")
@pytest.mark.parametrize("masked", [False, True])
def test_progress_is_called_after_each_iteration(masked):
    steps = []
    solid = torch.rand(20, 24) < 0.2 if masked else None
    result = solve_poisson(torch.randn(20, 24), solid=solid, tol=1e-5, progress=lambda *step: steps.append(step))
    assert [iteration for iteration, _ in steps] == list(range(1, result.iterations + 1))
    assert [residual for _, residual in steps] == result.residuals[1:].tolist()


def test_progress_of_a_batch_starts_again_with_each_sample():
    steps = []
    rhs = torch.randn(3, 12, 12, dtype=torch.float64)
    result = solve_poisson(rhs, dims=2, progress=lambda iteration, residual: steps.append(residual))
    histories = result.residuals[1:].T
    assert steps == histories[~np.isnan(histories)].tolist()


def test_true_shows_a_bar_on_a_terminal_and_false_nothing(capfd, monkeypatch):
    solve_poisson(torch.randn(8, 8, dtype=torch.float64), progress=False)
    assert capfd.readouterr() == ("", "")
    solve_poisson(torch.randn(8, 8, dtype=torch.float64), progress=True)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes the stream for a terminal
    solve_poisson(torch.randn(8, 8, dtype=torch.float64), progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "iteration" in err


def test_a_result_prints_as_one_line():
    result = solve_poisson(torch.randn(10, 10, 20, dtype=torch.float64))
    line = str(result)
    assert "\n" not in line
    for part in (
        "2,000 unknowns",
        f"{result.iterations} iterations",
        f"{result.residuals[-1]:.2e}",
        " s ",
        "converged",
    ):
        assert part in line


def test_a_result_without_convergence_says_what_to_do():
    with pytest.warns(NotConvergedWarning, match="max_iterations: raise it") as caught:
        result = solve_poisson(torch.randn(10, 10), max_iterations=1)
    assert "max_iterations: raise it" in str(result)
    assert caught[0].filename == __file__


def test_a_batch_prints_its_worst_residual():
    rhs = torch.stack([torch.zeros(8, 8), torch.randn(8, 8)])
    with pytest.warns(NotConvergedWarning):
        result = solve_poisson(rhs, dims=2, max_iterations=1)
    assert f"{result.residuals[-1, 1]:.2e}" in str(result)


def test_seconds_add_up():
    seconds = solve_poisson(torch.randn(8, 8, dtype=torch.float64)).seconds
    assert 0 < seconds.setup < seconds.total
    assert seconds.total == seconds.setup + seconds.solve
