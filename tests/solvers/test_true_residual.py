import itertools

import numpy as np
import pytest
import torch

from fastsciml import solve_poisson
from fastsciml.solvers import NotConvergedWarning, StopReason

D, N, P = "dirichlet", "neumann", "periodic"


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("boundary", [D, N, P, (D, N)], ids=str)
def test_every_entry_is_recomputed_from_the_iterate(direct, boundary, masked, dtype):
    shape, boundary = (10, 8, 12), [boundary] * 3
    problem = {"boundary": boundary, "spacing": (0.5, 1, 2), "solid": np.random.rand(*shape) < 0.2 if masked else None}
    rhs = np.random.randn(*shape).astype(dtype)
    guess = np.random.randn(*shape).astype(dtype)
    reference = direct(rhs, **problem)
    full = solve_poisson(rhs, tol=1e-4, initial_guess=guess, **problem)
    assert full.converged
    assert len(full.residuals) == full.iterations + 1
    # Rounding of A u, where u is still of the guess's size.
    tolerance = 30 * np.finfo(dtype).eps * full.residuals[0]
    for k, residual in enumerate(full.residuals):
        if k < full.iterations:
            with pytest.warns(NotConvergedWarning, match="max_iterations"):
                stopped = solve_poisson(rhs, tol=1e-4, initial_guess=guess, max_iterations=k, **problem)
            assert stopped.reason is StopReason.MAX_ITERATIONS
            assert stopped.iterations == k
            np.testing.assert_array_equal(stopped.residuals, full.residuals[: k + 1])
        else:
            stopped = full
        assert abs(reference.residual(stopped.solution) - residual) <= tolerance


def test_starts_at_one_from_zero():
    assert solve_poisson(torch.randn(9, 9, dtype=torch.float64)).residuals[0] == 1.0


@pytest.mark.filterwarnings("ignore::fastsciml.solvers.RemovedMeanWarning")
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("boundary", [D, N, P])
@pytest.mark.parametrize("shape", [(16,), (24, 16), (12, 10, 8)], ids=str)
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float32, 1e-9), (torch.float64, 1e-18)], ids=str)
def test_a_tolerance_below_rounding_is_not_claimed(dtype, tol, shape, boundary, masked):
    solid = torch.rand(shape) < 0.2 if masked else None
    with pytest.warns(NotConvergedWarning, match="rounding"):
        result = solve_poisson(torch.randn(shape, dtype=dtype), tol=tol, boundary=boundary, solid=solid)
    assert not result.converged
    assert result.reason is StopReason.ROUNDING
    assert result.residuals[-1] > tol
    assert result.residuals[-1] < 100 * torch.finfo(dtype).eps * max(shape) ** 2


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("tol", [1e-2, 1e-5, 1e-6, 1e-7, 1e-8, 1e-12, 1e-14, 1e-15, 1e-16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_converged_means_at_or_below_the_tolerance(dtype, tol):
    for shape, boundary in itertools.product([(5,), (33, 20), (9, 8, 10)], [D, N]):
        result = solve_poisson(torch.randn(shape, dtype=dtype), tol=tol, boundary=boundary)
        assert result.converged == (result.residuals[-1] <= tol) == (result.reason is StopReason.CONVERGED)


def test_no_iteration_allowed():
    with pytest.warns(NotConvergedWarning):
        result = solve_poisson(torch.ones(4, 4), max_iterations=0)
    assert not result.converged
    assert result.iterations == 0
    assert not result.solution.any()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("boundary", [D, N, P])
@pytest.mark.parametrize("guess", [None, torch.ones(6, 8)], ids=["from zero", "from a guess"])
def test_a_zero_right_hand_side_needs_no_iteration(guess, boundary, masked):
    solid = torch.rand(6, 8) < 0.3 if masked else None
    result = solve_poisson(torch.zeros(6, 8), boundary=boundary, solid=solid, initial_guess=guess)
    assert result.converged
    assert result.iterations == 0
    assert result.residuals.tolist() == [0.0]
    assert torch.equal(result.solution, torch.zeros(6, 8))


def test_one_sample_above_tolerance_fails_the_batch():
    rhs = torch.randn(3, 8, 8, dtype=torch.float64)
    rhs[::2] = 0
    with pytest.warns(NotConvergedWarning):
        result = solve_poisson(rhs, dims=2, max_iterations=1, method="multigrid")
    assert not result.converged
    assert result.reason is StopReason.MAX_ITERATIONS


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("tol", [1e-13, 3e-14, 1e-14, 1e-15])
@pytest.mark.parametrize("method", ["multigrid", "fft"])
def test_converged_is_what_is_returned_where_means_are_removed(method, tol):
    shape = (24, 20, 16)
    for scale in (1.0, 0.3):
        rhs = torch.randn(shape, dtype=torch.float64)
        result = solve_poisson(rhs, boundary=N, spacing=scale, method=method, tol=tol)
        u = result.solution
        residual = rhs - rhs.mean()
        for axis, n in enumerate(shape):
            flux = u.diff(dim=axis) / scale**2
            residual.narrow(axis, 0, n - 1).add_(flux)
            residual.narrow(axis, 1, n - 1).sub_(flux)
        # Both residuals round their six differences.
        assert float(residual.norm() / rhs.norm()) == pytest.approx(result.residuals[-1], abs=3e-16)
        assert result.converged == (result.residuals[-1] <= tol)
