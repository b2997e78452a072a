"""Training a neural operator: any module from [B, channels, *grid] to [B, channels, *grid].

Shuffling and whatever else is random in a step depend on the seed and the step's place alone, so that a checkpoint
needs no state of random numbers, and a run goes on from it bit by bit as if it had never ended.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

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
from fastsciml.data import OperatorData
from fastsciml.operators.checked_data import check_data, check_fit
from fastsciml.operators.distributed import Ranks
from fastsciml.operators.evaluation import mean_errors
from fastsciml.operators.gradient_checkpoint import checkpoint_layers
from fastsciml.operators.normaliser import NormalisedOperator, Normaliser
from fastsciml.operators.settings import TrainingSettings
from fastsciml.seeds import mixed_seed

_log = logging.getLogger(__name__)

AMP = {"none": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Record:
    """What is logged after an epoch.

    Attributes:
        epoch: how many there were.
        seconds: of training alone.
        rate: the last step's.
        train_loss: mean over the epoch, of the weights as they were.
        test_l2: mean relative error in L2 of the test data, in full precision.
        test_h1: likewise in H1.
    """

    epoch: int
    seconds: float
    rate: float
    train_loss: float
    test_l2: float
    test_h1: float


class Trainer:
    """A model on its way through its epochs.

    Args:
        model: is moved to `device` and trained in place. Data are taken in its dtype.
        settings: how to train.
        train: what is learned from, and what the normalisers are fit to.
        test: what errors are told of. Its grid may be another.
        device: where to train.
        ranks: this process among those of a distributed run. Each takes its share of every batch, so that the result is
            one process's, up to rounding.
        about: texts that checkpoints are to hold, too.

    Attributes:
        operator: the model between functions as they are, `NormalisedOperator`.
        epoch: how many have been finished.
        records: what has been logged.

    Raises:
        ValueError: data are not finite or do not fit the model, or float16 is asked for without CUDA.

    Example:
        >>> data = fastsciml.data.DarcyFlow(33, refine=2).sample(110)  # doctest: +SKIP
        >>> train, test = OperatorData(data.x[:100], data.y[:100]), OperatorData(data.x[100:], data.y[100:])
        >>> trainer = Trainer(MgNO.preset("darcy-smooth"), TrainingSettings(epochs=20), train, test)  # doctest: +SKIP
        >>> trainer.run()  # doctest: +SKIP
    """

    def __init__(
        self,
        model: nn.Module,
        settings: TrainingSettings,
        train: OperatorData,
        test: OperatorData,
        *,
        device: torch.device | str = "cpu",
        ranks: Ranks | None = None,
        about: Mapping[str, str] | None = None,
    ) -> None:
        self.settings, self.device, self.ranks = settings, torch.device(device), ranks or Ranks()
        if settings.amp == "float16" and self.device.type != "cuda":
            raise ValueError(f"amp float16 is for CUDA, not for {self.device}: take bfloat16 there")
        check_data(train, test)
        dtype = next(model.parameters()).dtype
        self.train, self.test = (
            OperatorData(data.x.to(self.device, dtype), data.y.to(self.device, dtype)) for data in (train, test)
        )
        self.operator = NormalisedOperator(
            model,
            Normaliser.fit(self.train.x, settings.normalise_x),
            Normaliser.fit(self.train.y, settings.normalise_y),
        ).to(self.device)
        check_fit(self.operator, self.train, self.test)
        self.losses = settings.losses()
        self._step = self._prepared()
        self._optimise()
        self.epoch, self._batch = 0, 0
        self.seconds = 0.0
        self.records: list[Record] = []
        self._loss_sum = torch.zeros((), device=self.device, dtype=torch.float64)
        self._about = dict(about or {})
        self._stopping = False

    def _prepared(self) -> Callable[[Tensor], Tensor]:
        """The operator as steps call it; its weights are the operator's own."""
        if self.settings.checkpoint_gradients:
            checkpoint_layers(self.operator.model)
        step: Any = self.operator
        if self.ranks.world > 1:
            ids = [self.device] if self.device.type == "cuda" else None
            step = nn.parallel.DistributedDataParallel(step, device_ids=ids)
        prepared: Callable[[Tensor], Tensor] = torch.compile(step) if self.settings.compile else step
        return prepared

    def _optimise(self) -> None:
        s = self.settings
        kind = torch.optim.AdamW if s.optimizer == "adamw" else torch.optim.Adam
        parameters = [p for p in self.operator.parameters() if p.requires_grad]
        fused = self.device.type == "cuda"
        self.optimizer = kind(parameters, lr=s.rate, weight_decay=s.weight_decay, fused=fused)
        self.steps = s.epochs * len(self._batches(0))
        self.schedule: Any = None
        if s.schedule == "one-cycle":
            self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, s.rate, total_steps=self.steps)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=s.amp == "float16")

    def _batches(self, epoch: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(mixed_seed(self.settings.seed, epoch))
        return torch.split(torch.randperm(len(self.train), generator=generator), self.settings.batch)

    def run(
        self,
        checkpoint: Path | None = None,
        *,
        minutes: float | None = None,
        on_record: Callable[[Record], None] = lambda _: None,
        on_batch: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Train to the last epoch, until the time is up, or until `stop`; log and save after every epoch.

        Args:
            checkpoint: where to save. None: nowhere.
            minutes: after which no epoch is begun.
            on_record: called with every record.
            on_batch: called with the epochs done, a fraction, after every step.

        Raises:
            FloatingPointError: the loss is no longer finite. The checkpoint of the epoch before stays.
        """
        started = time.monotonic()
        while self.epoch < self.settings.epochs:
            if not self._train_epoch(on_batch):
                self._save_first(checkpoint)
                return
            self._finish_epoch()
            on_record(self.records[-1])
            self._save_first(checkpoint)
            late = minutes is not None and time.monotonic() - started > 60 * minutes
            if self.ranks.any(late or self._stopping, self.device):
                return

    def stop(self) -> None:
        """Have `run` end after the step that it is in, with a checkpoint; for a signal's handler.

        Of several processes, after the epoch: they have to agree.
        """
        self._stopping = True

    @property
    def stopped(self) -> bool:
        """Whether `stop` ended it before its last epoch was over."""
        return self._stopping and self.epoch < self.settings.epochs

    def _train_epoch(self, on_batch: Callable[[float], None]) -> bool:
        """Take the steps that are left of the epoch; whether it came to its end."""
        started = time.perf_counter()
        self.operator.train()
        batches = self._batches(self.epoch)
        while self._batch < len(batches) and not (self._stopping and self.ranks.world == 1):
            self._take_step(batches[self._batch])
            self._batch += 1
            on_batch(self.epoch + self._batch / len(batches))
        float(self._loss_sum)  # a device has not finished before
        self.seconds += time.perf_counter() - started
        return self._batch == len(batches)

    def _take_step(self, indices: Tensor) -> None:
        share = self.ranks.share(indices)
        # A process without a share has to take part in the sum of gradients all the same.
        weight = len(share) * self.ranks.world / len(indices)
        share = (share if len(share) else indices[:1]).to(self.device)
        loss = self._loss(self.train.x[share], self.train.y[share]) * weight
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self.settings.clip is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.operator.parameters(), self.settings.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.schedule is not None and self.schedule.last_epoch < self.steps - 1:
            self.schedule.step()
        self._loss_sum += loss.detach() * (len(indices) / self.ranks.world)

    def _loss(self, x: Tensor, y: Tensor) -> Tensor:
        amp = AMP[self.settings.amp]
        of_device = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=of_device):
            torch.manual_seed(mixed_seed(self.settings.seed, self.epoch, self._batch, self.ranks.rank))
            with torch.autocast(self.device.type, amp, enabled=amp is not None):
                prediction = self._step(x)
        loss: Tensor = self.losses[self.settings.loss](prediction, y)
        return loss

    def _finish_epoch(self) -> None:
        train_loss = float(self.ranks.total(self._loss_sum)) / len(self.train)
        self._loss_sum.zero_()
        self.epoch, self._batch = self.epoch + 1, 0
        errors = mean_errors(self.operator, self.test, self.losses, self.settings.batch, self.ranks)
        rate = self.optimizer.param_groups[0]["lr"]
        record = Record(self.epoch, self.seconds, rate, train_loss, errors["l2"], errors["h1"])
        if not all(map(math.isfinite, (record.train_loss, record.test_l2, record.test_h1))):
            raise FloatingPointError(f"the loss is no longer finite in epoch {self.epoch}: lower the rate")
        self.records.append(record)
        _log.info("%s", record)

    def _save_first(self, checkpoint: Path | None) -> None:
        if checkpoint is not None and self.ranks.first:
            self.save(checkpoint)

    def save(self, path: Path) -> None:
        """Write everything that the next step depends on; the file is whole or as it was before."""
        tensors = {f"operator.{name}": value for name, value in self.operator.state_dict().items()}
        tensors |= {f"optimizer.{name}": value for name, value in optimizer_tensors(self.optimizer).items()}
        tensors["loss_sum"] = self._loss_sum
        progress = {
            "device": self.device.type,
            "epoch": self.epoch,
            "batch": self._batch,
            "seconds": self.seconds,
            "records": [astuple(record) for record in self.records],
            "groups": self.optimizer.state_dict()["param_groups"],
            "schedule": self.schedule and self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        about = {"training": json.dumps(self.settings.to_dict()), "progress": json.dumps(progress)}
        write_checkpoint(path, tensors, {**self._about, **about})

    def load(self, path: Path) -> None:
        """Go on where the trainer was that `save` wrote; this one must have been made from the same.

        Raises:
            ValueError: there is no whole checkpoint at `path`, or it is of other settings, another architecture or
                other training data, or of a run on another kind of device, whose rounding is another.
        """
        about, tensors = read_training(path)
        told = differences(json.loads(about["training"]), self.settings.to_dict())
        if told:
            raise ValueError(f"{path} is of another training: {told}")
        progress = json.loads(about["progress"])
        if progress["device"] != self.device.type:
            raise ValueError(f"{path} is of a run on {progress['device']}: it cannot go on on {self.device}")
        fitted = self._normalisers()
        load_weights(self.operator, under(tensors, "operator."), path)
        if not torch.allclose(self._normalisers(), fitted, rtol=1e-4):
            raise ValueError(f"{path} is of other training data: their mean or deviation is another")
        load_optimizer_tensors(self.optimizer, under(tensors, "optimizer."))
        for group, saved in zip(self.optimizer.param_groups, progress["groups"], strict=True):
            group.update({**saved, "betas": tuple(saved["betas"]), "params": group["params"]})
        if self.schedule is not None:
            self.schedule.load_state_dict(progress["schedule"])
        self.scaler.load_state_dict(progress["scaler"])
        self.epoch, self._batch, self.seconds = progress["epoch"], progress["batch"], progress["seconds"]
        self.records = [Record(*numbers) for numbers in progress["records"]]
        self._loss_sum = tensors["loss_sum"].to(self.device)

    def _normalisers(self) -> Tensor:
        return torch.cat([t.flatten() for n in (self.operator.x, self.operator.y) for t in (n.mean, n.std)])


def read_training(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """What a trainer's checkpoint holds.

    Raises:
        ValueError: there is no whole one at `path`.
    """
    return read_checkpoint(path, "training", "a neural operator's training")
