"""Right-hand sides to train directions with: random combinations of Ritz vectors, the smooth ones weighted up.

    b = Q^T (Y c) / ||.||,  c_i normal, times 9 for the lowest Ritz values

Random vectors would do for a direct solver; a residual late in an iteration holds mostly what is hard to remove, and
that is what the low end stands for. Ritz vectors are never formed.

Source: Kaneda, Akar, Chen, Kala, Hyde, Teran, "A Deep Conjugate Direction Method for Iteratively Solving Linear
Systems", ICML 2023.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsciml.directions.growing_array import GrowingArray, Rows
from fastsciml.directions.lanczos import LanczosBasis, Progress

LOW_WEIGHT = 9.0
LOW_SHARE = 0.55  # of the Ritz vectors: m / 2 + 500 of m = 10,000
AT_ONCE = 256  # right-hand sides in a matrix product
ROWS_AT_ONCE = 512  # of the basis, read from the disk at a time


def coefficients(seed: int, index: int, ritz_vectors: int, low_share: float = LOW_SHARE) -> NDArray[np.float64]:
    """C [ritz_vectors] of one right-hand side, by its own random numbers."""
    drawn = np.random.default_rng([seed, index]).standard_normal(ritz_vectors)
    drawn[: round(low_share * ritz_vectors)] *= LOW_WEIGHT
    return drawn


def right_hand_sides(
    basis: LanczosBasis,
    count: int,
    path: Path,
    *,
    seed: int = 0,
    low_share: float = LOW_SHARE,
    about: str = "",
    progress: Progress = lambda done, count: None,
) -> Rows:
    """Make right-hand sides on disk, or go on with some that were interrupted.

    Args:
        basis: of Lanczos.
        count: how many; the first ones of a larger count are the same up to rounding.
        path: of their `.npy` file, in a folder that exists.
        seed: at least 0; with it each index has random numbers of its own.
        low_share: of the Ritz vectors, whose coefficients are weighted up.
        about: what the basis is of, as text; files of others are refused.
        progress: called as progress(done, count).

    Returns:
        float32 [count, n], a memory map; each of norm 1.

    Raises:
        ValueError: a number does not fit, or the files are of other right-hand sides.
    """
    if count < 1 or seed < 0 or not 0 <= low_share <= 1:
        raise ValueError(
            f"count must be positive, seed at least 0, low_share in 0 to 1, got {count}, {seed}, {low_share}"
        )
    array = GrowingArray(path, (count, basis.vectors.shape[1]), f"{about}, seed {seed}, low share {low_share}")
    if array.finished:
        return array.rows
    _, coordinates = basis.ritz()
    while array.done < count:
        last = min(array.done + AT_ONCE, count)
        drawn = [coefficients(seed, index, coordinates.shape[1], low_share) for index in range(array.done, last)]
        array.rows[array.done : last] = _combined(basis.vectors, np.stack(drawn) @ coordinates.T)
        array.commit(last)
        progress(last, count)
    array.finish()
    return array.rows


def _combined(vectors: Rows, weights: NDArray[np.float64]) -> NDArray[Any]:
    """Weights [b, m] times vectors [m, n], each row of norm 1."""
    # Of equal size they do not leave float32.
    weights = (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)
    out: NDArray[Any] = np.zeros((len(weights), vectors.shape[1]), dtype=np.float32)
    for first in range(0, len(vectors), ROWS_AT_ONCE):
        block = slice(first, first + ROWS_AT_ONCE)
        out += weights[:, block] @ vectors[block]
    out /= np.linalg.norm(out.astype(np.float64), axis=1, keepdims=True)
    return out
