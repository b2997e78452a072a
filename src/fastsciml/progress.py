"""Progress bars: of an iteration that ends at a residual, and of training."""

from math import log
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class ResidualBar:
    """Shows a residual on its way to the tolerance, on a logarithmic scale; nothing where stderr is no terminal.

    Use as a context manager and hand it to `solve_poisson(progress=...)`. `stage` tells what is
    going on before and after the iteration.
    """

    def __init__(self, tolerance: float, console: Console | None = None) -> None:
        self._tolerance = tolerance
        console = console or Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> "ResidualBar":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish()
        self._progress.stop()

    def stage(self, description: str) -> None:
        """Begin a stage whose length is unknown; the one before is done."""
        self._finish()
        self._task = self._progress.add_task(description, total=None, state="")

    def __call__(self, iteration: int, relative_residual: float) -> None:
        """Take the state after `iteration`; the residual is relative to the right-hand side."""
        if self._task is None:
            self.stage("Solving")
        self._update(
            completed=self.share_done(relative_residual),
            state=f"iteration {iteration}, residual {relative_residual:.1e}",
        )

    def share_done(self, relative_residual: float) -> float:
        """How much of the way from 1 to the tolerance is done, in orders of magnitude: 0 to 1."""
        if relative_residual <= self._tolerance:
            return 1.0
        if not relative_residual < 1.0:
            return 0.0
        return log(relative_residual) / log(self._tolerance)

    def _finish(self) -> None:
        if self._task is not None:
            self._update(completed=1.0)

    def _update(self, **fields: Any) -> None:
        assert self._task is not None
        self._progress.update(self._task, total=1.0, **fields)


def training_bar(quiet: bool = False) -> Progress:
    """A bar for tasks with a field `state`, with the times that have passed and remain; stderr must be a terminal."""
    columns = (BarColumn(bar_width=24), TextColumn("{task.fields[state]}"), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=quiet or not console.is_terminal)
