"""A Lanczos basis with full re-orthogonalisation, on disk: what right-hand sides for training are combined from.

    A q_j = beta_(j-1) q_(j-1) + alpha_j q_j + beta_j q_(j+1),  q_0 along A * Gaussian

The eigenpairs (theta, y) of the tridiagonal matrix of alpha and beta give the Ritz values theta and vectors Q^T y,
which come close to eigenvectors of A at both ends of its spectrum.

Source: Kaneda, Akar, Chen, Kala, Hyde, Teran, "A Deep Conjugate Direction Method for Iteratively Solving Linear
Systems", ICML 2023; C. Lanczos, J. Res. Nat. Bur. Standards 45 (1950).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal

from fastsciml.directions.growing_array import GrowingArray, Rows

Apply = Callable[[Rows], Rows]
Progress = Callable[[int, int], None]
TIMES_ORTHOGONALISED = 2  # Kahan and Parlett: twice is enough
SMALLEST_RITZ = 1e-8  # in the largest Ritz value; smaller ones are dropped
BREAKDOWN = 1e-5  # of A's size; in float32 what is below is rounding
COMMIT_EVERY = 50  # vectors


@dataclass(frozen=True)
class LanczosBasis:
    """Orthonormal vectors and the tridiagonal matrix between them.

    Attributes:
        vectors: float32 [m, n], a memory map.
        alphas: float64 [m], diagonal.
        betas: float64 [m - 1], beside it.
    """

    vectors: Rows
    alphas: NDArray[np.float64]
    betas: NDArray[np.float64]

    def ritz(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ritz values [k], ascending, and the Ritz vectors' coordinates [m, k] in the basis.

        Those below `SMALLEST_RITZ` times the largest are left out.
        """
        values, coordinates = eigh_tridiagonal(self.alphas, self.betas)
        kept = values > SMALLEST_RITZ * values[-1]
        return values[kept], coordinates[:, kept]


def lanczos(
    apply: Apply,
    start: Rows,
    steps: int,
    path: Path,
    about: str = "",
    progress: Progress = lambda done, steps: None,
    project: Apply = lambda x: x,
) -> LanczosBasis:
    """Make a basis, or go on with one that was interrupted, bit by bit as if it had not been.

    Args:
        apply: A on flat float32 vectors [n], symmetric.
        start: float32 [n], the first vector up to its norm.
        steps: m, at most n. Fewer vectors come out where they span all that A makes of `start`.
        path: of the vectors' `.npy` file, in a folder that exists.
        about: what A and `start` are, as text; files of others are refused.
        progress: called as progress(done, steps).
        project: onto the space that all vectors are to be in; it keeps rounding out of A's null space.

    Raises:
        ValueError: a number or the start does not fit, or the files are of another basis.
    """
    n = start.size
    if not 1 <= steps <= n:
        raise ValueError(f"steps must lie between 1 and the {n} entries of a vector, got {steps}")
    norm = np.linalg.norm(start)
    if not 0 < norm < np.inf:
        raise ValueError("start must be finite and not 0")
    array = GrowingArray(path, (steps, n), about)
    alphas, betas = (_numbers(array, name) for name in ("alphas", "betas"))
    if not array.done:
        array.rows[0] = start / norm
    if len(betas) < len(alphas) and not array.finished:
        array.finish()  # the last vector had no next one
    while not array.finished:
        j = len(alphas)
        alpha, beta, w = _step(apply, project, array.rows, j, betas[-1] if j else 0.0)
        alphas.append(alpha)
        size = max(map(abs, (*alphas, *betas)))
        over = j + 1 == steps or beta <= BREAKDOWN * size
        if not over:
            betas.append(beta)
            array.rows[j + 1] = w / np.float32(beta)
        if over or (j + 1) % COMMIT_EVERY == 0:
            held = {"alphas": alphas, "betas": betas}
            array.commit(j + 1, {name: torch.tensor(of, dtype=torch.float64) for name, of in held.items()})
            progress(j + 1, steps)
        if over:
            array.finish()
    return LanczosBasis(array.rows[: len(alphas)], np.array(alphas), np.array(betas))


def _step(apply: Apply, project: Apply, rows: Rows, j: int, beta_before: float) -> tuple[float, float, Rows]:
    """alpha_j, beta_j, and beta_j q_(j+1)."""
    q = rows[j]
    w = apply(np.array(q))
    if j:
        w = w - np.float32(beta_before) * rows[j - 1]
    alpha = float(np.dot(q.astype(np.float64), w.astype(np.float64)))
    w = w - np.float32(alpha) * q
    basis = rows[: j + 1]
    for _ in range(TIMES_ORTHOGONALISED):
        w = w - (basis @ w) @ basis
    w = project(w)
    return alpha, float(np.linalg.norm(w.astype(np.float64))), w


def _numbers(array: GrowingArray, name: str) -> list[float]:
    given: Any = array.tensors.get(name, torch.zeros(0, dtype=torch.float64))
    return [float(number) for number in given]
