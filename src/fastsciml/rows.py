"""Tables as .csv files."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fastsciml.files import replacing


def write_rows(path: Path, names: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """A .csv file with a line of names; numbers have 6 digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{v:.6g}" if isinstance(v, float) else v for name, v in row.items()} for row in rows)
    with replacing(path) as file:
        file.write(text.getvalue().encode())
