"""One training run of a direction network, written down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from fastsciml.directions.networks import NETWORKS
from fastsciml.directions.problems import PROBLEMS
from fastsciml.directions.right_hand_sides import LOW_SHARE

Schedule = Literal["constant", "cosine"]
Amp = Literal["none", "bfloat16"]
# What right-hand sides depend on; they are made anew where one of these changes.
OF_DATA = ("problem", "size", "dims", "geometries", "ritz", "low_share", "count", "validation", "seed")


@dataclass(frozen=True)
class Settings:
    """Everything that the result depends on; rate, batch and share of low Ritz vectors as published.

    Attributes:
        network: a name of `networks.NETWORKS`.
        changes: the network's arguments that differ from that.
        start: weights to begin with, of the same network on any grid: a file or name as `load_direction` takes it.
            None: random ones.
        problem: a name of `problems.PROBLEMS`.
        size: cells along each axis.
        dims: axes of the grid.
        geometries: random ones, of "obstacles"; each has its own basis and right-hand sides.
        ritz: Lanczos vectors that right-hand sides are combined from.
        low_share: of the Ritz vectors, whose coefficients are weighted up.
        count: right-hand sides to train on, of each geometry.
        validation: others to validate on, of each geometry.
        epochs: passes over the right-hand sides, at most.
        batch: of one geometry, in a step.
        steps: of conjugate directions before the loss is taken; published: 1.
        rate: Adam's.
        schedule: of the rate, step by step: "constant", or "cosine" to 0 at the last epoch's end.
        patience: epochs without a lower validation loss before training ends. None: it does not.
        amp: dtype of autocast while training.
        seed: of geometries, right-hand sides, first weights and shuffling.

    Raises:
        ValueError: a number or a name does not fit.

    Source: Kaneda et al., "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems" (ICML 2023), and
    the code published with it.
    """

    network: str = "dcdm-64"
    changes: Mapping[str, Any] = field(default_factory=dict)
    start: str | None = None
    problem: str = "plume"
    size: int = 32
    dims: int = 3
    geometries: int = 1
    ritz: int = 1600
    low_share: float = LOW_SHARE
    count: int = 5000
    validation: int = 200
    epochs: int = 50
    batch: int = 10
    steps: int = 1
    rate: float = 1e-4
    schedule: Schedule = "constant"
    patience: int | None = 10
    amp: Amp = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        names = {"network": NETWORKS, "problem": PROBLEMS, "schedule": get_args(Schedule), "amp": get_args(Amp)}
        for name, known in {**names, "dims": (2, 3)}.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(map(str, known))}, got {getattr(self, name)!r}")
        optional = [] if self.patience is None else ["patience"]
        for name in ("geometries", "ritz", "count", "validation", "epochs", "batch", "steps", *optional):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.size < 4:
            raise ValueError(f"size must be at least 4, got {self.size}")
        if self.geometries > 1 and self.problem != "obstacles":
            raise ValueError(f'geometries are of "obstacles"; there is one "{self.problem}", got {self.geometries}')
        if not 0 <= self.low_share <= 1:
            raise ValueError(f"low_share must lie between 0 and 1, got {self.low_share}")
        if not 0 < self.rate < math.inf:
            raise ValueError(f"rate must be positive and finite, got {self.rate}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along each axis."""
        return (self.size,) * self.dims

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` takes, of types that JSON has."""
        return {**asdict(self), "changes": dict(self.changes)}

    def of_data(self) -> dict[str, Any]:
        """What the right-hand sides depend on."""
        return {name: getattr(self, name) for name in OF_DATA}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Of what `to_dict` gave, also after JSON.

        Raises:
            ValueError: a name is unknown, or a value does not fit.
        """
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
        return cls(**values)
