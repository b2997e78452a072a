"""Options of the data, which both commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer
from rich.progress import Progress, TaskID

from fastsciml.directions.problems import PROBLEMS

Problem = Annotated[str, typer.Option(help=f"{', '.join(PROBLEMS)}.")]
Size = Annotated[int, typer.Option(help="Cells along each axis.")]
Dims = Annotated[int, typer.Option(help="Axes of the grid, 2 or 3.")]
Geometries = Annotated[int, typer.Option(help="Random ones, of obstacles.")]
Ritz = Annotated[int, typer.Option(help="Lanczos vectors that right-hand sides are combined from.")]
LowShare = Annotated[float, typer.Option(help="Of the Ritz vectors, the lowest ones, weighted by 9.")]
Count = Annotated[int, typer.Option(help="Right-hand sides to train on, of each geometry.")]
Validation = Annotated[int, typer.Option(help="Others to validate on, of each geometry.")]
Seed = Annotated[int, typer.Option(help="Of geometries, right-hand sides, first weights and shuffling.")]


def telling(bar: Progress) -> Callable[[str, int, int], None]:
    """What `training_data` is to call, so that a bar shows each of its parts."""
    tasks: dict[str, TaskID] = {}

    def tell(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task("", total=total, state="")
        # A basis may end early.
        bar.update(tasks[what], completed=done, state=f"{done} of {total} {what}")

    return tell
