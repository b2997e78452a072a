"""Options that the commands have in common."""

from typing import Annotated

import torch
import typer

Device = Annotated[str, typer.Option(help="cpu or cuda.")]


def _use(threads: int | None) -> int | None:
    if threads is not None:
        torch.set_num_threads(threads)
    return threads


Threads = Annotated[int | None, typer.Option(min=1, callback=_use, help="Threads. (default: as many as PyTorch takes)")]
