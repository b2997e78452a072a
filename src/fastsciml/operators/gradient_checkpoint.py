"""Layers computed anew in the backward pass, so that what they computed need not be kept.

Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
"""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


def checkpoint_layers(model: nn.Module) -> None:
    """Have each layer of a model keep its input alone; a model that has an attribute `checkpoint` does so itself.

    Layers are the members of the model's own lists of modules, or where there is none, all of it.
    """
    if hasattr(model, "checkpoint"):
        model.checkpoint = True  # type: ignore[assignment]
        return
    lists = [part for part in model.children() if isinstance(part, nn.ModuleList | nn.Sequential)]
    for layer in [layer for part in lists for layer in part] or [model]:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
