"""`python -m bench [CORE...]`: measure, print, judge."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from . import attention, directions, evonorm, gpu, mgno, model, poisson, report, roofline, scaling
from .measure import DisagreementError
from .report import Report, Settings, Tell
from .results import FOLDER, Results, ResultsError

CORES: dict[str, Callable[[Settings, Tell], Report]] = {
    "poisson": poisson.run,
    "directions": directions.run,
    "evonorm": evonorm.run,
    "attention": attention.run,
    "mgno": mgno.run,
    "scaling": scaling.run,
    "roofline": roofline.run,
    "model": model.run,
    "gpu": gpu.run,
}
# Of the full run and of the quick one.
SIZES = {
    "poisson": (poisson.FULL_SIZE, poisson.QUICK_SIZE),
    "directions": (directions.FULL_SIZE, directions.QUICK_SIZE),
    "evonorm": (evonorm.FULL_SIZE, evonorm.QUICK_SIZE),
    "attention": (attention.FULL_SIZE, attention.QUICK_SIZE),
    "mgno": (mgno.FULL_SIZE, mgno.QUICK_SIZE),
    "scaling": (scaling.FULL_SIZE, scaling.QUICK_SIZE),
    "roofline": (roofline.FULL_SIZE, roofline.QUICK_SIZE),
    "model": (model.FULL_SIZE, model.QUICK_SIZE),
    "gpu": (gpu.FULL_SIZE, gpu.QUICK_SIZE),
}

# Beside this file, wherever the run starts.
DEFAULT_OUTPUT = "bench/results"
MISSED_OR_FAILED = 1
WIDTH_OF_A_FILE = 110

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    cores: Annotated[
        list[str] | None,
        typer.Argument(
            metavar=f"[{'|'.join(CORES)}]...",
            help="All by default: gpu where there is one, and model not with --quick, as building it takes minutes.",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, under two minutes; judges no target.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 unless every target is met.")] = False,
    output: Annotated[
        str, typer.Option(metavar="FOLDER", help="For the machine's results and pictures; empty to write none.")
    ] = DEFAULT_OUTPUT,
    no_output: Annotated[bool, typer.Option("--no-output", help="Write no results and pictures.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write this run's results to this file as well.")] = None,
    size: Annotated[
        int | None, typer.Option(min=12, help="Cells per axis; targets are judged at the default only.")
    ] = None,
    repetitions: Annotated[int, typer.Option(min=1, help="Rounds of every comparison.")] = 7,
    threads: Annotated[int, typer.Option(min=1, help="Threads of every competitor that can use them.")] = 2,
) -> None:
    """Measure fastsciml against its peers and the machine's limits, and judge what it promises."""
    names = cores or [name for name in CORES if _by_default(name, quick)]
    for name in names:
        if name not in CORES:
            raise typer.BadParameter(f"there is no core {name!r}; there is {', '.join(CORES)}")
    if check and (quick or any(size not in (None, SIZES[name][0]) for name in names)):
        raise typer.BadParameter("--check needs the full run: leave out --quick and --size")
    if json is not None and not json.parent.is_dir():
        raise typer.BadParameter(f"--json names the folder {json.parent}, which does not exist")
    torch.set_num_threads(threads)
    results = None if no_output or not output else _results(output, quick or size is not None)
    reports: list[Report] = []
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH_OF_A_FILE)
    try:
        for name in names:
            reports.append(_run(name, Settings(size or SIZES[name][quick], quick, repetitions, threads)))
            report.show(reports[-1], console)
            if results is not None:
                results.add(reports[-1])
        if json is not None:
            report.write(reports, json)
        if results is not None:
            for path in (results.path, *results.draw()):
                console.print(f"Written: {path}", highlight=False, soft_wrap=True)
    except (DisagreementError, ResultsError, OSError, MemoryError) as error:
        print(f"bench: {str(error).rstrip('.') or 'not enough memory'}.", file=sys.stderr)
        raise typer.Exit(MISSED_OR_FAILED) from error
    if check and not all(result.all_met for result in reports):
        for line in (line for result in reports for line in result.fell_short):
            print(f"bench: {line}", file=sys.stderr)
        raise typer.Exit(MISSED_OR_FAILED)


def _by_default(name: str, quick: bool) -> bool:
    return {"gpu": torch.cuda.is_available(), "model": not quick}.get(name, True)


def _results(output: str, small: bool) -> Results:
    try:
        return Results(FOLDER if output == DEFAULT_OUTPUT else Path(output), small)
    except ResultsError as error:
        raise typer.BadParameter(f"--output: {error}") from error


def _run(name: str, settings: Settings) -> Report:
    with Console(stderr=True).status(name) as status:
        return CORES[name](settings, lambda what: status.update(f"{name}: {what}"))


if __name__ == "__main__":
    app(prog_name="python -m bench")
