"""The problem a command line asks for: the built-in plume, or arrays from files, checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from .data.smoke_plume import SmokePlume, smoke_plume
from .files import read_array
from .solvers.boundary import AXIS_NAMES, parse_boundary
from .solvers.grid import parse_spacing

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Problem:
    """What `solve_poisson` takes, and a title. `plume` where the problem is the built-in one."""

    title: str
    rhs: Array
    solid: NDArray[np.bool_] | None
    spacing: tuple[float, ...]
    boundary: tuple[tuple[str, str], ...]
    plume: SmokePlume | None = None


def plume_problem(size: int, dtype: str) -> Problem:
    """The pressure projection of the smoke plume on size^3 cells."""
    plume = smoke_plume((size, size, size), dtype=dtype)
    title = "Pressure projection of a smoke plume past a ball"
    return Problem(title, plume.rhs, plume.solid, plume.spacing, plume.boundary, plume)


def problem_from_files(
    rhs: Path, solid: Path | None, spacing: str | None, boundary: Sequence[str], dtype: str
) -> Problem:
    """Read and check a problem; raises ValueError with one sentence for whatever is wrong."""
    source = read_array(rhs)
    if source.dtype.kind not in "iuf" or not 1 <= source.ndim <= 3 or source.size == 0:
        raise ValueError(f"{rhs} must hold real numbers on 1 to 3 axes, not {source.dtype} of {source.shape}")
    mask = None if solid is None else _mask(solid, source.shape)
    return Problem(
        title=rhs.name,
        rhs=np.ascontiguousarray(source, dtype=dtype),
        solid=mask,
        spacing=cast(tuple[float, ...], parse_spacing(_numbers(spacing), source.shape)),
        boundary=_boundary(boundary, source.ndim),
    )


def _mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    mask: NDArray[Any] = read_array(path)
    if mask.dtype.kind not in "biu":
        raise ValueError(f"{path} must hold a mask of booleans or integers, not {mask.dtype}")
    if mask.shape != shape:
        raise ValueError(f"{path} has shape {mask.shape}, but the right-hand side has {shape}")
    return np.ascontiguousarray(mask, dtype=bool)


def _numbers(text: str | None) -> list[float]:
    if text is None:
        return [1.0]
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--spacing must be a number or numbers split by commas, not {text!r}") from None


def _boundary(texts: Sequence[str], dims: int) -> tuple[tuple[str, str], ...]:
    """From texts such as "neumann" (all faces) and "x=dirichlet,neumann" (one axis)."""
    everywhere = "dirichlet"
    of_axis: dict[str, Sequence[str]] = {}
    for text in texts:
        axis, equals, kinds = text.rpartition("=")
        if not equals:
            everywhere = text
        elif axis not in tuple(AXIS_NAMES[:dims]):
            raise ValueError(
                f"--boundary {text} names no axis of the problem, which has {', '.join(AXIS_NAMES[:dims])}"
            )
        else:
            names = kinds.split(",")
            of_axis[axis] = names if len(names) > 1 else names * 2
    return parse_boundary([of_axis.get(a, everywhere) for a in AXIS_NAMES[:dims]], dims)
