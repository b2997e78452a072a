"""Models by name: what a run's settings and a trained model's file say in place of a class."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from fastsciml.data import OperatorData
from fastsciml.operators.mgno import MgNO

MODELS: dict[str, Any] = {"mgno": MgNO}


@dataclass(frozen=True)
class ModelDescription:
    """What a model is built from.

    Attributes:
        name: of `MODELS`.
        preset: published settings. None: none.
        arguments: of the class, or those that differ from the preset.
    """

    name: str
    preset: str | None
    arguments: Mapping[str, Any]

    @classmethod
    def for_data(cls, name: str, preset: str, changes: Mapping[str, Any], data: OperatorData) -> ModelDescription:
        """With the channels and axes of data."""
        of_data = {"in_channels": data.x.shape[1], "out_channels": data.y.shape[1], "dims": data.x.ndim - 2}
        return cls(name, preset, {**of_data, **changes})

    def build(self, seed: int = 0, *, checkpoint_gradients: bool = False) -> nn.Module:
        """The model with its first weights, which the seed decides, on the CPU.

        Args:
            seed: of the weights.
            checkpoint_gradients: passed on as `checkpoint` where the class takes that.

        Raises:
            ValueError: a name or an argument is unknown, or a value does not fit.
        """
        if self.name not in MODELS:
            raise ValueError(f"model must be one of {', '.join(MODELS)}, got {self.name!r}")
        model_class = MODELS[self.name]
        taken = inspect.signature(model_class).parameters
        unknown = set(self.arguments) - set(taken)
        if unknown and not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
            raise ValueError(f"{model_class.__name__} has no {', '.join(sorted(unknown))}")
        arguments = dict(self.arguments)
        if checkpoint_gradients and "checkpoint" in taken:
            arguments["checkpoint"] = True
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = model_class(**arguments) if self.preset is None else model_class.preset(self.preset, **arguments)
        assert isinstance(model, nn.Module)
        return model

    def of(self, model: nn.Module) -> ModelDescription:
        """With all arguments, where the model tells them, so that later changes of the preset do not matter."""
        settings: Any = getattr(model, "settings", None)
        if settings is None:
            return self
        told: Mapping[str, Any] = settings()
        return ModelDescription(self.name, None, {name: v for name, v in told.items() if name != "checkpoint"})

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "arguments": dict(self.arguments)}
