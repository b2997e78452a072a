"""Training a direction network by streaming right-hand sides from disk.

Shuffling depends on the seed and the epoch alone, and the rate on the step, so that a checkpoint needs no state of
random numbers, and a run goes on from it bit by bit as if it had never ended.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from fastsciml.checkpoint import (
    differences,
    load_optimizer_tensors,
    load_weights,
    optimizer_tensors,
    read_checkpoint,
    under,
    write_checkpoint,
)
from fastsciml.directions.loss import loss_of_steps
from fastsciml.directions.matrix import Matrix
from fastsciml.directions.networks import network_named
from fastsciml.directions.proposals import Proposal, proposal_of
from fastsciml.directions.settings import Settings
from fastsciml.directions.training_data import Geometry, solver_of
from fastsciml.directions.weights import start_from
from fastsciml.seeds import mixed_seed

_log = logging.getLogger(__name__)

SAVE_EVERY = 60.0  # seconds


@dataclass(frozen=True)
class Record:
    """What is logged after an epoch.

    Attributes:
        epoch: how many there were.
        loss: mean over the epoch, of the weights as they were.
        validation_loss: mean over all geometries.
        rate: the last step's.
        seconds: of training alone.
    """

    epoch: int
    loss: float
    validation_loss: float
    rate: float
    seconds: float


class Trainer:
    """A direction network on its way through its epochs.

    Args:
        settings: what to train, on what, how.
        geometries: as `training_data` makes them of the same settings.
        device: where to train.
        network: another one than the settings name, float32; is trained in place.

    Attributes:
        network: on `device`.
        proposals: the network's map for each geometry.
        epoch: how many have been finished.
        records: what has been logged.
        best: the weights with the lowest validation loss, by name.
        best_loss: that loss.

    Raises:
        ValueError: the settings do not fit a network or the geometries.

    Source of the loss: Kaneda et al., "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems" (ICML
    2023).
    """

    def __init__(
        self,
        settings: Settings,
        geometries: Sequence[Geometry],
        device: torch.device | str = "cpu",
        network: nn.Module | None = None,
    ) -> None:
        self.settings, self.geometries, self.device = settings, geometries, torch.device(device)
        self.network = (network or first_network(settings)).to(self.device)
        on_cpu = self.device.type == "cpu"
        solvers = [
            geometry.solver if on_cpu else solver_of(settings, number, device=self.device)[0]
            for number, geometry in enumerate(geometries)
        ]
        self._matrices = [Matrix(solver) for solver in solvers]
        self.proposals: list[Proposal] = [proposal_of(self.network, solver) for solver in solvers]
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=settings.rate, fused=not on_cpu)
        self.steps_per_epoch = len(self._batches(0))
        self.epoch, self._batch, self.seconds = 0, 0, 0.0
        self.records: list[Record] = []
        self.best, self.best_loss = self._weights(), math.inf
        self._seen = 0  # right-hand sides of the epoch
        self._stale = 0  # epochs since the best one
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self._stopping = False

    @property
    def finished(self) -> bool:
        """Whether all epochs are over, or `patience` is."""
        s = self.settings
        return self.epoch >= s.epochs or (s.patience is not None and self._stale >= s.patience)

    @property
    def stopped(self) -> bool:
        """Whether `stop` ended it before that."""
        return self._stopping and not self.finished

    def stop(self) -> None:
        """Have `run` end after the step that it is in, with a checkpoint; for a signal's handler."""
        self._stopping = True

    def run(
        self,
        checkpoint: Path | None = None,
        *,
        save_every: float = SAVE_EVERY,
        on_record: Callable[[Record], None] = lambda _: None,
        on_batch: Callable[[float, float], None] = lambda done, loss: None,
    ) -> None:
        """Train until `finished` or `stop`.

        Args:
            checkpoint: where to save, after every epoch and every so often in between. None: nowhere.
            save_every: seconds between savings.
            on_record: called with every record.
            on_batch: called with the epochs done, a fraction, and the epoch's mean loss so far, after every step.

        Raises:
            FloatingPointError: the loss is no longer finite. The checkpoint from before stays.
        """
        saved = time.monotonic()
        while not self.finished and not self._stopping:
            started = time.perf_counter()
            batches = self._batches(self.epoch)
            self.network.train()
            while self._batch < len(batches) and not self._stopping:
                self._take_step(*batches[self._batch])
                self._batch += 1
                self.seconds, started = self.seconds + time.perf_counter() - started, time.perf_counter()
                on_batch(self.epoch + self._batch / len(batches), self._mean_loss())
                if checkpoint is not None and time.monotonic() - saved > save_every:
                    self.save(checkpoint)
                    saved = time.monotonic()
            if self._batch == len(batches):
                self._finish_epoch()
                on_record(self.records[-1])
            if checkpoint is not None:
                self.save(checkpoint)

    def load_best(self) -> None:
        """Put the best weights into the network."""
        self.network.load_state_dict(self.best)

    def _batches(self, epoch: int) -> list[tuple[int, Tensor]]:
        """Geometry and indices of every step: geometries in turn."""
        of_geometries = []
        for number, geometry in enumerate(self.geometries):
            generator = torch.Generator().manual_seed(mixed_seed(self.settings.seed, epoch, number))
            order = torch.randperm(geometry.train, generator=generator)
            of_geometries.append(torch.split(order, self.settings.batch))
        rounds = max(map(len, of_geometries), default=0)
        return [(g, own[i]) for i in range(rounds) for g, own in enumerate(of_geometries) if i < len(own)]

    def _take_step(self, number: int, indices: Tensor) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        loss = self._loss(number, self.geometries[number].to_train(indices))
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self._loss_sum += loss.detach() * len(indices)
        self._seen += len(indices)

    def _loss(self, number: int, rhs: Tensor) -> Tensor:
        rhs = rhs.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.amp == "bfloat16"):
            return loss_of_steps(self.proposals[number], rhs, self._matrices[number], self.settings.steps)

    def _rate(self) -> float:
        if self.settings.schedule == "constant":
            return self.settings.rate
        done = (self.epoch * self.steps_per_epoch + self._batch) / (self.settings.epochs * self.steps_per_epoch)
        return self.settings.rate * 0.5 * (1 + math.cos(math.pi * done))

    def _mean_loss(self) -> float:
        """Of the epoch so far."""
        return float(self._loss_sum) / max(self._seen, 1)

    def _finish_epoch(self) -> None:
        rate, loss = self.optimizer.param_groups[0]["lr"], self._mean_loss()
        self.epoch, self._batch = self.epoch + 1, 0
        self._loss_sum.zero_()
        self._seen = 0
        record = Record(self.epoch, loss, self.validation_loss(), rate, self.seconds)
        if not (math.isfinite(record.loss) and math.isfinite(record.validation_loss)):
            raise FloatingPointError(f"the loss is no longer finite in epoch {self.epoch}: lower the rate")
        self.records.append(record)
        _log.info("%s", record)
        self._stale += 1
        if record.validation_loss < self.best_loss:
            self.best, self.best_loss, self._stale = self._weights(), record.validation_loss, 0

    @torch.no_grad()
    def validation_loss(self) -> float:
        """Mean over the right-hand sides of all geometries that are not trained on."""
        self.network.eval()
        total = 0.0
        for number, geometry in enumerate(self.geometries):
            for first in range(0, geometry.validation, self.settings.batch):
                rhs = geometry.to_validate(first, first + self.settings.batch)
                total += float(self._loss(number, rhs)) * len(rhs)
        return total / sum(geometry.validation for geometry in self.geometries)

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.network.state_dict().items()}

    def save(self, path: Path) -> None:
        """Write everything that the next step depends on; the file is whole or as it was before."""
        parts: dict[str, Mapping[str, Tensor]] = {
            "network": self.network.state_dict(),
            "best": self.best,
            "optimizer": optimizer_tensors(self.optimizer),
        }
        tensors = {f"{part}.{name}": value for part, held in parts.items() for name, value in held.items()}
        progress = {
            "device": self.device.type,
            "epoch": self.epoch,
            "batch": self._batch,
            "seen": self._seen,
            "seconds": self.seconds,
            "stale": self._stale,
            "best_loss": self.best_loss,
            "records": [astuple(record) for record in self.records],
        }
        about = {"directions": json.dumps(self.settings.to_dict()), "progress": json.dumps(progress)}
        write_checkpoint(path, {**tensors, "loss_sum": self._loss_sum}, about)

    def load(self, path: Path) -> None:
        """Go on where the trainer was that `save` wrote; this one must have been made from the same.

        Raises:
            ValueError: there is no whole checkpoint at `path`, or it is of other settings, or of a run on another kind
                of device, whose rounding is another.
        """
        about, tensors = read_training(path)
        told = differences(json.loads(about["directions"]), self.settings.to_dict())
        if told:
            raise ValueError(f"{path} is of another training: {told}")
        progress = json.loads(about["progress"])
        if progress["device"] != self.device.type:
            raise ValueError(f"{path} is of a run on {progress['device']}: it cannot go on on {self.device}")
        load_weights(self.network, under(tensors, "network."), path)
        load_optimizer_tensors(self.optimizer, under(tensors, "optimizer."))
        self.best = {name: value.to(self.device) for name, value in under(tensors, "best.").items()}
        self.epoch, self._batch, self.seconds = progress["epoch"], progress["batch"], progress["seconds"]
        self._seen, self._stale, self.best_loss = progress["seen"], progress["stale"], progress["best_loss"]
        self.records = [Record(int(epoch), *numbers) for epoch, *numbers in progress["records"]]
        self._loss_sum = tensors["loss_sum"].to(self.device)


def first_network(settings: Settings) -> nn.Module:
    """The network as training begins with it, on the CPU.

    Raises:
        ValueError: its arguments do not fit, or the weights to start from are of another network.
    """
    network = network_named(settings.network, settings.dims, settings.changes, settings.seed)
    if settings.start is not None:
        start_from(network, settings.start)
    return network


def read_training(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """What a trainer's checkpoint holds.

    Raises:
        ValueError: there is no whole one at `path`.
    """
    return read_checkpoint(path, "directions", "a direction network's training")
