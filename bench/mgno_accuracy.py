"""`python -m bench.mgno_accuracy`: relative errors of MgNO and of an FNO that are trained alike: the model alone
differs.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean
from typing import Annotated, Any, cast

import torch
import typer
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from . import machine, mgno_solver, mgno_steps
from .mgno_problems import TASKS, Task, load
from .mgno_suite import HOUR, Suite, measured_pairs
from .mgno_together import Job, train_together
from .mgno_training import ModelName, Recipe, Scale, has_neuraloperator

ROUNDS_OF_A_STEP = 5
WIDTH_OF_A_FILE = 110
FINAL = ("", "main", "small", "boundary")  # stages that are not for tuning

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def results(rows: Iterable[dict[str, Any]]) -> Table:
    """Mean and spread over the seeds, for each problem and recipe."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        if "l2" in row and row["stage"] in FINAL:
            told = ", ".join(f"{name} {value}" for name, value in sorted(row["arguments"].items()))
            recipe = (
                f"{row['model']} {told}, rate {row['rate']:.2g}, {row['loss']}, {row['scale']}, batch {row['batch']}"
            )
            groups.setdefault((f"{row['problem']} {row['points']}²", recipe), []).append(row)
    table = Table(title="Relative error of test samples", box=box.ROUNDED, title_justify="left")
    for name in ("problem", "model"):
        table.add_column(name)
    for name in ("samples", "steps", "seeds", "L2", "H1", "L2, outermost points", "L2, inside"):
        table.add_column(name, justify="right", overflow="fold")
    for (problem, recipe), of_seeds in groups.items():
        steps = f"{of_seeds[0]['steps']:,}"
        if of_seeds[0]["scaled"] < 1:
            steps += f" of {of_seeds[0]['steps_allowed']:,}"
        errors = [spread([row[name] for row in of_seeds if name in row]) for name in ("l2", "h1", "edge", "inside")]
        table.add_row(problem, recipe, f"{of_seeds[0]['samples']:,}", steps, str(len(of_seeds)), *errors)
    return table


def spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    middle = f"{mean(values):.4f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.4f} to {max(values):.4f})"


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@app.command()
def main(
    problem: Annotated[str, typer.Option(help=f"One of {', '.join(TASKS)}.")] = "darcy-rough",
    model: Annotated[str, typer.Option(help="mgno, fno, or both with a comma.")] = "mgno,fno",
    samples: Annotated[int, typer.Option(min=8, help="To train on.")] = 1000,
    test: Annotated[int, typer.Option(min=1, help="To test on.")] = 100,
    resolution: Annotated[int | None, typer.Option(min=8, help="Points along an axis.")] = None,
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    steps: Annotated[int | None, typer.Option(min=1, help="Of every training.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Of this CPU in place of steps, for every training.")] = None,
    rate: Annotated[float, typer.Option(help="Largest one of the one-cycle schedule.")] = 1e-3,
    modes: Annotated[int, typer.Option(min=1, help="Of the FNO.")] = 16,
    width: Annotated[int, typer.Option(min=1, help="Channels of both.")] = 24,
    loss: Annotated[str, typer.Option(help="h1, l2 or scaled, relative.")] = "h1",
    scale: Annotated[
        str, typer.Option(help="Of the solutions: per channel, per point, or by a deviation alone.")
    ] = "channel",
    batch: Annotated[int, typer.Option(min=1)] = 8,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Of the CPU.")] = 2,
    cuda_graph: Annotated[bool, typer.Option(help="Replay steps as a CUDA graph on CUDA.")] = True,
    together: Annotated[int, typer.Option(min=1, help="Trainings at once on CUDA, on a stream each.")] = 32,
    data_dir: Annotated[Path | None, typer.Option(help="With data files; others are generated.")] = None,
    out: Annotated[Path | None, typer.Option(help="JSON lines are added to it; of --suite, a folder.")] = None,
    measure_steps: Annotated[
        Path | None, typer.Option(help="Only measure a step of each model on this CPU, into this file.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Of --measure-steps.")] = ROUNDS_OF_A_STEP,
    suite: Annotated[str | None, typer.Option(help="gpu: everything, in the order of its weight.")] = None,
    cpu_steps: Annotated[Path | None, typer.Option(help="What --measure-steps wrote, for --suite.")] = None,
    seconds: Annotated[float, typer.Option(help="For all of --suite.")] = 420.0,
    solver: Annotated[
        bool, typer.Option("--solver", help="MgNO as a guess and as a preconditioner of a solver.")
    ] = False,
    show: Annotated[Path | None, typer.Option(help="Only print the table of such JSON lines.")] = None,
) -> None:
    """Train MgNO and an FNO alike and print their relative errors, mean and spread over the seeds."""
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH_OF_A_FILE)
    if show is not None:
        console.print(results(read_rows(show)))
        return
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # a CPU has none
    where, graph = torch.device(device), cuda_graph and device == "cuda"
    if where.type == "cuda":
        # Eight queues are usual; trainings that share one wait for each other.
        os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")
    console.print(", ".join(f"{name} {value}" for name, value in machine.describe().items()), highlight=False)
    if not has_neuraloperator():
        console.print("- neuraloperator is not installed: no FNO to compare with")
    try:
        if measure_steps is not None:
            _measure(console, data_dir, measure_steps, rounds)
        elif suite is not None:
            if suite != "gpu" or cpu_steps is None or data_dir is None or out is None:
                raise typer.BadParameter("--suite gpu needs --data-dir, --out and --cpu-steps")
            Suite(data_dir, out, seconds, mgno_steps.read(cpu_steps), where, graph, samples, test).run()
            console.print(results(read_rows(out / "results.jsonl")))
        elif solver:
            console.print(mgno_solver.table(mgno_solver.measure(resolution or 63, samples, steps or 1500, where)))
        else:
            names = [name for name in model.split(",") if name != "fno" or has_neuraloperator()]
            task = load(problem, samples, test, points=resolution, folder=data_dir)
            arguments: dict[str, dict[str, Any]] = {"mgno": {"width": width}, "fno": {"width": width, "modes": modes}}
            recipes = [
                Recipe(cast(ModelName, name), arguments[name], rate, loss, cast(Scale, scale), batch) for name in names
            ]
            rows = _compare(task, recipes, seeds, steps, minutes, where, graph, together, out)
            console.print(results(rows))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _compare(
    task: Task,
    recipes: Sequence[Recipe],
    seeds: int,
    steps: int | None,
    minutes: float | None,
    device: torch.device,
    graph: bool,
    together: int,
    out: Path | None,
) -> list[dict[str, Any]]:
    if (steps is None) == (minutes is None):
        raise ValueError("give one of --steps and --minutes")
    allowed = [steps or 0 for _ in recipes]
    if minutes is not None:
        seconds = mgno_steps.measure([(task, recipe) for recipe in recipes], ROUNDS_OF_A_STEP, lambda _: None)
        allowed = [int(60 * minutes / seconds[mgno_steps.key(task, recipe)]) for recipe in recipes]
    jobs = [Job(task, r, seed, n) for r, n in zip(recipes, allowed, strict=True) for seed in range(seeds)]
    rows: list[dict[str, Any]] = []

    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("trainings", total=len(jobs))

        def write(row: dict[str, Any]) -> None:
            rows.append(row)
            progress.advance(bar)
            if out is not None:
                with out.open("a") as file:
                    file.write(json.dumps(row) + "\n")

        train_together(jobs, device, graph=graph, together=together, write=write)
    return rows


def _measure(console: Console, data_dir: Path | None, path: Path, rounds: int) -> None:
    with Console(stderr=True).status("steps") as status:
        seconds = mgno_steps.measure(measured_pairs(data_dir), rounds, status.update)
    mgno_steps.write(seconds, path)
    table = Table(title="A training step on this CPU", box=box.ROUNDED, title_justify="left")
    table.add_column("model")
    for name in ("seconds", "steps in an hour"):
        table.add_column(name, justify="right")
    for name, value in mgno_steps.read(path).items():
        table.add_row(name, f"{value:.4f}", f"{int(HOUR / value):,}")
    console.print(table)
    console.print(f"- {machine.load()}")


if __name__ == "__main__":
    app(prog_name="python -m bench.mgno_accuracy")
