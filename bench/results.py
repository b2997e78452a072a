"""The file of a machine's results, into which runs of single cores merge, and the pictures beside it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from fastsciml.files import replacing

from . import machine, pictures, report
from .report import Report

FOLDER = Path(__file__).parent / "results"


class ResultsError(Exception):
    """Results cannot be written, or what is there cannot be read."""


class Results:
    """Where a run's results go: small runs' to files of their own, so that they replace no full run's.

    Args:
        folder: made where its parent is there.
        small: whether the run is a quick one, or one of other sizes.

    Raises:
        ResultsError: nothing can be written there, or what is there is not a file of results.
    """

    def __init__(self, folder: Path, small: bool) -> None:
        if not folder.is_dir() and not folder.parent.is_dir():
            raise ResultsError(f"the folder {folder.parent} does not exist")
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise ResultsError(f"{folder} is no folder, and cannot be made one: {error.strerror}") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ResultsError(f"the folder {folder} cannot be written to")
        cpu = machine.describe()["cpu"]
        self.title = f"{cpu}, small sizes" if small else cpu
        self.stem = file_name(cpu) + ("-small" if small else "")
        self.path = folder / f"{self.stem}.json"
        self._cores()

    def add(self, newest: Report) -> None:
        """Takes the place of the core's older report."""
        made = report.document([newest])
        made["cores"] = {**self._cores(), **made["cores"]}
        report.write_document(made, self.path)

    def draw(self) -> list[Path]:
        """Pictures of all reports in the file, this run's or not; the files that were written."""
        written = []
        for name, figure in pictures.draw(self._cores()).items():
            path = self.path.with_name(f"{self.stem}-{name}.png")
            figure.supxlabel(self.title, fontsize="small", color="0.4")
            with replacing(path) as file:
                figure.savefig(file, format="png", dpi=120)
            written.append(path)
        return written

    def _cores(self) -> dict[str, Any]:
        if not self.path.exists():
            return {}
        try:
            read = json.loads(self.path.read_text())
        except (OSError, ValueError) as error:
            raise ResultsError(f"{self.path} holds no results; move it away") from error
        if not isinstance(read, dict) or read.get("format") != report.FORMAT:
            raise ResultsError(f"{self.path} holds no results, or those of another version; move it away")
        cores: dict[str, Any] = read["cores"]
        return cores


def file_name(cpu: str) -> str:
    """A processor's name in small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", cpu.lower()).strip("-") or "unknown"
