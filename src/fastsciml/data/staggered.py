"""Staggered (MAC) grid: velocity components on faces, pressure in cells.

Component a has the grid's shape with one more entry along axis a. Divergence and gradient here are
the two halves of the 5-point and 7-point operator: divergence(gradient(p)) is -A p exactly, with
closed faces, solids and the boundary half a cell outside the first unknown.

Source: F. H. Harlow and J. E. Welch, Physics of Fluids 8 (1965); the projection after A. J. Chorin,
Mathematics of Computation 22 (1968).
"""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from ..solvers.boundary import Boundary, parse_boundary

Array = NDArray[np.floating]
FaceVelocity = tuple[Array, ...]
Cells = TypeVar("Cells", bound=NDArray[Any])


def divergence(velocity: Sequence[Array], spacing: Sequence[float]) -> Array:
    """Outflow of each cell over its volume.

    Args:
        velocity: float32 or float64, of the faces, a component for each axis, with one more entry along it.
        spacing: of the cells, one number for each axis, in the unit of length.

    Returns:
        Array [shape] of that dtype, in units of velocity over spacing.

    Source: F. H. Harlow and J. E. Welch, Physics of Fluids 8 (1965).
    """
    total = np.diff(velocity[0], axis=0) / spacing[0]
    for axis in range(1, len(velocity)):
        total += np.diff(velocity[axis], axis=axis) / spacing[axis]
    return np.asarray(total)


def project(
    velocity: Sequence[Array],
    pressure: Array,
    spacing: Sequence[float],
    boundary: Boundary,
    solid: NDArray[np.bool_] | None = None,
) -> FaceVelocity:
    """Subtract the gradient of `pressure` [shape] from `velocity` on every open face.

    The result's divergence is divergence(velocity) + A pressure, A being the operator -div(grad)
    of `solve_poisson` with the same spacing, boundary and solid: zero where pressure solves
    A p = -divergence(velocity). Closed faces (walls, those of solid cells) keep their velocity.

    Args:
        velocity: float32 or float64, of the faces, a component for each axis, with one more entry along it.
        pressure: [shape], likewise, in units of velocity times spacing.
        spacing: of the cells, one number for each axis, in the unit of length.
        boundary: names of conditions, as `solve_poisson` takes them.
        solid: bool [shape], closed cells. None: there are none.

    Returns:
        The components less the gradient.

    Raises:
        ValueError: the boundary does not fit.

    Source: A. J. Chorin, Mathematics of Computation 22 (1968).
    """
    pairs = parse_boundary(boundary, pressure.ndim)
    projected = []
    for axis, component in enumerate(velocity):
        below, above = _outside_values(pressure, axis, pairs[axis])
        padded = np.concatenate([below, pressure, above], axis=axis)
        gradient = np.diff(padded, axis=axis) / spacing[axis]
        if solid is not None:
            gradient *= face_is_open(axis, pairs, solid)
        projected.append(component - gradient)
    return tuple(projected)


def face_is_open(axis: int, boundary: Boundary, solid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """True on the faces across `axis` that fluid may cross: no wall, no solid on either side."""
    pair = parse_boundary(boundary, solid.ndim)[axis]
    first, last = _ends(solid, axis)
    if pair[0] == "periodic":
        first, last = last, first
    below = first | (pair[0] == "neumann")
    above = last | (pair[1] == "neumann")
    fluid = ~np.concatenate([below, solid, above], axis=axis)
    lower, upper = _along(fluid, axis, slice(None, -1)), _along(fluid, axis, slice(1, None))
    return np.asarray(lower & upper)


def places(shape: Sequence[int], spacing: Sequence[float], *faces: int) -> list[Array]:
    """Coordinates of the cell centres, or of the faces across each axis named in `faces`.

    One array per axis, shaped to broadcast; the domain begins at 0.
    """
    ticks = [
        h * (np.arange(n + 1) if axis in faces else np.arange(n) + 0.5)
        for axis, (n, h) in enumerate(zip(shape, spacing, strict=True))
    ]
    return list(np.meshgrid(*ticks, indexing="ij", sparse=True))


def on_cells(component: Array, axis: int) -> Array:
    """Mean of each cell's two faces across `axis`."""
    lower, upper = _along(component, axis, slice(None, -1)), _along(component, axis, slice(1, None))
    return 0.5 * (lower + upper)


def on_faces(cells: Array, axis: int) -> Array:
    """Mean of each face's two cells, the end faces taking their only one."""
    width = [(1, 1) if a == axis else (0, 0) for a in range(cells.ndim)]
    padded = np.pad(cells, width, mode="edge")
    return on_cells(padded, axis)


def _outside_values(pressure: Array, axis: int, pair: tuple[str, str]) -> tuple[Array, Array]:
    """The values beyond both ends that put zero, or a zero slope, on the faces between."""
    first, last = _ends(pressure, axis)
    if pair[0] == "periodic":
        return last, first
    sign = {"dirichlet": -1, "neumann": 1}
    return sign[pair[0]] * first, sign[pair[1]] * last


def _ends(array: Cells, axis: int) -> tuple[Cells, Cells]:
    return _along(array, axis, slice(None, 1)), _along(array, axis, slice(-1, None))


def _along(array: Cells, axis: int, part: slice) -> Cells:
    return cast(Cells, array[(slice(None),) * axis + (part,)])
