"""Problems that training data can be generated of, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastsciml.data import DarcyFlow, Helmholtz, NavierStokes, OperatorProblem

PROBLEMS: dict[str, Callable[..., OperatorProblem]] = {
    "darcy-smooth": lambda **options: DarcyFlow(coefficient="smooth", **options),
    "darcy-rough": lambda **options: DarcyFlow(coefficient="rough", **options),
    "darcy-multiscale": lambda **options: DarcyFlow(coefficient="multiscale", **options),
    "navier-stokes": NavierStokes,
    "helmholtz": Helmholtz,
}


def problem_named(name: str, resolution: int, refine: int | None = None) -> OperatorProblem:
    """A problem with its own settings but for the grid.

    Args:
        name: of `PROBLEMS`.
        resolution: points along each axis.
        refine: how much finer the grid is that it is solved on. None: the problem's own.

    Raises:
        ValueError: there is no such problem, or a number does not fit.
    """
    if name not in PROBLEMS:
        raise ValueError(f"problem must be one of {', '.join(PROBLEMS)}, got {name!r}")
    options: dict[str, Any] = {"resolution": resolution} | ({} if refine is None else {"refine": refine})
    return PROBLEMS[name](**options)
