"""`fastsciml mgno generate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from fastsciml.data import generate as generate_data
from fastsciml.devices import existing_device
from fastsciml.exits import failing_in_one_sentence, refusing_bad_input
from fastsciml.operators.command_options import Device, Threads
from fastsciml.operators.problems import PROBLEMS, problem_named
from fastsciml.operators.settings import RunSettings
from fastsciml.progress import training_bar

RUN = RunSettings(generate="darcy-rough")


def generate(
    problem: Annotated[str, typer.Argument(help=f"{', '.join(PROBLEMS)}.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File, .npz.")] = Path("data.npz"),
    samples: Annotated[int, typer.Option(help="How many.")] = RUN.samples,
    resolution: Annotated[int, typer.Option(help="Points along each axis.")] = RUN.resolution,
    refine: Annotated[int | None, typer.Option(help="Of the grid solved on. (default: the problem's)")] = None,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
    chunk: Annotated[int, typer.Option(help="Samples at once; another number gives others.")] = 16,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Make pairs x, y of a problem; called again after an interruption, go on."""
    with failing_in_one_sentence():
        with refusing_bad_input(), training_bar() as bar:
            source = problem_named(problem, resolution, refine)
            options: dict[str, Any] = {"seed": seed, "chunk": chunk, "device": existing_device(device)}
            generate_data(source, samples, output, progress=telling_samples(bar), **options)
        Console().print(f"Wrote {output}", highlight=False, soft_wrap=True)


def telling_samples(bar: Progress) -> Callable[[int, int], None]:
    """What `data.generate` is to call, so that a bar shows the samples."""
    task: TaskID | None = None

    def tell(done: int, samples: int) -> None:
        nonlocal task
        if task is None:
            task = bar.add_task("", total=samples, state="")
        bar.update(task, completed=done, state=f"{done} of {samples} samples")

    return tell
