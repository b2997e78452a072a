import pytest
import torch

from bench import gpu, gpu_poisson
from bench.measure import DisagreementError
from bench.report import Settings
from fastsciml import solve_poisson

QUICK = Settings(gpu.QUICK_SIZE, quick=True, repetitions=1)


def test_without_a_device_no_figure_is_made_up(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DisagreementError, match="torch finds no CUDA device, so nothing was measured"):
        gpu.run(QUICK, lambda what: None)


def test_a_solution_is_checked_against_the_equation():
    size = 12
    f = torch.randn(size, size, size, dtype=torch.float64)
    u = solve_poisson(f, spacing=1 / size, tol=gpu_poisson.TOLERANCE).solution
    gpu_poisson.check_residual(u, f, size)
    u[3, 4, 5] += 1e-6
    with pytest.raises(DisagreementError, match=r"the solution at 12\^3 has a relative residual of"):
        gpu_poisson.check_residual(u, f, size)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="NO GPU: its benchmark is not run")
def test_a_quick_run_measures_every_kernel():
    report = gpu.run(QUICK, lambda what: None)
    assert len(report.figures) == 8
    assert report.judgements[0].verdict == "not judged"
