"""`fastsciml dcdm generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fastsciml.directions.command_options import (
    Count,
    Dims,
    Geometries,
    LowShare,
    Problem,
    Ritz,
    Seed,
    Size,
    Validation,
    telling,
)
from fastsciml.directions.settings import Settings
from fastsciml.directions.training_data import training_data
from fastsciml.exits import failing_in_one_sentence, refusing_bad_input
from fastsciml.operators.command_options import Threads
from fastsciml.progress import training_bar

DEFAULT = Settings()


def generate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the data.")] = Path("dcdm_data"),
    problem: Problem = DEFAULT.problem,
    size: Size = DEFAULT.size,
    dims: Dims = DEFAULT.dims,
    geometries: Geometries = DEFAULT.geometries,
    ritz: Ritz = DEFAULT.ritz,
    low_share: LowShare = DEFAULT.low_share,
    count: Count = DEFAULT.count,
    validation: Validation = DEFAULT.validation,
    seed: Seed = DEFAULT.seed,
    threads: Threads = None,
) -> None:
    """Make Lanczos bases and right-hand sides; called again after an interruption, go on.

    `fastsciml dcdm train --data FOLDER` with the same options trains on them.
    """
    with failing_in_one_sentence():
        with refusing_bad_input(), training_bar() as bar:
            settings = Settings(
                problem=problem,
                size=size,
                dims=dims,
                geometries=geometries,
                ritz=ritz,
                low_share=low_share,
                count=count,
                validation=validation,
                seed=seed,
            )
            training_data(settings, output, telling(bar))
        Console().print(f"Wrote {output}", highlight=False, soft_wrap=True)
