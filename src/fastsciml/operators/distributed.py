"""The processes that torchrun starts, each with its share of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")  # torchrun's


@dataclass(frozen=True)
class Ranks:
    """This process among all.

    Attributes:
        rank: which it is, from 0; that one alone writes and prints.
        world: how many there are.
        local: which it is on its machine.
    """

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, indices: Tensor) -> Tensor:
        """This process's part of a batch; the parts differ by one at most and may be empty."""
        return indices[self.rank :: self.world]

    def total(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.world == 1:
            return value
        value = value.clone()
        dist.all_reduce(value)
        return value

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether it is so in any process; to be asked in all."""
        return bool(self.total(torch.tensor(float(flag), device=device)) > 0)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def joined(device: str) -> Iterator[tuple[Ranks, str]]:
    """Join the processes that torchrun started: nccl on CUDA, a device for each; gloo elsewhere.

    Yields:
        This process's place and its device; without torchrun it is alone on `device`.
    """
    if not all(name in os.environ for name in VARIABLES):
        yield Ranks(), device
        return
    rank, world, local = (int(os.environ[name]) for name in VARIABLES)
    cuda = torch.device(device).type == "cuda"
    if cuda:
        device = f"cuda:{local}"
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if cuda else "gloo", device_id=torch.device(device) if cuda else None)
    try:
        yield Ranks(rank, world, local), device
    finally:
        dist.destroy_process_group()
