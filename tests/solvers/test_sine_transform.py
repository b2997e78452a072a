import numpy as np
import pytest
from scipy.fft import dstn, idstn

from fastsciml import solve_poisson

# The last one's arrays exceed the caches, and the kernels write past these.
SHAPES = [(1,), (50,), (9, 14), (64, 64), (8, 11, 6), (32, 32, 32), (40, 24, 33)]
LARGE = pytest.param((70, 251, 256), marks=pytest.mark.slow)


@pytest.mark.parametrize("shape", [*SHAPES, LARGE], ids=str)
def test_dirichlet_box_agrees_with_the_sine_transform(shape):
    spacing = (0.1, 0.15, 0.12)[: len(shape)]
    rhs = np.random.randn(*shape)
    symbols = [
        4 / h**2 * np.sin(np.pi * np.arange(1, n + 1) / (2 * n)) ** 2 for n, h in zip(shape, spacing, strict=True)
    ]
    exact = idstn(dstn(rhs, type=2) / sum(np.meshgrid(*symbols, indexing="ij", sparse=True)), type=2)
    result = solve_poisson(rhs, spacing=spacing, tol=1e-12)
    assert result.converged
    # The solve may end just below its tolerance, with a smooth residual.
    assert np.linalg.norm(result.solution - exact) <= 5e-11 * np.linalg.norm(exact)
