"""`fastsciml icl`: train learners in context, and hold trained ones side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from fastsciml.devices import existing_device
from fastsciml.exits import FAILED, INTERRUPTED, fail, failing_in_one_sentence, refusing_bad_input
from fastsciml.incontext.experiment import Experiment, LearnerName, Schedule, TaskName
from fastsciml.incontext.references import Comparison
from fastsciml.incontext.run import CHECKPOINT, COMPARISON, LOG, PICTURE, Run
from fastsciml.incontext.tasks import Placing
from fastsciml.incontext.training import Record
from fastsciml.interrupt import stopping_on_interrupt
from fastsciml.progress import training_bar

RECORDS = 100  # of a run, unless it is told otherwise
DEFAULT = Experiment()

app = typer.Typer(help="Learning in context by attention.", no_args_is_help=True)


@app.command()
def train(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")] = Path("icl_run"),
    task: Annotated[TaskName, typer.Option(help="What is to be learned in context.")] = DEFAULT.task,
    x_dim: Annotated[int | None, typer.Option(help=f"Width of x. (default: {DEFAULT.x_dim}, of sine 1)")] = None,
    y_dim: Annotated[int, typer.Option(help="Width of y.")] = DEFAULT.y_dim,
    x: Annotated[Placing, typer.Option(help="Distribution of x in linear tasks.")] = DEFAULT.x,
    noise: Annotated[float, typer.Option(help="Standard deviation of the noise in linear tasks.")] = DEFAULT.noise,
    nonzero: Annotated[int | None, typer.Option(help="Weights of linear tasks that are not 0. (default: all)")] = None,
    hidden: Annotated[int, typer.Option(help="Hidden width of a teacher.")] = DEFAULT.hidden,
    examples: Annotated[int, typer.Option(help="Examples in a context.")] = DEFAULT.examples,
    learner: Annotated[
        LearnerName,
        typer.Option(help="Linear or softmax attention over (x, y), a causal transformer, or descent with its rates."),
    ] = DEFAULT.learner,
    layers: Annotated[int, typer.Option(help="Layers, or steps of descent.")] = DEFAULT.layers,
    looped: Annotated[bool, typer.Option("--looped", help="Share the weights of all layers.")] = False,
    heads: Annotated[int, typer.Option(help="Heads of each layer.")] = DEFAULT.heads,
    mlp_width: Annotated[int | None, typer.Option(help="An MLP after each attention. (default: none)")] = None,
    layer_norm: Annotated[bool, typer.Option("--layer-norm", help="LayerNorm before attention and MLP.")] = False,
    features: Annotated[str, typer.Option(metavar="W,W,...", help="Widths of an MLP before attention.")] = "",
    width: Annotated[int, typer.Option(help="Width of a transformer's tokens.")] = DEFAULT.width,
    init_std: Annotated[float | None, typer.Option(help="Of attention's first weights. (default: Xavier's)")] = None,
    steps: Annotated[int, typer.Option(help="Training steps.")] = DEFAULT.steps,
    batch: Annotated[int, typer.Option(help="Tasks in a step.")] = DEFAULT.batch,
    rate: Annotated[float, typer.Option(help="Adam's rate.")] = DEFAULT.rate,
    schedule: Annotated[Schedule, typer.Option(help="Of the rate.")] = DEFAULT.schedule,
    clip: Annotated[float, typer.Option(help="Largest norm of a gradient.")] = DEFAULT.clip,
    seed: Annotated[int, typer.Option(help="Of weights and tasks.")] = DEFAULT.seed,
    log_every: Annotated[int | None, typer.Option(min=1, help=f"Steps. (default: a {RECORDS}th of all)")] = None,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 1000,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder, if there is one.")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads. (default: as many as PyTorch takes)")] = None,
) -> None:
    """Train a learner on fresh tasks, and compare it with the algorithms that it could be.

    Ctrl-C ends after the step; --resume goes on from there, bit by bit as if nothing had happened.
    """
    with failing_in_one_sentence():
        if threads is not None:
            torch.set_num_threads(threads)
        with refusing_bad_input():
            experiment = Experiment(
                task=task,
                x_dim=(1 if task == "sine" else DEFAULT.x_dim) if x_dim is None else x_dim,
                y_dim=y_dim,
                x=x,
                noise=noise,
                nonzero=nonzero,
                hidden=hidden,
                examples=examples,
                learner=learner,
                layers=layers,
                looped=looped,
                heads=heads,
                mlp_width=mlp_width,
                layer_norm=layer_norm,
                features=_widths(features),
                width=width,
                init_std=init_std,
                steps=steps,
                batch=batch,
                rate=rate,
                schedule=schedule,
                clip=clip,
                seed=seed,
            )
            run = Run(output, experiment, existing_device(device), resume)
        _train(run, log_every or max(1, steps // RECORDS), checkpoint_every)
        comparisons, against = run.evaluate()
        run.draw(comparisons, against)
        console = Console()
        console.print(comparison_table(comparisons))
        for name in (CHECKPOINT, LOG, COMPARISON, PICTURE):
            console.print(f"Wrote {output / name}", highlight=False, soft_wrap=True)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs of one task: by depth, or by noise.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture; a .csv of its name beside it.")] = Path(
        "icl_comparison.png"
    ),
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Tell which algorithm each trained learner is nearest to, by depth and by noise."""
    from fastsciml.incontext.side_by_side import side_by_side

    with failing_in_one_sentence(), refusing_bad_input():
        table = side_by_side(runs, output, existing_device(device))
        Console().print(table)


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """The trained learner against every reference."""
    caption = "Δ: mean norm of the difference, y of predictions, dy/dx of sensitivities"
    table = Table(title="Trained learner against", caption=caption, box=box.ROUNDED, title_justify="left")
    for column in ("", "its loss", "Δ y", "SPD", "cosine", "Δ dy/dx", "ILWD"):
        table.add_column(column, justify="left" if not column else "right")
    for c in comparisons:
        numbers = (c.loss, c.prediction, c.squared, c.cosine, c.sensitivity, c.weights)
        table.add_row(c.name, *(f"{number:.4g}" for number in numbers))
    return table


def _train(run: Run, log_every: int, checkpoint_every: int) -> None:
    trainer = run.trainer
    with stopping_on_interrupt(trainer), training_bar() as bar:
        task = bar.add_task("", total=trainer.experiment.steps, completed=trainer.step, state="")

        def tell(record: Record) -> None:
            run.log(trainer.records)
            bar.update(task, completed=record.step, state=_state(record))

        try:
            trainer.run(log_every, run.checkpoint, checkpoint_every, tell)
        except FloatingPointError as error:
            fail(str(error), FAILED)
    if trainer.step < trainer.experiment.steps:
        fail(f"interrupted after {trainer.step} steps; --resume goes on from there", INTERRUPTED)


def _state(record: Record) -> str:
    against = "" if record.reference_loss != record.reference_loss else f", descent's {record.reference_loss:.4g}"
    return f"step {record.step}, loss {record.validation_loss:.4g}{against}"


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(width) for width in text.split(",") if width)
    except ValueError:
        raise ValueError(f"--features must be whole numbers with commas between them, got {text!r}") from None
