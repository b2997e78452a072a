"""Files of trained direction networks: weights, and what they are of, in one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from fastsciml.checkpoint import load_weights, read_checkpoint, write_checkpoint
from fastsciml.config import package_version
from fastsciml.directions.networks import kind_of, make_network

SUFFIX = ".safetensors"


def save_direction(path: str | Path, network: nn.Module, about: Mapping[str, Any] | None = None) -> None:
    """Write a network's weights.

    Args:
        path: of the file.
        network: of a kind in `networks.KINDS`.
        about: what else to remember, for example its training's settings; JSON must be able to hold it.

    Raises:
        TypeError: the network is of no known kind.
    """
    described = {
        "kind": kind_of(network),
        "config": cast(Any, network).config(),
        "dtype": str(next(network.parameters()).dtype),
        "versions": {"fastsciml": package_version(), "torch": torch.__version__},
        "about": dict(about or {}),
    }
    write_checkpoint(Path(path), network.state_dict(), {"direction": json.dumps(described)})


def load_direction(
    path_or_name: str | Path, *, dims: int | None = None, dtype: torch.dtype = torch.float32
) -> nn.Module:
    """A trained network, on the CPU, in eval mode.

    Args:
        path_or_name: a file that `save_direction` wrote, or the name of one that comes with the package.
        dims: axes of the grid that it must be for. None: whatever it is for.
        dtype: that its weights must have.

    Raises:
        ValueError: there is no such file or name, it holds no direction network, or one of other dims or dtype.

    Example:
        >>> network = load_direction("dcdm_run/direction.safetensors")  # doctest: +SKIP
    """
    described, tensors = described_direction(path_or_name)
    if dims is not None and described["config"].get("dims") != dims:
        raise ValueError(f"{path_or_name} is for {described['config'].get('dims')} axes, not for {dims}")
    if described["dtype"] != str(dtype):
        raise ValueError(f"{path_or_name} has weights of {described['dtype']}, not of {dtype}")
    network = make_network(described["kind"], described["config"]).to(dtype)
    load_weights(network, tensors, Path(path_or_name))
    return network.eval()


def described_direction(path_or_name: str | Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """What a file tells of its network (kind, config, dtype, versions, about), and its weights.

    Raises:
        ValueError: there is no such file or name, or it holds no direction network.
    """
    with as_file(files("fastsciml").joinpath("weights", f"{path_or_name}{SUFFIX}")) as shipped:
        path = Path(path_or_name)
        if not path.is_file() and shipped.is_file():
            path = shipped
        elif not path.is_file():
            raise ValueError(f"there is no file {path_or_name}, nor a network of this name: {_told_names()}")
        about, tensors = read_checkpoint(path, "direction", "a direction network")
    try:
        described = json.loads(about["direction"])
        return {name: described[name] for name in ("kind", "config", "dtype", "versions", "about")}, tensors
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path_or_name} does not tell what its network is: {error!r}") from error


def start_from(network: nn.Module, path_or_name: str | Path) -> None:
    """Take over the weights of a file or name, as `load_direction` takes it.

    Raises:
        ValueError: there is none, or it is of another network.
    """
    _, tensors = described_direction(path_or_name)
    load_weights(network, tensors, Path(path_or_name))


def shipped_names() -> list[str]:
    """The networks that come with the package."""
    folder = files("fastsciml").joinpath("weights")
    if not folder.is_dir():
        return []
    return sorted(entry.name.removesuffix(SUFFIX) for entry in folder.iterdir() if entry.name.endswith(SUFFIX))


def _told_names() -> str:
    names = shipped_names()
    return f"the package has {', '.join(names)}" if names else "the package has none"
