"""One training run, written down: how it is trained, and the model and data that it is of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from fastsciml.operators.losses import RelativeH1, RelativeL2, RelativeNorm
from fastsciml.operators.normaliser import Scope

Loss = Literal["h1", "l2"]
Schedule = Literal["one-cycle", "constant"]
Optimizer = Literal["adam", "adamw"]
Amp = Literal["none", "bfloat16", "float16"]


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained; rate, batch, epochs and loss as published for MgNO's Darcy flow.

    Attributes:
        loss: "h1" or "l2", relative.
        side: of the box that the grid covers, for slopes in H1.
        periodic: whether the grid is, likewise.
        epochs: passes over the training data.
        batch: samples in a step, over all processes together.
        rate: largest one.
        schedule: of the rate, step by step: "one-cycle" (Smith and Topin 2018, torch's OneCycleLR) or "constant".
        optimizer: "adam" or "adamw".
        weight_decay: of the optimizer.
        clip: largest norm of a gradient. None: any.
        normalise_x: by mean and deviation per "channel", per "point", or "none".
        normalise_y: likewise; the model's output is decoded before the loss.
        seed: of first weights and shuffling.
        amp: dtype of autocast while training; float16 is for CUDA.
        checkpoint_gradients: compute layers anew in the backward pass instead of keeping what they computed.
        compile: whether torch.compile compiles the model for training.

    Raises:
        ValueError: a number or a name does not fit.
    """

    loss: Loss = "h1"
    side: float = 2 * math.pi
    periodic: bool = False
    epochs: int = 500
    batch: int = 8
    rate: float = 5e-4
    schedule: Schedule = "one-cycle"
    optimizer: Optimizer = "adam"
    weight_decay: float = 0.0
    clip: float | None = None
    normalise_x: Scope = "channel"
    normalise_y: Scope = "channel"
    seed: int = 0
    amp: Amp = "none"
    checkpoint_gradients: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        names = {"loss": Loss, "schedule": Schedule, "optimizer": Optimizer, "amp": Amp}
        for name, known in {**names, "normalise_x": Scope, "normalise_y": Scope}.items():
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name} must be one of {', '.join(get_args(known))}, got {getattr(self, name)!r}")
        for name in ("epochs", "batch", "rate", "side", *(["clip"] if self.clip is not None else [])):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")
        for name in ("weight_decay", "seed"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be finite and not negative, got {getattr(self, name)}")

    def losses(self) -> dict[str, RelativeNorm]:
        """What is reported, by name; `loss` is one of them."""
        return {"l2": RelativeL2(), "h1": RelativeH1(self.side, periodic=self.periodic)}

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` takes, of types that JSON has."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingSettings:
        """Of what `to_dict` gave, also after JSON.

        Raises:
            ValueError: a name is unknown, or a value does not fit.
        """
        return cls(**_known(cls, values))


@dataclass(frozen=True)
class RunSettings:
    """Everything that a run's result depends on.

    Attributes:
        model: "mgno".
        preset: of the model.
        changes: the model's arguments that differ from the preset.
        data: a file as `load_operator_data` reads it, or None.
        test_data: another one to test on. None: the last samples of the same.
        generate: the problem that data are made of instead: a name of `fastsciml.operators.problems`.
        samples: to be generated.
        resolution: of their grid.
        refine: of the grid that they are solved on. None: the problem's own.
        data_seed: of the generated samples.
        train: samples trained on, the first ones. None: all that are not tested on.
        test: samples tested on, the last ones, or with `test_data` the first ones.
        subsample: every how many points of each axis are kept.
        one_step: learn each channel of y, a record in time, from the one before; x is that before the first.
        training: how it is trained.

    Raises:
        ValueError: a number does not fit, or there is not exactly one source of data.
    """

    model: str = "mgno"
    preset: str = "darcy-rough"
    changes: Mapping[str, Any] = field(default_factory=dict)
    data: str | None = None
    test_data: str | None = None
    generate: str | None = None
    samples: int = 1100
    resolution: int = 65
    refine: int | None = None
    data_seed: int = 0
    train: int | None = None
    test: int = 100
    subsample: int = 1
    one_step: bool = False
    training: TrainingSettings = field(default_factory=TrainingSettings)

    def __post_init__(self) -> None:
        if (self.data is None) == (self.generate is None):
            raise ValueError("data must come from a file or be generated: give one of data and generate")
        if self.generate is not None and self.test_data is not None:
            raise ValueError("test_data goes with data from a file, not with generated ones")
        if self.data_seed < 0:
            raise ValueError(f"data_seed must not be negative, got {self.data_seed}")
        optional = [name for name in ("train", "refine") if getattr(self, name) is not None]
        for name in ("samples", "resolution", "test", "subsample", *optional):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` takes, of types that JSON has."""
        return {**asdict(self), "changes": dict(self.changes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunSettings:
        """Of what `to_dict` gave, also after JSON.

        Raises:
            ValueError: a name is unknown, or a value does not fit.
        """
        known = _known(cls, values)
        return cls(**{**known, "training": TrainingSettings.from_dict(known.get("training", {}))})


def _known(cls: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(values) - {f.name for f in fields(cls)}
    if unknown:
        raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
    return dict(values)
