"""`fastsciml dcdm train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from fastsciml.devices import existing_device
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
from fastsciml.directions.networks import NETWORKS
from fastsciml.directions.run import CHECKPOINT, DIRECTION, LOG, PICTURE, Run
from fastsciml.directions.settings import Amp, Schedule, Settings
from fastsciml.directions.training import Record
from fastsciml.exits import FAILED, INTERRUPTED, fail, failing_in_one_sentence, refusing_bad_input
from fastsciml.interrupt import stopping_on_interrupt
from fastsciml.operators.command_options import Device, Threads, named_arguments
from fastsciml.progress import training_bar

DEFAULT = Settings()


def train(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")] = Path("dcdm_run"),
    network: Annotated[str, typer.Option(help=f"{', '.join(NETWORKS)}.")] = DEFAULT.network,
    others: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Another argument of the network, as JSON has it. Repeatable."
        ),
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="FILE|NAME", help="Weights to begin with, of the same network on any grid.")
    ] = DEFAULT.start,
    problem: Problem = DEFAULT.problem,
    size: Size = DEFAULT.size,
    dims: Dims = DEFAULT.dims,
    geometries: Geometries = DEFAULT.geometries,
    ritz: Ritz = DEFAULT.ritz,
    low_share: LowShare = DEFAULT.low_share,
    count: Count = DEFAULT.count,
    validation: Validation = DEFAULT.validation,
    data: Annotated[
        Path | None, typer.Option(help="Folder of `dcdm generate` with the same options. (default: made in the run's)")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the right-hand sides, at most.")] = DEFAULT.epochs,
    batch: Annotated[int, typer.Option(help="Right-hand sides in a step.")] = DEFAULT.batch,
    steps: Annotated[
        int, typer.Option(help="Of conjugate directions before the loss is taken; as published: 1.")
    ] = DEFAULT.steps,
    rate: Annotated[float, typer.Option(help="Adam's.")] = DEFAULT.rate,
    schedule: Annotated[Schedule, typer.Option(help="Of the rate, over all epochs.")] = DEFAULT.schedule,
    patience: Annotated[
        int | None,
        typer.Option(help="Epochs without a lower validation loss before training ends; 0: it does not."),
    ] = DEFAULT.patience,
    amp: Annotated[Amp, typer.Option(help="Dtype of autocast.")] = DEFAULT.amp,
    seed: Seed = DEFAULT.seed,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder, if there is one.")
    ] = False,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Train a network of search directions, and write it, its losses and a picture into a folder.

    Ctrl-C ends after the step; --resume goes on from there, bit by bit as if nothing had happened.
    """
    with failing_in_one_sentence():
        with refusing_bad_input(), training_bar() as bar:
            settings = Settings(
                network=network,
                changes=named_arguments(others or ()),
                start=start,
                problem=problem,
                size=size,
                dims=dims,
                geometries=geometries,
                ritz=ritz,
                low_share=low_share,
                count=count,
                validation=validation,
                epochs=epochs,
                batch=batch,
                steps=steps,
                rate=rate,
                schedule=schedule,
                patience=patience or None,
                amp=amp,
                seed=seed,
            )
            run = Run(output, settings, existing_device(device), resume, data, telling(bar))
        _train(run)
        run.finish()
        _report(run)


def _train(run: Run) -> None:
    trainer = run.trainer
    with stopping_on_interrupt(trainer), training_bar() as bar:
        task = bar.add_task("", total=run.settings.epochs, completed=trainer.epoch, state=f"epoch {trainer.epoch}")
        validated = "" if not trainer.records else _validated(trainer.records[-1])

        def tell(record: Record) -> None:
            nonlocal validated
            run.log()
            validated = _validated(record)

        def tell_step(done: float, loss: float) -> None:
            bar.update(task, completed=done, state=f"epoch {int(done)}, loss {loss:.4g}{validated}")

        try:
            trainer.run(run.checkpoint, on_record=tell, on_batch=tell_step)
        except FloatingPointError as error:
            fail(str(error), FAILED)
        except torch.OutOfMemoryError:
            fail("the device's memory is too small: try a smaller --batch", FAILED)
    if trainer.stopped:
        fail(f"interrupted after {trainer.epoch} whole epochs; --resume goes on from there", INTERRUPTED)


def _validated(record: Record) -> str:
    return f", validation {record.validation_loss:.4g}"


def _report(run: Run) -> None:
    console, trainer = Console(), run.trainer
    best = next(r for r in trainer.records if r.validation_loss == trainer.best_loss)
    if trainer.epoch < run.settings.epochs:
        console.print(f"No lower loss for {run.settings.patience} epochs: ended after {trainer.epoch}", soft_wrap=True)
    pace = f"{trainer.seconds / trainer.epoch:.3g} s per epoch"
    console.print(f"Best validation loss {best.validation_loss:.4g}, of epoch {best.epoch}; {pace}", soft_wrap=True)
    for name in (DIRECTION, CHECKPOINT, LOG, PICTURE):
        console.print(f"Wrote {run.folder / name}", highlight=False, soft_wrap=True)
