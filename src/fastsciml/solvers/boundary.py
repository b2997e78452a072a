"""What holds on the faces of the box: names, conditions with values, and what they add to the right-hand side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastsciml.solvers.arrays import check_device

BoundaryName = Literal["dirichlet", "neumann", "periodic"]
BOUNDARIES: tuple[BoundaryName, ...] = ("dirichlet", "neumann", "periodic")
AXIS_NAMES = "xyz"

Value = float | Tensor | npt.NDArray[Any]
# What the matrix needs to know of a face: its name, or (a, b) of a Robin condition.
FaceKind = BoundaryName | tuple[float, float]
KindPair = tuple[FaceKind, FaceKind]


@dataclass(frozen=True, eq=False)
class Dirichlet:
    """u = value on a face.

    Args:
        value: in the unit of u; a number, or a tensor or NumPy array that broadcasts to the face, [*batch, other axes],
            of any real dtype, on the CPU or the right-hand side's device. Differentiable.

    The solver raises ValueError where it has another shape, or NaN or Inf.
    """

    value: Value = 0.0

    @property
    def kind(self) -> FaceKind:
        """What the matrix needs to know of the face: "dirichlet"."""
        return "dirichlet"


@dataclass(frozen=True, eq=False)
class Neumann:
    """du/dn = value on a face, n pointing out of the box.

    Args:
        value: in the unit of u over that of length; a number, or [*batch, other axes] of any real dtype, as in
            `Dirichlet`.
    """

    value: Value = 0.0

    @property
    def kind(self) -> FaceKind:
        """What the matrix needs to know of the face: "neumann"."""
        return "neumann"


@dataclass(frozen=True, eq=False)
class Robin:
    """a u + b du/dn = value on a face, n pointing out of the box.

    Args:
        a: at least 0; 0 is a Neumann condition.
        b: at least 0, in the unit of length if a has none; 0 is a Dirichlet condition.
        value: in the unit of a u; a number, or [*batch, other axes] of any real dtype, as in `Dirichlet`.

    Raises:
        ValueError: a or b is negative or not finite (the problem would not be positive), or both are 0.
    """

    a: float
    b: float
    value: Value = 0.0

    def __post_init__(self) -> None:
        if not (isfinite(self.a) and isfinite(self.b) and min(self.a, self.b) >= 0 and max(self.a, self.b) > 0):
            raise ValueError(f"Robin needs a and b of at least 0, and not both 0, got a={self.a} and b={self.b}")

    @property
    def kind(self) -> FaceKind:
        """What the matrix needs to know of the face: a name where a or b is 0, otherwise (a, b)."""
        if self.b == 0:
            return "dirichlet"
        return "neumann" if self.a == 0 else (float(self.a), float(self.b))


Condition = Dirichlet | Neumann | Robin
FaceCondition = str | Condition
ConditionPair = tuple[FaceCondition, FaceCondition]
Boundary = str | Sequence[str | Sequence[str]]
BoundaryConditions = FaceCondition | Sequence[FaceCondition | Sequence[FaceCondition]]


def robin_coefficients(kind: FaceKind) -> tuple[float, float]:
    """(a, b) of a u + b du/dn = value; of a periodic face (0, 1), since nothing lies beyond it."""
    if isinstance(kind, tuple):
        return kind
    return (1.0, 0.0) if kind == "dirichlet" else (0.0, 1.0)


def parse_boundary(boundary: Boundary, dims: int) -> tuple[tuple[BoundaryName, BoundaryName], ...]:
    """Names alone: one for all faces, or one entry per axis, each a name or a pair (lower, upper); TypeError or
    ValueError otherwise.
    """
    pairs = parse_conditions(boundary, dims)
    for pair in pairs:
        for face in pair:
            if not isinstance(face, str):
                raise TypeError(f"boundary must consist of names here, got {face!r}")
    return cast(tuple[tuple[BoundaryName, BoundaryName], ...], pairs)


def parse_conditions(boundary: BoundaryConditions, dims: int) -> tuple[ConditionPair, ...]:
    """The same, each entry a name or a `Dirichlet`, `Neumann` or `Robin`."""
    if isinstance(boundary, FaceCondition):
        entries: list[Any] = [boundary] * dims
    elif isinstance(boundary, Sequence):
        entries = list(boundary)
    else:
        raise TypeError(f"boundary must be one name or one entry per axis ({dims}), got {boundary!r}")
    if len(entries) != dims:
        raise ValueError(f"boundary must be one name or one entry per axis ({dims}), got {len(entries)} entries")
    return tuple(_parse_pair(entry, AXIS_NAMES[axis]) for axis, entry in enumerate(entries))


def _parse_pair(entry: FaceCondition | Sequence[FaceCondition], axis: str) -> ConditionPair:
    if not isinstance(entry, FaceCondition | Sequence):
        raise TypeError(f"boundary of axis {axis} must be a name or a pair (lower, upper), got {entry!r}")
    pair = (entry, entry) if isinstance(entry, FaceCondition) else tuple(entry)
    if len(pair) != 2:
        raise ValueError(f"boundary of axis {axis} must be a name or a pair (lower, upper), got {entry!r}")
    for face in pair:
        if not isinstance(face, Condition) and face not in BOUNDARIES:
            raise ValueError(f"unknown boundary {face!r} on axis {axis}; it must be one of {', '.join(BOUNDARIES)}")
    if (pair[0] == "periodic") != (pair[1] == "periodic"):
        raise ValueError(f"axis {axis} must be periodic at both ends or at neither, got {pair!r}")
    return pair[0], pair[1]


def kind_of(face: FaceCondition) -> FaceKind:
    return cast(FaceKind, face) if isinstance(face, str) else face.kind


def boundary_source(
    f: Tensor,
    conditions: Sequence[ConditionPair],
    ends: Sequence[tuple[tuple[float, float], ...]],
    faces: Sequence[Tensor] | None,
) -> Tensor:
    """F plus what the boundary's values add once what lies beyond the ends is eliminated. Differentiable.

    Args:
        f: [*batch, nx, ny, nz] (or fewer axes).
        conditions: per axis.
        ends: (gap, width) of both ends of each axis: from the last unknown to the boundary, and its volume's width.
        faces: what the faces across each axis conduct, [*batch, extents with one more along it], or None: 1.

    Returns:
        A tensor of f's shape; f itself where every value is 0.

    Raises:
        ValueError: a value has a shape that does not broadcast to its face, or is NaN or Inf.
    """
    dims = len(conditions)
    for axis, pair in enumerate(conditions):
        for end, face, (gap, width) in zip((0, -1), pair, ends[axis], strict=True):
            if isinstance(face, str) or (isinstance(face.value, int | float) and face.value == 0):
                continue
            a, b = (face.a, face.b) if isinstance(face, Robin) else robin_coefficients(face.kind)
            dim = f.ndim - dims + axis
            value = _face_value(face.value, f, dim, f"{'lower' if end == 0 else 'upper'} {AXIS_NAMES[axis]}")
            source = value / (width * (a * gap + b))
            if faces is not None:
                source = source * faces[axis].select(axis - dims, end)
            place = torch.tensor([end % f.shape[dim]], device=f.device)
            f = f.index_add(dim, place, source.unsqueeze(dim))
    return f


def _face_value(value: Value, f: Tensor, dim: int, name: str) -> Tensor:
    face = f.shape[:dim] + f.shape[dim + 1 :]
    tensor = torch.as_tensor(value.copy() if isinstance(value, np.ndarray) else value).to(f.dtype)
    check_device(tensor, f"the value on the {name} face", f.device)
    if not torch.isfinite(tensor).all():
        raise ValueError(f"the value on the {name} face has NaN or Inf")
    try:
        return tensor.to(f.device).broadcast_to(face)
    except RuntimeError:
        raise ValueError(
            f"the value on the {name} face must broadcast to {tuple(face)}, got shape {tuple(tensor.shape)}"
        ) from None
