"""Units do not matter: A(h) u = f scales as u ~ h^2 f, as far as the dtype reaches."""

import numpy as np
import pytest

from fastsciml import solve_poisson

BOUNDARIES = ["dirichlet", "neumann", "periodic"]
TOL = {np.float32: 1e-5, np.float64: 1e-9}


def check(dtype, boundary, masked, scale=1.0, h=1.0, guess=None):
    rhs = np.random.randn(9, 12)
    solid = np.random.rand(9, 12) < 0.2 if masked else np.zeros((9, 12), dtype=bool)
    problem = {"boundary": boundary, "solid": solid, "tol": TOL[dtype]}
    if boundary != "dirichlet":
        # One region of fluid, so that one mean is all that stands between rhs and a solution.
        solid[...] = False
        solid[4, 5:7] = masked
        rhs -= rhs.mean(where=~solid)
    rhs[solid] = 0
    plain = solve_poisson(rhs.astype(dtype), **problem).solution
    result = solve_poisson((rhs * scale).astype(dtype), spacing=h, **problem)
    assert result.converged, str(result)
    assert 0 < result.iterations <= 12
    rescaled = result.solution / dtype(scale) / dtype(h) / dtype(h)
    assert np.linalg.norm(rescaled - plain) <= 100 * TOL[dtype] * np.linalg.norm(plain)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(np.float32, s) for s in (1e-30, 1e-18, 1e18, 1e30)] + [(np.float64, s) for s in (1e-200, 1e-160, 1e160, 1e200)],
)
def test_of_the_right_hand_side(dtype, scale, boundary, masked):
    check(dtype, boundary, masked, scale=scale)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(
    ("dtype", "h"),
    [
        *[(np.float32, h) for h in (1e-15, 1e-6, 1e6, 1e15)],
        *[(np.float64, 10.0**e) for e in (-100, -25, -6, 6, 25, 100)],
    ],
)
def test_of_the_spacing(dtype, h, boundary, masked):
    check(dtype, boundary, masked, h=h)


@pytest.mark.parametrize(("scale", "h"), [(1e-200, 1e90), (1e200, 1e-90)])
def test_of_both(scale, h):
    check(np.float64, "dirichlet", True, scale=scale, h=h)


def test_differs_between_the_samples_of_a_batch():
    rhs = np.random.randn(8, 8)
    scales = np.array([1e-200, 1.0, 1e200])
    result = solve_poisson(scales[:, None, None] * rhs, dims=2)
    plain = solve_poisson(rhs).solution
    assert result.converged
    np.testing.assert_allclose(result.solution / scales[:, None, None], np.stack([plain] * 3), rtol=1e-6)


def test_of_the_initial_guess_goes_with_it():
    rhs = 1e-200 * np.random.randn(8, 8)
    solution = solve_poisson(rhs).solution
    assert solve_poisson(rhs, initial_guess=solution).iterations == 0


@pytest.mark.parametrize(
    ("dtype", "scale", "h"), [(np.float32, 1e-45, 1.0), (np.float32, 1e30, 1e10), (np.float64, 1e200, 1e100)]
)
def test_a_solution_that_would_overflow_or_vanish_is_refused(dtype, scale, h):
    with pytest.raises(ValueError, match="the solution is out of"):
        solve_poisson(np.full((4, 4), scale, dtype=dtype), spacing=h, tol=1e-5)
