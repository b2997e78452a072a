"""`fastsciml mgno train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from fastsciml.devices import existing_device
from fastsciml.exits import FAILED, INTERRUPTED, fail, failing_in_one_sentence, refusing_bad_input
from fastsciml.interrupt import stopping_on_interrupt
from fastsciml.operators.command_options import Device, Threads, named_arguments
from fastsciml.operators.distributed import joined
from fastsciml.operators.generate_command import telling_samples
from fastsciml.operators.presets import PRESETS
from fastsciml.operators.problems import PROBLEMS
from fastsciml.operators.run import CHECKPOINT, LOG, LOSS, MODEL, PICTURE, Run
from fastsciml.operators.settings import Amp, Loss, Optimizer, RunSettings, Schedule, TrainingSettings
from fastsciml.operators.training import Record
from fastsciml.progress import training_bar

RUN, TRAINING = RunSettings(generate="darcy-rough"), TrainingSettings()


def train(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")] = Path("mgno_run"),
    preset: Annotated[str, typer.Option(help=f"Published settings: {', '.join(PRESETS)}.")] = RUN.preset,
    width: Annotated[int | None, typer.Option(help="Channels of every layer. (default: the preset's)")] = None,
    layers: Annotated[int | None, typer.Option(help="How many. (default: the preset's)")] = None,
    levels: Annotated[int | None, typer.Option(help="Of every V-cycle. (default: the preset's)")] = None,
    boundary: Annotated[
        str | None, typer.Option(help="dirichlet, neumann or periodic. (default: the preset's)")
    ] = None,
    others: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Another argument of the model, as JSON has it. Repeatable."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Pairs x, y: .npz, .mat or .pt.")] = None,
    test_data: Annotated[Path | None, typer.Option(help="Others to test on. (default: the last of --data)")] = None,
    generate: Annotated[
        str | None, typer.Option(metavar="PROBLEM", help=f"Make the data, into the folder: {', '.join(PROBLEMS)}.")
    ] = None,
    samples: Annotated[int, typer.Option(help="To generate, those to test on included.")] = RUN.samples,
    resolution: Annotated[int, typer.Option(help="Points of generated grids along each axis.")] = RUN.resolution,
    refine: Annotated[int | None, typer.Option(help="Of the grid solved on. (default: the problem's)")] = None,
    data_seed: Annotated[int, typer.Option(help="Of generated data.")] = RUN.data_seed,
    train: Annotated[int | None, typer.Option(help="Samples to train on. (default: all others)")] = None,
    test: Annotated[int, typer.Option(help="Samples to test on.")] = RUN.test,
    subsample: Annotated[int, typer.Option(help="Keep every so manyth point along each axis.")] = RUN.subsample,
    one_step: Annotated[
        bool, typer.Option("--one-step", help="Learn each channel of y, a record in time, from the one before.")
    ] = False,
    loss: Annotated[Loss, typer.Option(help="Relative error to train with.")] = TRAINING.loss,
    side: Annotated[
        float, typer.Option(help="Of the grid's box, for slopes in H1. (default: 2 pi)", show_default=False)
    ] = TRAINING.side,
    periodic: Annotated[
        bool | None,
        typer.Option(
            "--periodic/--not-periodic",
            help="Take slopes across the grid's edges. (default: where the model's boundary is periodic)",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training data.")] = TRAINING.epochs,
    minutes: Annotated[float | None, typer.Option(min=0, help="After which no epoch is begun.")] = None,
    batch: Annotated[int, typer.Option(help="Samples in a step.")] = TRAINING.batch,
    rate: Annotated[float, typer.Option(help="Largest one.")] = TRAINING.rate,
    schedule: Annotated[Schedule, typer.Option(help="Of the rate, over all epochs.")] = TRAINING.schedule,
    optimizer: Annotated[Optimizer, typer.Option(help="adam or adamw.")] = TRAINING.optimizer,
    weight_decay: Annotated[float, typer.Option(help="The optimizer's.")] = TRAINING.weight_decay,
    clip: Annotated[float | None, typer.Option(help="Largest norm of a gradient. (default: any)")] = TRAINING.clip,
    normalise_x: Annotated[str, typer.Option(help="Per channel, point or none.")] = TRAINING.normalise_x,
    normalise_y: Annotated[str, typer.Option(help="Per channel, point or none.")] = TRAINING.normalise_y,
    seed: Annotated[int, typer.Option(help="Of weights and shuffling.")] = TRAINING.seed,
    amp: Annotated[Amp, typer.Option(help="Dtype of autocast; float16 is for CUDA.")] = TRAINING.amp,
    checkpoint_gradients: Annotated[
        bool, typer.Option("--checkpoint-gradients", help="Compute layers anew in the backward pass: less memory.")
    ] = False,
    compile: Annotated[bool, typer.Option("--compile", help="torch.compile the model.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder, if there is one.")
    ] = False,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Train, and write the model, its errors and pictures into a folder.

    Ctrl-C ends after the step; --resume goes on from there, bit by bit as if nothing had happened. Under torchrun every
    process takes its share of each batch.
    """
    chosen = {"width": width, "layers": layers, "levels": levels, "boundary": boundary}
    with failing_in_one_sentence():
        with refusing_bad_input():
            settings = RunSettings(
                preset=preset,
                changes={name: v for name, v in chosen.items() if v is not None} | named_arguments(others or ()),
                data=_text(data),
                test_data=_text(test_data),
                generate=generate,
                samples=samples,
                resolution=resolution,
                refine=refine,
                data_seed=data_seed,
                train=train,
                test=test,
                subsample=subsample,
                one_step=one_step,
                training=TrainingSettings(
                    loss=loss,
                    side=side,
                    periodic=_is_periodic(preset, boundary) if periodic is None else periodic,
                    epochs=epochs,
                    batch=batch,
                    rate=rate,
                    schedule=schedule,
                    optimizer=optimizer,
                    weight_decay=weight_decay,
                    clip=clip,
                    normalise_x=normalise_x,  # type: ignore[arg-type]
                    normalise_y=normalise_y,  # type: ignore[arg-type]
                    seed=seed,
                    amp=amp,
                    checkpoint_gradients=checkpoint_gradients,
                    compile=compile,
                ),
            )
            device = existing_device(device)
        with joined(device) as (ranks, own):
            with refusing_bad_input(), training_bar(quiet=not (ranks.first and generate)) as bar:
                run = Run(output, settings, own, ranks, resume, telling_samples(bar))
            _train(run, minutes)
            run.finish()
            if ranks.first:
                _report(run)


def _train(run: Run, minutes: float | None) -> None:
    trainer, epochs = run.trainer, run.settings.training.epochs
    with stopping_on_interrupt(trainer), training_bar(quiet=not run.ranks.first) as bar:
        task = bar.add_task("", total=epochs, completed=trainer.epoch, state=f"epoch {trainer.epoch}")

        def tell(record: Record) -> None:
            run.log()
            bar.update(task, state=f"epoch {record.epoch}, L2 {record.test_l2:.4g}, H1 {record.test_h1:.4g}")

        try:
            trainer.run(
                run.checkpoint,
                minutes=minutes,
                on_record=tell,
                on_batch=lambda done: bar.update(task, completed=done),
            )
        except FloatingPointError as error:
            fail(str(error), FAILED)
        except torch.OutOfMemoryError:
            fail("the device's memory is too small: try a smaller --batch or --checkpoint-gradients", FAILED)
    if trainer.stopped:
        fail(f"interrupted after {trainer.epoch} whole epochs; --resume goes on from there", INTERRUPTED)


def _report(run: Run) -> None:
    console, trainer = Console(), run.trainer
    last, epochs = trainer.records[-1], run.settings.training.epochs
    if last.epoch < epochs:
        console.print(f"--minutes are over after {last.epoch} of {epochs} epochs; --resume goes on", soft_wrap=True)
    errors = f"{last.test_l2:.3%} in L2, {last.test_h1:.3%} in H1"
    pace = f"{last.seconds / last.epoch:.3g} s per epoch"
    console.print(f"Mean relative error of {len(trainer.test)} test samples: {errors}; {pace}", soft_wrap=True)
    for name in (MODEL, CHECKPOINT, LOG, PICTURE, LOSS):
        console.print(f"Wrote {run.folder / name}", highlight=False, soft_wrap=True)


def _is_periodic(preset: str, boundary: str | None) -> bool:
    return (boundary or PRESETS.get(preset, {}).get("boundary")) == "periodic"


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
