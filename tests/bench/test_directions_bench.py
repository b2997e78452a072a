from dataclasses import replace

import pytest
import torch

from bench import directions, directions_step, limits
from bench.directions_peers import Deflation, incomplete_cholesky, untrained_convolution
from bench.report import Settings
from fastsciml import LearnedDirections, PoissonSolver
from fastsciml.data import smoke_plume

TINY = Settings(size=16, quick=True, repetitions=1)


@pytest.fixture
def _cheap(monkeypatch):
    monkeypatch.setattr(limits, "ELEMENTS", 1 << 10)
    monkeypatch.setattr(directions_step, "ROUNDS_EACH", 1)
    monkeypatch.setattr(directions, "UNSEEN", range(1000, 1002))
    monkeypatch.setattr(directions, "FULL_SIZE", 16)


@pytest.mark.usefixtures("_cheap")
def test_a_small_run_measures_everything():
    report = directions.run(replace(TINY, quick=False), lambda what: None)
    assert all(figures.rows for figures in report.figures)
    assert {figures.title for figures in report.figures} >= {
        "Smoke plume, 8^3, no obstacle",
        "Smoke plume, 16^3, with its ball",
    }
    verdicts = {judgement.target: judgement.verdict for judgement in report.judgements}
    assert len(verdicts) == 8
    assert verdicts[directions.EXTRA] == "met"
    assert {verdicts[target] for target in (directions.SECONDS, directions.SLOWER, directions.FEWER)} <= {
        "met",
        "missed",
    }


def plume(n):
    made = smoke_plume((n, n, n))
    problem = {"spacing": made.spacing, "boundary": made.boundary, "solid": made.solid}
    return made, problem, torch.from_numpy(made.rhs).double()


def iterations(problem, f, network, guess=None):
    solver = PoissonSolver(f.shape, **problem, method=LearnedDirections(network, 1, fallback=None))
    result = solver.solve(f, tol=1e-8, max_iterations=500, initial_guess=guess)
    assert result.converged
    return result.iterations


def test_deflation_saves_iterations():
    _, problem, f = plume(24)
    deflation = Deflation(PoissonSolver(f.shape, **problem, method="multigrid"))
    guess = deflation.first_guess(f)
    assert iterations(problem, f, directions.Map(deflation), guess) < 0.8 * iterations(problem, f, torch.nn.Identity())


def test_an_incomplete_factorisation_saves_iterations():
    pytest.importorskip("ilupp")
    made, problem, f = plume(16)
    network = incomplete_cholesky(PoissonSolver(f.shape, **problem, method="multigrid"), made.solid)
    assert iterations(problem, f, network) < 0.5 * iterations(problem, f, torch.nn.Identity())


def test_the_untrained_network_is_of_no_use():
    _, problem, f = plume(16)
    solver = PoissonSolver(f.shape, **problem, method=LearnedDirections(untrained_convolution()))
    result = solver.solve(f, tol=1e-8)
    assert result.converged
    assert result.learned < result.iterations
