"""Training a learner in context: fresh tasks at every step, checkpoints that a run goes on from bit by bit.

Everything random comes from one generator, whose state is in the checkpoint.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from fastsciml.checkpoint import load_optimizer_tensors, optimizer_tensors, read_checkpoint, under, write_checkpoint
from fastsciml.incontext.algorithms import Predictor
from fastsciml.incontext.experiment import Experiment
from fastsciml.incontext.references import compare, nearest_descent, tuning_tasks
from fastsciml.incontext.tasks import Tasks
from fastsciml.nn import InContextLearner

_log = logging.getLogger(__name__)

VALIDATION_TASKS = 2048
VALIDATION_SEED = 2**31 - 1
WARM_UP = 0.05  # of all steps, on a cosine schedule


@dataclass(frozen=True)
class Record:
    """What is logged after so many steps.

    Attributes:
        step: how many.
        seconds: of training alone.
        loss: of the last batch.
        validation_loss: of tasks that are not trained on.
        reference_loss: of the descent that the learner could be; NaN where there is none, as all that follows.
        prediction: mean norm of the difference from its predictions.
        cosine: of both sensitivities.
        sensitivity: mean L2 norm of their difference.
    """

    step: int
    seconds: float
    loss: float
    validation_loss: float
    reference_loss: float = math.nan
    prediction: float = math.nan
    cosine: float = math.nan
    sensitivity: float = math.nan


class Trainer:
    """A learner on its way through an experiment.

    Args:
        experiment: what to train, on what.
        device: where.

    Attributes:
        learner: on `device`.
        step: how many steps have been taken.
        records: what has been logged.
    """

    def __init__(self, experiment: Experiment, device: torch.device | str = "cpu") -> None:
        self.experiment, self.device = experiment, torch.device(device)
        self.tasks = experiment.tasks()
        self.learner: nn.Module = experiment.build().to(self.device)
        self.optimizer = torch.optim.Adam(self.learner.parameters(), lr=experiment.rate, fused=True)
        self.optimizer.grad_scale = None  # type: ignore[attr-defined]
        self.generator = torch.Generator(self.device).manual_seed(experiment.seed)
        self.step = 0
        self.seconds = 0.0
        self.records: list[Record] = []
        self._stopping = False
        self._tuning = tuning_tasks(experiment).to(self.device)
        self.validation = validation_tasks(experiment, self.device)

    def advance(self, steps: int) -> Tensor:
        """Take so many steps; the last one's loss, still on the device.

        A batch whose gradient is not finite changes nothing: deep linear attention is a polynomial of high degree in
        its tokens, and rare tasks overflow it.
        """
        started = time.perf_counter()
        e = self.experiment
        loss = torch.zeros((), device=self.device)
        for _ in range(steps):
            if self._stopping:
                break
            for group in self.optimizer.param_groups:
                group["lr"] = e.rate * self._share_of_rate()
            tasks = self.tasks.sample(e.batch, e.examples, generator=self.generator, device=self.device)
            loss = e.loss(self.learner, tasks)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(self.learner.parameters(), e.clip)
            # As a gradient scaler does it: fused Adam leaves such a step out, without a wait for the device.
            self.optimizer.found_inf = (~norm.isfinite()).to(norm.dtype)  # type: ignore[attr-defined]
            self.optimizer.step()
            self.step += 1
        self.seconds += time.perf_counter() - started
        return loss.detach()

    def _share_of_rate(self) -> float:
        if self.experiment.schedule == "constant":
            return 1.0
        done = self.step / self.experiment.steps
        if done < WARM_UP:
            return (done + 1 / self.experiment.steps) / WARM_UP
        return 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))

    def run(
        self,
        log_every: int,
        checkpoint: Path | None = None,
        checkpoint_every: int = 1000,
        on_record: Callable[[Record], None] = lambda _: None,
    ) -> None:
        """Train to the last step, or until `stop`, logging and saving on the way and at the end.

        Args:
            log_every: steps between records.
            checkpoint: where to save. None: nowhere.
            checkpoint_every: steps between savings.
            on_record: called with every record.

        Raises:
            FloatingPointError: the loss is no longer finite.
        """
        while self.step < self.experiment.steps and not self._stopping:
            loss = self.advance(min(log_every - self.step % log_every, self.experiment.steps - self.step))
            if not self._stopping:
                self.records.append(self._record(loss))
                _log.info("%s", self.records[-1])
                on_record(self.records[-1])
                if not math.isfinite(self.records[-1].validation_loss):
                    raise FloatingPointError(f"the loss is no longer finite after {self.step} steps: lower the rate")
            due = self.step % checkpoint_every < log_every and self.step < self.experiment.steps
            if checkpoint is not None and due and not self._stopping:
                self.save(checkpoint)
        if checkpoint is not None:
            self.save(checkpoint)

    def stop(self) -> None:
        """Have `run` end after the step that it is in; for a signal's handler."""
        self._stopping = True

    def _record(self, loss: Tensor) -> Record:
        with torch.no_grad():
            validation = float(self.experiment.loss(self.learner, self.validation))
        record = Record(self.step, self.seconds, float(loss), validation)
        reference = self._reference()
        if reference is None:
            return record
        (against,) = compare(self.learner, {"": reference}, self.validation, self.validation)
        return replace(
            record,
            reference_loss=against.loss,
            prediction=against.prediction,
            cosine=against.cosine,
            sensitivity=against.sensitivity,
        )

    def _reference(self) -> Predictor | None:
        """The descent that attention over joint tokens is compared with; fitted anew where features move."""
        if not isinstance(self.learner, InContextLearner):
            return None
        return nearest_descent(self.experiment, self.learner, self._tuning)

    def save(self, path: Path) -> None:
        """Write everything that the next step depends on; the file is whole or as it was before."""
        tensors = {f"learner.{name}": value for name, value in self.learner.state_dict().items()}
        tensors |= {f"optimizer.{name}": value for name, value in optimizer_tensors(self.optimizer).items()}
        tensors["generator"] = self.generator.get_state()
        about = {
            "experiment": json.dumps(self.experiment.to_dict()),
            "device": self.device.type,
            "step": str(self.step),
            "seconds": str(self.seconds),
            "records": json.dumps([astuple(record) for record in self.records]),
        }
        write_checkpoint(path, tensors, about)

    @classmethod
    def resumed(cls, path: Path, device: torch.device | str = "cpu") -> Trainer:
        """The trainer that `save` wrote.

        Raises:
            ValueError: there is no whole checkpoint at `path`, or it is of a run on another kind of device, which draws
                other numbers.
        """
        about, tensors = _read(path)
        if about["device"] != torch.device(device).type:
            raise ValueError(f"{path} is of a run on {about['device']}: it cannot go on on {device}")
        trainer = cls(Experiment.from_dict(json.loads(about["experiment"])), device)
        trainer.step, trainer.seconds = int(about["step"]), float(about["seconds"])
        trainer.records = [Record(int(step), *numbers) for step, *numbers in json.loads(about["records"])]
        trainer.learner.load_state_dict(under(tensors, "learner."))
        load_optimizer_tensors(trainer.optimizer, under(tensors, "optimizer."))
        trainer.generator.set_state(tensors["generator"])
        return trainer


def validation_tasks(experiment: Experiment, device: torch.device | str = "cpu") -> Tasks:
    """The same tasks in every run of the same experiment, drawn on the CPU and not trained on."""
    generator = torch.Generator().manual_seed(VALIDATION_SEED)
    tasks = experiment.tasks().sample(VALIDATION_TASKS, experiment.examples, generator=generator)
    return tasks.to(device)


def load_learner(path: Path) -> tuple[Experiment, nn.Module]:
    """A trained learner, on the CPU, and the experiment it comes from.

    Args:
        path: of the checkpoint.

    Returns:
        The experiment and the learner.

    Raises:
        ValueError: there is no whole checkpoint at `path`.
    """
    about, tensors = _read(path)
    experiment = Experiment.from_dict(json.loads(about["experiment"]))
    learner = experiment.build()
    learner.load_state_dict(under(tensors, "learner."))
    return experiment, learner.eval()


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    return read_checkpoint(path, "experiment", "an in-context learner")
