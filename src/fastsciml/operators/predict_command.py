"""`fastsciml mgno predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from torch import Tensor

from fastsciml.data import load_inputs
from fastsciml.devices import existing_device
from fastsciml.exits import failing_in_one_sentence, refusing_bad_input
from fastsciml.files import replacing
from fastsciml.operators.command_options import Device, Threads
from fastsciml.operators.evaluation import predictions, trajectory
from fastsciml.operators.run import load_model, settings_of
from fastsciml.operators.training_data import thinned

DRAWN = 3  # samples of a picture


def predict(
    folder: Annotated[Path, typer.Argument(help="Of a run of `mgno train`.")],
    data: Annotated[Path, typer.Option(help="x, and y where errors are to be told: .npz, .mat or .pt.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File of x, prediction and y.")] = Path(
        "predictions.npz"
    ),
    plot: Annotated[Path | None, typer.Option(help="Picture of the first samples, .png. (default: none)")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="To take one after the other, of --one-step. (default: as many as y has)")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Samples at once.")] = 8,
    subsample: Annotated[int, typer.Option(min=1, help="Keep every so manyth point along each axis.")] = 1,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Predict y from x by a trained model, and tell the errors where y is known."""
    with failing_in_one_sentence():
        with refusing_bad_input():
            _check_target("--output", output, ".npz")
            if plot is not None:
                _check_target("--plot", plot, ".png")
            operator = load_model(folder).to(existing_device(device))
            x, y = _functions(data, subsample, operator.x.mean.dtype)
            settings = settings_of(folder)
            if settings.one_step:
                steps = steps or (1 if y is None else y.shape[1])
                found = trajectory(operator, x.to(device), steps, batch).cpu()
                y = y if y is None else y[:, :steps]
            elif steps is None:
                found = predictions(operator, x.to(device), batch).cpu()
            else:
                raise ValueError(f"--steps is for a run with --one-step, and {folder} is none")
            written, told = {"x": x, "prediction": found}, "The file holds no y to compare with"
            if y is not None:
                losses = settings.training.losses()
                errors = {name: loss.per_sample(found, y) for name, loss in losses.items()}
                written |= {"y": y, **errors}
                told = f"Mean relative error of {len(y)} samples: {errors['l2'].mean():.3%} in L2,"
                told += f" {errors['h1'].mean():.3%} in H1"
        with replacing(output) as file:
            np.savez(file, allow_pickle=False, **{name: t.numpy() for name, t in written.items()})
        if plot is not None:
            # Imported here because matplotlib is slow to import and not needed without a picture.
            from fastsciml.operators.picture import draw_samples

            figure = draw_samples(x[:DRAWN], found[:DRAWN], None if y is None else y[:DRAWN])
            with replacing(plot) as file:
                figure.savefig(file, format="png", dpi=130)
        console = Console()
        console.print(told, soft_wrap=True)
        for path in filter(None, (output, plot)):
            console.print(f"Wrote {path}", highlight=False, soft_wrap=True)


def _functions(data: Path, subsample: int, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
    x, y = load_inputs(data)
    broken = (~x.isfinite().flatten(1).all(1)).nonzero()
    if len(broken):
        raise ValueError(f"x of {data} is NaN or infinite in sample {int(broken[0])}")
    return thinned(x, subsample).to(dtype), None if y is None else thinned(y, subsample).to(dtype)


def _check_target(option: str, path: Path, ending: str) -> None:
    if path.suffix != ending:
        raise ValueError(f"{option} must end in {ending}, not {path}")
    if not path.parent.is_dir():
        raise ValueError(f"{option} names the folder {path.parent}, which does not exist")
