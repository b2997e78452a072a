"""Direction networks by name, and the kinds that weights can be of."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch
from torch import nn

from fastsciml.directions.dcdm import PRESETS

# Module and class of each kind, imported when asked for. Each class has `config()`, its constructor's arguments.
KINDS: Mapping[str, tuple[str, str]] = {
    "dcdm": ("fastsciml.directions.dcdm", "DCDM"),
    "multigrid": ("fastsciml.directions.multigrid_direction", "MultigridDirection"),
}
# Kind and arguments of what can be trained.
NETWORKS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    **{f"dcdm-{size}": ("dcdm", {"layers": layers}) for size, layers in PRESETS.items()},
    "multigrid": ("multigrid", {}),
}


def make_network(kind: str, config: Mapping[str, Any]) -> nn.Module:
    """A network of a kind with its first weights.

    Raises:
        ValueError: there is no such kind, or an argument does not fit.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    module, name = KINDS[kind]
    try:
        made = getattr(import_module(module), name)
    except ImportError as error:
        raise ValueError(f"this version has no network of kind {kind!r}: {error}") from error
    try:
        network: nn.Module = made(**config)
    except TypeError as error:
        raise ValueError(f"a network of kind {kind!r} cannot be made of {dict(config)}: {error}") from error
    return network


def network_named(name: str, dims: int, changes: Mapping[str, Any], seed: int) -> nn.Module:
    """A network to be trained, whose first weights the seed decides, on the CPU.

    Args:
        name: of `NETWORKS`.
        dims: axes of the grid.
        changes: the constructor's arguments that are to differ.
        seed: at least 0.

    Raises:
        ValueError: there is no such network, or an argument does not fit.
    """
    if name not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {name!r}")
    kind, arguments = NETWORKS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make_network(kind, {**arguments, **changes, "dims": dims})


def kind_of(network: nn.Module) -> str:
    """The kind of a network.

    Raises:
        TypeError: it is of none.
    """
    own = type(network)
    for kind, (module, name) in KINDS.items():
        if (own.__module__, own.__qualname__) == (module, name):
            return kind
    raise TypeError(f"network must be of one of the kinds {', '.join(KINDS)}, got {own.__name__}")
