"""The folder of a training run: its data, checkpoint, log, trained network and picture.

data/geometry-<g>/       Lanczos basis and right-hand sides, unless they are elsewhere
checkpoint.safetensors   everything the next step depends on
log.csv                  a line for each epoch
direction.safetensors    the network with the best weights, as `load_direction` reads it
picture.png              loss curves; a right-hand side, the network's direction, the true solution
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path

from fastsciml.checkpoint import differences
from fastsciml.directions.settings import Settings
from fastsciml.directions.training import Record, Trainer, first_network, read_training
from fastsciml.directions.training_data import Tell, training_data
from fastsciml.directions.weights import save_direction
from fastsciml.files import replacing
from fastsciml.rows import write_rows

DATA, CHECKPOINT, LOG = "data", "checkpoint.safetensors", "log.csv"
DIRECTION, PICTURE = "direction.safetensors", "picture.png"


class Run:
    """A run that writes into its folder.

    Args:
        folder: is made where it is not there.
        settings: what to train, on what, how.
        device: where.
        resume: go on with the run in the folder, if there is one.
        data: folder of the right-hand sides. None: within `folder`.
        tell: called while they are made.

    Raises:
        ValueError: the settings do not fit, or a folder holds something else, or a run although none is to be resumed.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        device: str = "cpu",
        resume: bool = False,
        data: Path | None = None,
        tell: Tell = lambda what, done, total: None,
    ) -> None:
        self.folder, self.settings, self.checkpoint = folder, settings, folder / CHECKPOINT
        there = self.checkpoint.exists()
        if there and not resume:
            raise ValueError(f"{folder} holds a run already: --resume goes on with it")
        if there:
            self._check_same()
        network = first_network(settings)  # refused before data are made
        folder.mkdir(parents=True, exist_ok=True)
        self.trainer = Trainer(settings, training_data(settings, data or folder / DATA, tell), device, network)
        if there:
            self.trainer.load(self.checkpoint)

    def _check_same(self) -> None:
        about, _ = read_training(self.checkpoint)
        told = differences(json.loads(about["directions"]), self.settings.to_dict())
        if told:
            raise ValueError(f"{self.folder} holds another run: {told}")

    def log(self) -> None:
        write_rows(self.folder / LOG, [field.name for field in fields(Record)], map(asdict, self.trainer.records))

    def finish(self) -> None:
        """Write the network with its best weights, and the picture."""
        trainer = self.trainer
        trainer.load_best()
        settings = self.settings.to_dict()
        if settings["start"] is not None:
            # Weights are given away: they tell no folder of the machine they were made on.
            settings["start"] = Path(settings["start"]).name
        about = {
            "settings": settings,
            "validation_loss": trainer.best_loss,
            "epochs": trainer.epoch,
            "seconds": trainer.seconds,
        }
        save_direction(self.folder / DIRECTION, trainer.network, about)
        self._draw()

    def _draw(self) -> None:
        # Imported here because matplotlib is slow to import and not needed while training.
        from fastsciml.directions.picture import draw_run

        figure = draw_run(self.trainer)
        with replacing(self.folder / PICTURE) as file:
            figure.savefig(file, format="png", dpi=130)
