"""A masked Poisson problem as the matrix that other people's solvers take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse

from fastsciml.data import poisson_matrix

from .poisson_problems import Array, Mask, Problem

# A row that stands for no unknown, in diagonals of the matrix: so small that coarse functions, which reach across
# obstacles and faces, are free to take any value there. With 1, PETSc's geometric multigrid needs seven times the
# iterations.
ALMOST_FREE = 1e-5


@dataclass(frozen=True, eq=False)
class System:
    """matrix u = rhs in CSR; `unknowns` is True in `shape`, a box around the grid, where a row is a fluid cell."""

    matrix: Any
    rhs: Array
    shape: tuple[int, ...]
    unknowns: Mask
    problem: Problem

    def on_grid(self, u: Array) -> Array:
        """A solution put in its places, zero in solid cells."""
        whole = np.zeros(self.problem.shape)
        fluid = self.problem.fluid
        whole[fluid] = u if len(u) == fluid.sum() else u.reshape(self.shape)[self.unknowns]
        return whole


def fluid_system(problem: Problem) -> System:
    """The fluid cells alone: what algebraic solvers get."""
    fluid = problem.fluid
    rows = fluid.ravel()
    matrix = _matrix(problem)[rows][:, rows]
    return System(_with_short_indices(matrix), problem.rhs[fluid], problem.shape, fluid, problem)


def padded_system(problem: Problem) -> System:
    """The whole box, one plane longer on every axis: 128 cells become 129 points, which halve down to 5.

    Solid cells and the planes added are rows of their own, with the solution 0. This is what a geometric multigrid
    solver that interpolates between points can coarsen, as PETSc's DMDA does.
    """
    shape = tuple(n + 1 for n in problem.shape)
    inside = tuple(slice(n) for n in problem.shape)
    unknowns, rhs = np.zeros(shape, dtype=bool), np.zeros(shape)
    unknowns[inside] = problem.fluid
    rhs[inside] = np.where(problem.fluid, problem.rhs, 0.0)
    places = np.arange(rhs.size).reshape(shape)[inside].ravel()
    matrix = _matrix(problem).tocoo()
    diagonal = np.where(unknowns.ravel(), 0.0, ALMOST_FREE * matrix.diagonal().max())
    rows, columns = places[matrix.row], places[matrix.col]
    every = np.arange(rhs.size)
    entries = np.concatenate([matrix.data, diagonal])
    where = (np.concatenate([rows, every]), np.concatenate([columns, every]))
    padded = sparse.coo_array((entries, where), shape=(rhs.size, rhs.size)).tocsr()
    return System(_with_short_indices(padded), rhs.ravel(), shape, unknowns, problem)


def _matrix(problem: Problem) -> Any:
    return poisson_matrix(problem.shape, problem.spacing, problem.boundary, problem.solid)


def _with_short_indices(matrix: Any) -> Any:
    """PyAMG's kernels and Debian's PETSc take 32-bit indices only."""
    matrix = matrix.tocsr()
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return matrix
