"""The folder of a training run: its checkpoint, log, trained model and pictures.

checkpoint.safetensors   everything the next step depends on
log.csv                  a line for each epoch
data.npz                 generated data, where they are not from a file
model.safetensors        the trained operator, normalisers included
model.json               what it is built from, and the run's settings
picture.png              test samples, predictions and errors
loss.png                 errors over the epochs
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from fastsciml.checkpoint import differences, load_weights
from fastsciml.files import replacing
from fastsciml.operators.distributed import Ranks
from fastsciml.operators.evaluation import predictions
from fastsciml.operators.models import ModelDescription
from fastsciml.operators.normaliser import NormalisedOperator, Normaliser
from fastsciml.operators.settings import RunSettings
from fastsciml.operators.training import Record, Trainer, read_training
from fastsciml.operators.training_data import training_data
from fastsciml.rows import write_rows

CHECKPOINT, LOG, MODEL, DESCRIPTION = "checkpoint.safetensors", "log.csv", "model.safetensors", "model.json"
PICTURE, LOSS = "picture.png", "loss.png"
DRAWN = 3  # test samples


class Run:
    """A run that writes into its folder.

    Args:
        folder: is made where it is not there.
        settings: what to train, on what, how.
        device: where.
        ranks: this process among those of a distributed run; the first one writes.
        resume: go on with the run in the folder, if there is one.
        progress: called as progress(done, samples) while data are generated.

    Raises:
        ValueError: settings, data and model do not fit, or the folder holds another run, or one although none is to be
            resumed.
    """

    def __init__(
        self,
        folder: Path,
        settings: RunSettings,
        device: str = "cpu",
        ranks: Ranks | None = None,
        resume: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.folder, self.settings, self.checkpoint = folder, settings, folder / CHECKPOINT
        self.ranks = ranks or Ranks()
        there = self.checkpoint.exists()
        if there and not resume:
            raise ValueError(f"{folder} holds a run already: --resume goes on with it")
        if there:
            self._check_same()
        ModelDescription(settings.model, settings.preset, settings.changes).build()  # refused before data are made
        train, test = training_data(settings, folder, self.ranks, progress)
        description = ModelDescription.for_data(settings.model, settings.preset, settings.changes, train)
        training = settings.training
        model = description.build(training.seed, checkpoint_gradients=training.checkpoint_gradients)
        self.description = description.of(model)
        about = {"run": json.dumps(settings.to_dict())}
        self.trainer = Trainer(model, training, train, test, device=device, ranks=self.ranks, about=about)
        if there:
            self.trainer.load(self.checkpoint)
        folder.mkdir(parents=True, exist_ok=True)

    def _check_same(self) -> None:
        about, _ = read_training(self.checkpoint)
        both = json.loads(about.get("run", "{}")), self.settings.to_dict()
        trainings = (settings.pop("training", {}) for settings in both)
        told = differences(*({**settings, **training} for settings, training in zip(both, trainings, strict=True)))
        if told:
            raise ValueError(f"{self.folder} holds another run: {told}")

    def log(self) -> None:
        """Write the log, a line for each record."""
        if self.ranks.first:
            names = [field.name for field in fields(Record)]
            write_rows(self.folder / LOG, names, map(asdict, self.trainer.records))

    def finish(self) -> None:
        """Write the model and the pictures."""
        if not self.ranks.first:
            return
        tensors = {name: value.cpu().contiguous() for name, value in self.trainer.operator.state_dict().items()}
        with replacing(self.folder / MODEL) as file:
            file.write(save(tensors))
        told = {"model": self.description.to_dict(), "run": self.settings.to_dict()}
        with replacing(self.folder / DESCRIPTION) as file:
            file.write(json.dumps(told, indent=1).encode())
        self._draw()

    def _draw(self) -> None:
        # Imported here because matplotlib is slow to import and not needed while training.
        from fastsciml.operators.picture import draw_history, draw_samples

        t = self.trainer
        x, y = t.test.x[:DRAWN], t.test.y[:DRAWN]
        figures = {
            PICTURE: draw_samples(x.cpu(), predictions(t.operator, x).cpu(), y.cpu()),
            LOSS: draw_history(t.records, t.settings.loss),
        }
        for name, figure in figures.items():
            with replacing(self.folder / name) as file:
                figure.savefig(file, format="png", dpi=130)


def load_model(folder: str | Path) -> NormalisedOperator:
    """The trained operator of a run, from functions as they are to functions as they are, on the CPU.

    Args:
        folder: of the run.

    Returns:
        The model between its normalisers.

    Raises:
        ValueError: there is no whole trained model in `folder`.

    Example:
        >>> operator = load_model("mgno_run")  # doctest: +SKIP
        >>> y = operator(x)  # [B, in_channels, *grid] -> [B, out_channels, *grid]  # doctest: +SKIP
    """
    told, tensors = _read_model(Path(folder))
    description = ModelDescription(**told["model"])
    x, y = (Normaliser(tensors[f"{name}.mean"], tensors[f"{name}.std"]) for name in ("x", "y"))
    operator = NormalisedOperator(description.build(), x, y).to(tensors["x.mean"].dtype)
    load_weights(operator, tensors, Path(folder) / MODEL)
    operator.eval()
    return operator


def settings_of(folder: str | Path) -> RunSettings:
    """What the model of a run was trained on, and how.

    Raises:
        ValueError: there is no whole trained model in `folder`.
    """
    told, _ = _read_model(Path(folder))
    return RunSettings.from_dict(told["run"])


def _read_model(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    for name in (DESCRIPTION, MODEL):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} holds no trained model: there is no {name}")
    try:
        told = json.loads((folder / DESCRIPTION).read_text())
        tensors = load((folder / MODEL).read_bytes())
        return {"model": told["model"], "run": told["run"]}, tensors
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder} holds no whole trained model: {error}") from error
