"""Smooth solutions of -div(grad u) = f on the unit box, for every choice of boundaries."""

import numpy as np
from numpy.typing import NDArray

from ..solvers.boundary import Boundary, parse_boundary

Array = NDArray[np.float64]


def manufactured(shape: tuple[int, ...], boundary: Boundary = "dirichlet") -> tuple[Array, Array]:
    """Return (rhs, u), float64 [shape], at the cell centres of the unit box in 1, 2 or 3D.

    The spacing is 1/n on an axis of n cells. Per axis stands a sum of two sine waves that vanishes
    on Dirichlet faces, has zero slope on Neumann faces and wraps on a periodic axis; u is their
    product, so no eigenfunction. rhs is -div(grad u) by the formula, not by differences: a scheme
    of second order misses u by O(h^2). With Neumann and periodic faces only, both have zero mean.

    Args:
        shape: cells along 1 to 3 axes.
        boundary: names of conditions, as `solve_poisson` takes them.

    Returns:
        The right-hand side and the solution.

    Raises:
        ValueError: there is another number of axes, or the boundary is unknown.
    """
    if not 1 <= len(shape) <= 3 or min(shape) < 1:
        raise ValueError(f"shape must be one to three positive extents, not {shape!r}")
    pairs = parse_boundary(boundary, len(shape))
    profiles = [_profile(n, pair) for n, pair in zip(shape, pairs, strict=True)]
    u = _outer([wave for wave, _ in profiles])
    rhs = np.zeros(shape)
    for axis, (_, bent) in enumerate(profiles):
        factors = [wave for wave, _ in profiles]
        factors[axis] = bent
        rhs += _outer(factors)
    return rhs, u


def _profile(n: int, pair: tuple[str, str]) -> tuple[Array, Array]:
    """Two waves fitting one axis' faces, and minus their second derivative, at n cell centres."""
    x = (np.arange(n) + 0.5) / n
    wave, bent = np.zeros(n), np.zeros(n)
    for number, weight in ((1, 1.0), (2, 0.5)):
        frequency = np.pi * (number if pair[0] == pair[1] else number - 0.5)
        phase = {"dirichlet": 0.0, "neumann": 0.5 * np.pi, "periodic": 0.3}[pair[0]]
        if pair[0] == "periodic":
            frequency = 2 * np.pi * number
        term = weight * np.sin(frequency * x + phase)
        wave += term
        bent += frequency**2 * term
    return wave, bent


def _outer(factors: list[Array]) -> Array:
    product = factors[0]
    for factor in factors[1:]:
        product = product[..., None] * factor
    return product
