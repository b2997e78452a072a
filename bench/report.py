"""What a core's benchmark hands back: figures, targets and verdicts, for the terminal and for a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table

from fastsciml.files import replacing

from . import machine
from .measure import Spread

Cell = Spread | float | int | str
Verdict = Literal["met", "missed", "not judged"]
# Of the files' layout, to be counted up when tables change that pictures are made of.
FORMAT = 1
COLOURS = {"met": "green", "missed": "red", "not judged": "yellow"}


@dataclass(frozen=True)
class Settings:
    """What to run: `size` cells per axis; `quick` leaves out twice that size."""

    size: int
    quick: bool = False
    repetitions: int = 7
    threads: int = 2


Tell = Callable[[str], None]


@dataclass(frozen=True)
class Target:
    """A promise: what is measured, and the limit its median must keep."""

    what: str
    limit: float
    at_least: bool = False

    def judge(self, measured: Spread) -> Judgement:
        met = measured.median >= self.limit if self.at_least else measured.median <= self.limit
        return Judgement(self, measured, "met" if met else "missed")

    def not_judged(self, why: str, measured: Spread | None = None) -> Judgement:
        return Judgement(self, measured, "not judged", why)

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


@dataclass(frozen=True)
class Judgement:
    target: Target
    measured: Spread | None
    verdict: Verdict
    why: str = ""


def judged(measured: dict[Target, Spread | None], full: bool) -> list[Judgement]:
    """Of a full run; None could not be measured, as memory without Linux."""
    if not full:
        return [target.not_judged("not the full run", value) for target, value in measured.items()]
    return [
        target.not_judged("needs Linux") if value is None else target.judge(value) for target, value in measured.items()
    ]


@dataclass(frozen=True)
class Figures:
    """One table; every row has the same columns."""

    title: str
    rows: list[dict[str, Cell]]
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """A peer that did the same work: its seconds over ours, round by round."""

    what: str
    peer: str
    times: Spread


@dataclass(frozen=True)
class Report:
    """absent: sentences that name each peer that was not compared, and why."""

    core: str
    settings: Settings
    judgements: list[Judgement]
    figures: list[Figures]
    notes: list[str]
    peers: list[Comparison] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)

    @property
    def all_met(self) -> bool:
        """A target that could not be judged is not met: nothing has shown that it holds."""
        return all(judgement.verdict == "met" for judgement in self.judgements)

    @property
    def fell_short(self) -> list[str]:
        """A line for each target that is not met."""
        return [
            f"{self.core}: {one.target.what}: must be {one.target}, "
            + (f"measured {one.measured}" if one.verdict == "missed" else f"{one.verdict}: {one.why}")
            for one in self.judgements
            if one.verdict != "met"
        ]


def show(report: Report, console: Console) -> None:
    console.print(", ".join(f"{name} {value}" for name, value in machine.describe().items()), highlight=False)
    for figures in report.figures:
        console.print(_figures_table(figures), *([figures.note] if figures.note else []), sep="\n")
    if report.judgements:
        console.print(_judgements_table(report))
    for note in [*report.notes, *(f"Absent: {peer}" for peer in report.absent)]:
        console.print(f"- {note}", highlight=False)


def document(reports: list[Report]) -> dict[str, Any]:
    """As it is written to a file; each core says when and where it was measured, since files of several runs merge."""
    about = {"when": datetime.now(timezone.utc).isoformat(timespec="seconds"), "machine": machine.describe()}
    return {"format": FORMAT, **about, "cores": {report.core: {**about, **asdict(report)} for report in reports}}


def write(reports: list[Report], path: Path) -> None:
    write_document(document(reports), path)


def write_document(made: dict[str, Any], path: Path) -> None:
    with replacing(path) as file:
        file.write(json.dumps(made, indent=2, ensure_ascii=False).encode() + b"\n")


def _figures_table(figures: Figures) -> Table:
    table = Table(title=figures.title, box=box.ROUNDED, title_justify="left")
    for number, name in enumerate(figures.rows[0]):
        table.add_column(name, justify="right" if number else "left")
    for row in figures.rows:
        table.add_row(*(_text(cell) for cell in row.values()))
    return table


def _judgements_table(report: Report) -> Table:
    table = Table(title=f"{report.core}: targets", box=box.ROUNDED, title_justify="left")
    table.add_column("target")
    for name in ("must be", "measured"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for judgement in report.judgements:
        verdict = f"[{COLOURS[judgement.verdict]}]{judgement.verdict}[/]"
        table.add_row(
            judgement.target.what,
            str(judgement.target),
            "" if judgement.measured is None else str(judgement.measured),
            f"{verdict}: {judgement.why}" if judgement.why else verdict,
        )
    return table


def _text(cell: Cell) -> str:
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)
