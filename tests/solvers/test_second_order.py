import itertools

import numpy as np
import pytest

from fastsciml import solve_poisson
from fastsciml.data import divergence, manufactured, smoke_plume

D, N, P = "dirichlet", "neumann", "periodic"
KINDS = [D, (D, N), (N, D), N, P]
BOUNDARIES = [
    *[[kind] for kind in KINDS],
    *[list(pair) for pair in itertools.combinations_with_replacement(KINDS, 2)],
    *[[KINDS[i], KINDS[(i + 2) % 5], KINDS[(2 * i + 1) % 5]] for i in range(5)],
    *[[kind] * 3 for kind in KINDS],
]
REFINED = {1: (64, 128), 2: (24, 48), 3: (12, 24)}


def error(n, boundary):
    shape = tuple(n + 2 * axis for axis in range(len(boundary)))
    rhs, exact = manufactured(shape, boundary)
    result = solve_poisson(rhs, spacing=[1 / m for m in shape], boundary=boundary, tol=1e-9)
    assert result.converged
    return abs(result.solution - exact).max() / abs(exact).max()


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
def test_halving_the_spacing_quarters_the_error(boundary):
    coarse, fine = (error(n, boundary) for n in REFINED[len(boundary)])
    assert fine < 0.02
    assert 3.3 < coarse / fine < 4.7


def test_an_obstacle_leaves_the_projected_plume_without_divergence():
    plume = smoke_plume((24, 20, 28))
    pressure = solve_poisson(
        plume.rhs, spacing=plume.spacing, boundary=plume.boundary, solid=plume.solid, tol=1e-10
    ).solution
    left = divergence(plume.projected(pressure), plume.spacing)
    assert np.linalg.norm(left[~plume.solid]) <= 2e-10 * np.linalg.norm(plume.rhs)
