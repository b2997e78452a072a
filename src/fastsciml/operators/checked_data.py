"""Refusing data that no operator can learn from, before the first step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fastsciml.data import OperatorData


def check_data(train: OperatorData, test: OperatorData) -> None:
    """Refuse values that are not finite, functions without a relative error, and channels that differ.

    Raises:
        ValueError: with the name of what does not fit, and the first sample in which.
    """
    for name, data in (("training data", train), ("test data", test)):
        for letter, tensor in (("x", data.x), ("y", data.y)):
            broken = _first(~tensor.isfinite().flatten(1).all(1))
            if broken is not None:
                raise ValueError(f"{letter} of the {name} is NaN or infinite in sample {broken}")
        zero = _first(data.y.flatten(1).abs().amax(1) == 0)
        if zero is not None:
            raise ValueError(f"y of the {name} is zero everywhere in sample {zero}: its relative error is not defined")
    of_both = [(data.x.shape[1], data.y.shape[1]) for data in (train, test)]
    if of_both[0] != of_both[1]:
        raise ValueError(
            f"training and test data must have as many channels in x and y, got {of_both[0]}, {of_both[1]}"
        )


@torch.no_grad()
def check_fit(model: nn.Module, train: OperatorData, test: OperatorData) -> None:
    """Try a model on one sample of each.

    Raises:
        ValueError: it refuses x, or makes something of another shape than y of it.
    """
    was = model.training
    model.eval()
    for data in (train, test):
        got = model(data.x[:1]).shape[1:]
        if got != data.y.shape[1:]:
            raise ValueError(f"the model makes {tuple(got)} of x, and y is {tuple(data.y.shape[1:])}")
    model.train(was)


def _first(flags: Tensor) -> int | None:
    found = flags.nonzero()
    return int(found[0]) if len(found) else None
