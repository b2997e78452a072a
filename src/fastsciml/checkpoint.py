"""Checkpoints: tensors and what is known about them in one safetensors file, which is whole or as it was before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from fastsciml.files import replacing


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
    """Write tensors of any device, with texts beside them."""
    with replacing(path) as file:
        file.write(save({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, dict(about)))


def read_checkpoint(path: Path, holding: str, kind: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """What is known about a checkpoint, and its tensors, on the CPU.

    Args:
        path: of the file.
        holding: a text that every checkpoint of this kind has.
        kind: what it should be a checkpoint of, for the refusal.

    Raises:
        ValueError: there is no whole checkpoint of this kind at `path`.
    """
    if not path.is_file():
        raise ValueError(f"there is no checkpoint {path}")
    try:
        with safe_open(str(path), "pt") as file:
            about: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} cannot be read as a checkpoint: {error}") from error
    if holding not in about:
        raise ValueError(f"{path} is no checkpoint of {kind}")
    return about, tensors


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin so, without that beginning."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimizer's state as `<parameter>.<entry>`; rates and other numbers are not among it."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, entries in state.items() for name, value in entries.items()}


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Take over what `optimizer_tensors` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, entry = name.split(".")
        state.setdefault(int(index), {})[entry] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Take over weights that were written from a module of the same architecture.

    Raises:
        ValueError: they are of another one; the first difference is named.
    """
    own = module.state_dict()
    for name in sorted(own.keys() | tensors.keys()):
        there, here = (tuple(held[name].shape) if name in held else None for held in (tensors, own))
        if there != here:
            told = "lacks" if there is None else f"has a {list(there)} as"
            wanted = "has none" if here is None else f"has {list(here)}"
            raise ValueError(f"{path} is of another architecture: it {told} {name}, and this model {wanted}")
    module.load_state_dict(tensors)


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Which settings differ, in words; empty where none does. Compared as JSON has them."""
    there, here = (json.loads(json.dumps(dict(settings))) for settings in (there, here))
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    return ", ".join(f"{name} {there.get(name)} instead of {here.get(name)}" for name in names)
