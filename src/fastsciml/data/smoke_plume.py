"""A smoke plume past a solid ball, as the pressure projection of a fluid solver meets it.

Setting: Kaneda et al., "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems"
(ICML 2023), where smoke rises past an obstacle and every time step ends in -div(grad p) = -div(u)
with p = 0 on the open top and no flow through walls, floor and solids. The state is made by formula
instead of a simulation: a straight jet, eddies from a stream function, smoke carried along by them
and by the potential flow around the ball, one step of buoyancy. So there is no time loop, any size
will do, and all that bends the jet around the ball is the projection.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..solvers.grid import parse_spacing
from .eddies import random_eddies
from .staggered import FaceVelocity, divergence, face_is_open, on_cells, on_faces, places, project

Array = NDArray[np.floating]

# Lengths in widths of the box, speeds in the jet's speed.
BALL_RADIUS = 0.14
BALL_HEIGHT = 0.42
JET_RADIUS = 0.11
JET_START = 0.08
EDDY_TIME = 0.16
BUOYANCY_TIMES_STEP = 0.6
FRONT_HEIGHT = 0.86


@dataclass(frozen=True, eq=False)
class SmokePlume:
    """A divergent velocity on a staggered grid of d = 2 or 3 axes; the last axis points up.

    The solution p of -div(grad p) = rhs is pressure times time step over density [m^2/s].

    Attributes:
        velocity: float32 or float64, like all but solid; velocity[a] lies on the faces across axis a: the grid's shape
            with one more entry along a [m/s].
        density: [shape], the smoke, 0 to 1.
        solid: bool [shape], True inside the ball.
        rhs: [shape], -divergence(velocity) [1/s].
        spacing: [m], as `solve_poisson` takes it.
        boundary: likewise.
    """

    velocity: FaceVelocity
    density: Array
    solid: NDArray[np.bool_]
    rhs: Array
    spacing: tuple[float, ...]
    boundary: tuple[tuple[str, str], ...]

    def projected(self, pressure: Array) -> FaceVelocity:
        """The velocity less the gradient of `pressure` [shape]: divergence-free if p solves."""
        return project(self.velocity, pressure, self.spacing, self.boundary, self.solid)


def smoke_plume(
    shape: tuple[int, ...] = (128, 128, 128),
    *,
    spacing: float | tuple[float, ...] | None = None,
    obstacle: bool = True,
    open_top: bool = True,
    seed: int = 0,
    dtype: DTypeLike = np.float64,
) -> SmokePlume:
    """Make the plume on `shape` cells, 2D or 3D, every extent at least 4.

    Args:
        shape: cells along 2 or 3 axes.
        spacing: [m], one number or one per axis. None: the first axis is 1 m long.
        obstacle: whether there is a ball.
        open_top: False: the box is closed and the pressure is known up to a constant.
        seed: of the eddies.
        dtype: np.float32 or np.float64.

    Returns:
        The state before the projection.

    Raises:
        ValueError: the shape, spacing or dtype is another.
    """
    sizes = _checked_spacing(shape, spacing)
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, not {np.dtype(dtype)}")
    axes = range(len(shape))
    scene = _Scene(shape, sizes, obstacle)
    solid = scene.in_ball()
    eddies = random_eddies(shape, sizes, np.random.default_rng(seed))
    density = np.where(solid, 0.0, _smoke(scene, eddies))

    boundary = (("neumann", "neumann"),) * (len(shape) - 1)
    boundary += (("neumann", "dirichlet" if open_top else "neumann"),)
    velocity = []
    for axis in axes:
        component = eddies[axis]
        if axis == axes[-1]:
            component += scene.jet(BUOYANCY_TIMES_STEP * on_faces(density, axis))
        component *= face_is_open(axis, boundary, solid)
        velocity.append(component.astype(dtype))
    rhs = -divergence(tuple(velocity), sizes)
    return SmokePlume(tuple(velocity), density.astype(dtype), solid, rhs, sizes, boundary)


@dataclass(frozen=True)
class _Scene:
    """Where things stand. Points are one coordinate array per axis, as `places` makes them."""

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    obstacle: bool

    @property
    def extents(self) -> tuple[float, ...]:
        return tuple(n * h for n, h in zip(self.shape, self.spacing, strict=True))

    @property
    def width(self) -> float:
        return min(self.extents)

    @property
    def radius(self) -> float:
        return BALL_RADIUS * self.width if self.obstacle else 0.0

    def from_ball(self, points: Sequence[Array]) -> list[Array]:
        *across, height = self.extents
        centre = [0.5 * length for length in across] + [BALL_HEIGHT * height]
        return [x - c for x, c in zip(points, centre, strict=True)]

    def in_ball(self) -> NDArray[np.bool_]:
        return np.asarray(_squares(self.from_ball(places(self.shape, self.spacing))) < self.radius**2)

    def streamline_radius(self, points: Sequence[Array]) -> Array:
        """How far from the axis, below the ball, the potential flow through a point came from."""
        offset = self.from_ball(points)
        d = len(offset)
        fullness = (self.radius**2 / _squares(offset).clip(self.radius**2 + 1e-30)) ** (d / 2)
        return np.asarray(np.sqrt(_squares(offset[:-1])) * (1 - fullness) ** (1 / (d - 1)))

    def jet(self, buoyancy: Array) -> Array:
        """Speed straight up on the faces across the last axis, from rest at the floor."""
        points = places(self.shape, self.spacing, len(self.shape) - 1)
        spread = _squares(self.from_ball(points)[:-1]) / (JET_RADIUS * self.width) ** 2
        start = 1 - np.exp(-points[-1] / (JET_START * self.width))
        return np.asarray(start * (np.exp(-spread) + buoyancy))


def _smoke(scene: _Scene, eddies: list[Array]) -> Array:
    """Density at cell centres: the jet's column below a soft front, traced back through eddies."""
    points = places(scene.shape, scene.spacing)
    height = scene.extents[-1]
    age = EDDY_TIME * scene.width * (points[-1] / height) ** 0.5
    traced = [x - age * on_cells(eddies[axis], axis) for axis, x in enumerate(points)]
    spread = scene.streamline_radius(traced) / (1.25 * JET_RADIUS * scene.width)
    front = (FRONT_HEIGHT * height - traced[-1]) / (0.03 * height)
    return np.asarray(np.exp(-(np.abs(spread) ** 2.5)) / (1 + np.exp(-front)))


def _checked_spacing(shape: tuple[int, ...], spacing: float | tuple[float, ...] | None) -> tuple[float, ...]:
    if len(shape) not in (2, 3) or min(shape) < 4:
        raise ValueError(f"shape must be two or three extents of at least 4, not {shape!r}")
    return cast(tuple[float, ...], parse_spacing(1.0 / shape[0] if spacing is None else spacing, shape))


def _squares(offsets: Sequence[Array]) -> Array:
    return np.asarray(sum(x * x for x in offsets))
