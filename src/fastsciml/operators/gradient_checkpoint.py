"""Layers computed anew in the backward pass, so that what they computed need not be kept.

Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
"""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


def checkpoint_layers(model: nn.Module) -> None:
    """Have each layer of a model keep its input alone.

    Modules that have a flag `checkpoint` are told so, and do as they see fit. Where there are none, layers are the
    members of the model's own lists of modules, or without such lists all of it. Such layers run twice in each step: a
    batch norm in one moves its running statistics twice.
    """
    flagged = [module for module in model.modules() if isinstance(getattr(module, "checkpoint", None), bool)]
    for module in flagged:
        module.checkpoint = True  # type: ignore[assignment]
    if flagged:
        return
    lists = [part for part in model.children() if isinstance(part, nn.ModuleList | nn.Sequential)]
    for layer in [layer for part in lists for layer in part] or [model]:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
