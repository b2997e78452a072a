"""The folder of a training run: its checkpoint, log, comparison with references, and picture.

checkpoint.safetensors   everything the next step depends on, and after the last step the trained learner
log.csv                  a line for each record
comparison.csv           the trained learner against every reference
picture.png
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from torch import nn

from fastsciml.checkpoint import differences
from fastsciml.files import replacing
from fastsciml.incontext.algorithms import Predictor
from fastsciml.incontext.experiment import Experiment
from fastsciml.incontext.references import Comparison, compare, evaluation_tasks, references, tuning_tasks
from fastsciml.incontext.training import Record, Trainer, load_learner
from fastsciml.rows import write_rows

CHECKPOINT, LOG, COMPARISON, PICTURE = "checkpoint.safetensors", "log.csv", "comparison.csv", "picture.png"


class Run:
    """A run that writes into its folder.

    Raises:
        ValueError: the folder holds another experiment, or a run although none is to be resumed.
    """

    def __init__(self, folder: Path, experiment: Experiment, device: str = "cpu", resume: bool = False) -> None:
        self.folder, self.checkpoint = folder, folder / CHECKPOINT
        if self.checkpoint.exists() and not resume:
            raise ValueError(f"{folder} holds a run already: --resume goes on with it")
        if resume and self.checkpoint.exists():
            self.trainer = Trainer.resumed(self.checkpoint, device)
            self._check_same(experiment)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self.trainer = Trainer(experiment, device)

    def _check_same(self, experiment: Experiment) -> None:
        told = differences(self.trainer.experiment.to_dict(), experiment.to_dict())
        if told:
            raise ValueError(f"{self.folder} holds another experiment: {told}")

    def log(self, records: Iterable[Record]) -> None:
        write_rows(self.folder / LOG, [field.name for field in fields(Record)], map(asdict, records))

    def evaluate(self) -> tuple[list[Comparison], dict[str, Predictor]]:
        """Compare the learner with every reference; written to the folder."""
        trainer = self.trainer
        tuning = tuning_tasks(trainer.experiment).to(trainer.device)
        against = references(trainer.experiment, trainer.learner, tuning)
        comparisons = compare(
            trainer.learner, against, evaluation_tasks(trainer.experiment).to(trainer.device), trainer.validation
        )
        names = [field.name for field in fields(Comparison)]
        write_rows(self.folder / COMPARISON, names, map(asdict, comparisons))
        return comparisons, against

    def draw(self, comparisons: Sequence[Comparison], against: dict[str, Predictor]) -> None:
        # Imported here because matplotlib is slow to import and not needed while training.
        from fastsciml.incontext.picture import draw_run

        t = self.trainer
        figure = draw_run(t.experiment, t.learner, t.records, comparisons, against, t.validation)
        with replacing(self.folder / PICTURE) as file:
            figure.savefig(file, format="png", dpi=130)


def load(folder: Path) -> tuple[Experiment, nn.Module]:
    """The learner of a run, on the CPU, and its experiment.

    Raises:
        ValueError: there is no whole checkpoint in `folder`.
    """
    return load_learner(folder / CHECKPOINT)
