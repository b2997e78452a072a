import warnings

import numpy as np
import pytest
import torch

from fastsciml import solve_poisson
from fastsciml.data import poisson_matrix

BOUNDARIES = ["dirichlet", "neumann", "periodic", ["periodic", ("neumann", "dirichlet"), "neumann"]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("h", [1.0, 0.1, 1e-15])
@pytest.mark.parametrize("alpha", [0.1, 1.0, 1e4])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
def test_agrees_with_the_matrix(boundary, masked, alpha, h, dtype):
    """Alpha counts in units of 1/h^2, so that it matters in any unit; a mean of rhs is no obstacle."""
    shape, alpha, tol = (9, 8, 10), alpha / h**2, 3e-5 if dtype == np.float32 else 1e-10
    rhs = (1 + np.random.randn(*shape)).astype(dtype)
    solid = np.random.rand(*shape) < 0.3 if masked else None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = solve_poisson(rhs, spacing=h, boundary=boundary, solid=solid, alpha=alpha, tol=tol)
    matrix = poisson_matrix(shape, h, boundary, solid, alpha)
    b = rhs if solid is None else np.where(solid, 0, rhs)
    u = result.solution.astype(np.float64)
    assert np.linalg.norm(matrix @ u.ravel() - b.ravel()) <= 1.2 * tol * np.linalg.norm(b)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("alpha", [1e-6, 1e-3, 1e-1, 10.0, 1e4])
@pytest.mark.parametrize("shape", [(64, 65), (24, 33, 32)], ids=str)
def test_converges_as_fast(shape, alpha, masked):
    solid = torch.rand(shape) < 0.05 if masked else None
    result = solve_poisson(
        torch.randn(shape, dtype=torch.float64), alpha=alpha, boundary="neumann", solid=solid, tol=1e-10
    )
    assert result.converged
    # At 1e-6, what holds the constant is as small as float32's rounding of the diagonal.
    assert result.residuals[-1] ** (1 / result.iterations) <= (0.3 if alpha == 1e-6 else 0.2)


def test_a_step_of_implicit_diffusion_keeps_the_mean():
    """(u' - u) / dt = div(grad u') without flow through the walls."""
    u = torch.randn(30, 20, dtype=torch.float64) + 3
    dt = 0.7
    after = solve_poisson(u / dt, alpha=1 / dt, boundary="neumann", tol=1e-12).solution
    torch.testing.assert_close(after.mean(), u.mean())
    assert after.std() < u.std()
