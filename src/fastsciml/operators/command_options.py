"""Options that the commands have in common."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import torch
import typer

Device = Annotated[str, typer.Option(help="cpu or cuda.")]


def _use(threads: int | None) -> int | None:
    if threads is not None:
        torch.set_num_threads(threads)
    return threads


Threads = Annotated[int | None, typer.Option(min=1, callback=_use, help="Threads. (default: as many as PyTorch takes)")]


def named_arguments(texts: Sequence[str]) -> dict[str, Any]:
    """What `--set NAME=VALUE` gave, values as JSON has them or as texts."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set must be NAME=VALUE, got {text!r}")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
