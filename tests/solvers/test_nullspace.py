import warnings

import numpy as np
import pytest
import torch

from fastsciml import solve_poisson
from fastsciml.solvers import RemovedMeanWarning

FREE = ["neumann", "periodic", ["periodic", "neumann"]]
DTYPES = [torch.float32, torch.float64]


def solve(rhs, **arguments):
    return solve_poisson(rhs, tol=1e-4, **arguments)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("boundary", FREE, ids=str)
def test_the_mean_is_removed_kept_and_told(boundary, dtype):
    rhs = torch.randn(12, 10, dtype=dtype)
    rhs += 2.5 - rhs.mean()
    with pytest.warns(RemovedMeanWarning, match="removed the mean 2.5"):
        result = solve(rhs, boundary=boundary)
    assert result.converged
    assert result.removed_mean == pytest.approx(float(rhs.mean()), rel=1e-6)
    assert abs(result.solution.mean()) < 1e-6
    centred = rhs - rhs.mean(dtype=torch.float64).to(dtype)
    torch.testing.assert_close(solve(centred, boundary=boundary).solution, result.solution)


@pytest.mark.parametrize("boundary", FREE, ids=str)
def test_raise_names_the_mean(boundary):
    with pytest.raises(ValueError, match=r"the mean 2\.5 "):
        solve(torch.full((6, 4), 2.5), boundary=boundary, nullspace="raise")


@pytest.mark.parametrize("nullspace", ["project", "raise"])
@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e20])
@pytest.mark.parametrize("dtype", DTYPES)
def test_rounding_is_no_mean(dtype, scale, nullspace):
    rhs = torch.randn(40, 50, dtype=dtype)
    rhs = (rhs - rhs.mean()) * scale
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = solve(rhs, boundary="neumann", nullspace=nullspace)
    assert abs(result.removed_mean) < 1e-5 * scale


@pytest.mark.parametrize("boundary", ["dirichlet", [("neumann", "dirichlet"), "periodic"]], ids=str)
def test_a_dirichlet_face_keeps_the_mean(boundary):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = solve(torch.ones(6, 4), boundary=boundary, nullspace="raise")
    assert result.removed_mean == 0.0
    assert result.solution.mean() > 0


@pytest.mark.parametrize("boundary", FREE, ids=str)
@pytest.mark.parametrize("value", [0.1, 3.0, -1e20])
def test_a_constant_leaves_nothing_to_solve(value, boundary):
    with pytest.warns(RemovedMeanWarning):
        result = solve(torch.full((7, 9), value), boundary=boundary)
    assert result.converged
    assert result.iterations == 0
    assert result.removed_mean == pytest.approx(value)
    assert torch.equal(result.solution, torch.zeros(7, 9))


def test_every_closed_region_has_its_own():
    """Open to the left only: of the three regions that the walls leave, two are closed."""
    solid = np.zeros((11, 6), dtype=bool)
    solid[3], solid[7] = True, True
    rhs = np.random.randn(11, 6)
    rhs[8:] -= 5
    boundary = [("dirichlet", "neumann"), "neumann"]
    with pytest.warns(RemovedMeanWarning):
        result = solve(rhs, boundary=boundary, solid=solid)
    assert result.removed_mean == pytest.approx(rhs[8:].mean())
    assert abs(result.solution[4:7].mean()) < 1e-12
    assert abs(result.solution[8:].mean()) < 1e-12
    for part in (slice(4, 7), slice(8, 11)):
        rhs[part] -= rhs[part].mean()
    again = solve(rhs, boundary=boundary, solid=solid, nullspace="raise")
    np.testing.assert_allclose(again.solution, result.solution, atol=1e-3)


def test_regions_that_meet_across_a_periodic_end_are_one():
    solid = np.zeros((9, 5), dtype=bool)
    solid[4] = True
    rhs = np.ones((9, 5))
    rhs[5:] = -1
    result = solve(rhs, boundary=["periodic", "neumann"], solid=solid, nullspace="raise")
    assert result.converged


def test_the_largest_of_a_batch_is_kept():
    rhs = torch.randn(3, 8, 8, dtype=torch.float64)
    rhs -= rhs.mean(dim=(1, 2), keepdim=True)
    rhs += torch.tensor([1.0, -4.0, 2.0])[:, None, None]
    with pytest.warns(RemovedMeanWarning):
        result = solve(rhs, dims=2, boundary="neumann")
    assert result.removed_mean == pytest.approx(-4.0)
