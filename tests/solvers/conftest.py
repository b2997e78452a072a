"""What the solver's answers are held against: sparse LU on the problem's matrix."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import spsolve

from fastsciml.data import poisson_matrix


@dataclass(frozen=True)
class DirectSolve:
    """rhs is the solvable part of the one given; solution has zero mean wherever no Dirichlet face holds it."""

    matrix: Any
    rhs: np.ndarray
    solution: np.ndarray

    def residual(self, u):
        """True relative residual of u."""
        r = self.rhs.ravel() - self.matrix @ np.asarray(u, dtype=np.float64).ravel()
        return np.linalg.norm(r) / np.linalg.norm(self.rhs)

    def error(self, u):
        return np.linalg.norm(np.asarray(u) - self.solution) / max(np.linalg.norm(self.solution), 1e-300)


def _direct(rhs, *, spacing=1.0, boundary="dirichlet", solid=None):
    matrix = poisson_matrix(rhs.shape, spacing, boundary, solid)
    diagonal = matrix.diagonal()
    _, region = connected_components(matrix, directed=False)
    # Rows sum to zero where no Dirichlet face is near; a solid cell is a region of its own that nothing holds.
    held = np.bincount(region, abs(matrix.sum(axis=1)) > 1e-12 * diagonal) > 0
    free = ~held[region]

    def without_means(values):
        means = np.bincount(region, values) / np.bincount(region)
        return values - np.where(free, means[region], 0.0)

    f = without_means(np.asarray(rhs if solid is None else np.where(solid, 0, rhs), dtype=np.float64).ravel())
    _, first = np.unique(region, return_index=True)
    pins = np.zeros(rhs.size)
    pins[first] = np.where(free[first], np.where(diagonal[first] > 0, diagonal[first], 1.0), 0.0)
    u = without_means(np.atleast_1d(spsolve((matrix + sparse.diags_array(pins)).tocsc(), f)))
    return DirectSolve(matrix, f.reshape(rhs.shape), u.reshape(rhs.shape))


@pytest.fixture(scope="session")
def direct() -> Callable[..., DirectSolve]:
    """direct(rhs, spacing=, boundary=, solid=) of one right-hand side."""
    return _direct
