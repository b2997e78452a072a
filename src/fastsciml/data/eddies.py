"""Random swirls without divergence, for the model problems of flow."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .staggered import places

Array = NDArray[np.floating]

# Speed near the axis of the box; lengths of the waves in its widths, as powers of two.
SPEED = 0.35
SHORTEST, LONGEST = -4.6, -1.2
WAVES = 160


def random_eddies(shape: Sequence[int], spacing: Sequence[float], random: np.random.Generator) -> list[Array]:
    """Face velocity [m/s], one component per axis, gathered around the box's vertical middle line.

    The discrete curl of one stream function per pair of axes, each a sum of plane waves whose speed
    grows with the cube root of their length, as in turbulence (Kolmogorov 1941). So no cell has any
    divergence; and as the stream functions vanish on the walls, nothing crosses these.
    """
    extents = [n * h for n, h in zip(shape, spacing, strict=True)]
    eddies: list[Array] = [np.zeros(()) for _ in shape]
    for a in range(len(shape)):
        for b in range(a + 1, len(shape)):
            points = places(shape, spacing, a, b)
            stream = _waves(points, min(extents), random) * _window(points, extents)
            eddies[a] = eddies[a] + np.diff(stream, axis=b) / spacing[b]
            eddies[b] = eddies[b] - np.diff(stream, axis=a) / spacing[a]
    return eddies


def _waves(points: Sequence[Array], width: float, random: np.random.Generator) -> Array:
    """Sum of random cos(k.x + phase): two matrix products, however many the waves."""
    length = width * 2.0 ** random.uniform(SHORTEST, LONGEST, WAVES)
    direction = random.standard_normal((WAVES, len(points)))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    numbers = 2 * np.pi * direction / length[:, None]
    phase = random.uniform(0, 2 * np.pi, WAVES)
    weight = SPEED * length ** (4 / 3) / width ** (1 / 3) / np.sqrt(WAVES)
    across = phase + sum(x * k for x, k in zip(points[:-1], numbers.T, strict=False))
    up = numbers[:, -1:] * points[-1].ravel()
    cosine = np.cos(across) @ (weight[:, None] * np.cos(up))
    return np.asarray(cosine - np.sin(across) @ (weight[:, None] * np.sin(up)))


def _window(points: Sequence[Array], extents: Sequence[float]) -> Array:
    """About one in the middle, more so higher up, and zero on every wall."""
    window = 0.25 + points[-1] / extents[-1]
    for x, length in zip(points[:-1], extents, strict=False):
        window = window * np.exp(-(((x - 0.5 * length) / (0.3 * min(extents))) ** 2))
    for x, length in zip(points, extents, strict=True):
        window = window * np.tanh(x * (length - x) / (0.08 * length**2))
    return np.asarray(window)
