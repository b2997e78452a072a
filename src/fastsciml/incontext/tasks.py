"""Tasks to be learned in context: batches of examples (x, y) and queries, each of a function of its own.

Distributions are those of von Oswald et al. (ICML 2023) and Akyürek et al. (ICLR 2023); every number is drawn on the
device where it is used.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

Placing = Literal["uniform", "normal"]


@dataclass(frozen=True)
class Tasks:
    """A batch of tasks.

    Attributes:
        x: [B, N, x_dim], the examples' places, of any floating dtype, like all.
        y: [B, N, y_dim], their values.
        x_query: [B, Q, x_dim].
        y_query: [B, Q, y_dim], what is to be predicted.
    """

    x: Tensor
    y: Tensor
    x_query: Tensor
    y_query: Tensor

    @property
    def given(self) -> tuple[Tensor, Tensor, Tensor]:
        """What a learner is called with."""
        return self.x, self.y, self.x_query

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Tasks:
        """The same tasks on another device, in another dtype; None: their own."""
        return Tasks(*(t.to(device, dtype) for t in (self.x, self.y, self.x_query, self.y_query)))

    @property
    def all_x(self) -> Tensor:
        """[B, N + Q, x_dim]."""
        return torch.cat([self.x, self.x_query], 1)

    @property
    def all_y(self) -> Tensor:
        """[B, N + Q, y_dim]."""
        return torch.cat([self.y, self.y_query], 1)


@dataclass(frozen=True)
class TaskDistribution(ABC):
    """Where tasks come from: von Oswald et al. (ICML 2023) and Akyürek et al. (ICLR 2023).

    Attributes:
        x_dim: width of x.
        y_dim: width of y.

    Raises:
        ValueError: a width is not positive.
    """

    x_dim: int = 10
    y_dim: int = 1

    def __post_init__(self) -> None:
        for name in ("x_dim", "y_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    def sample(
        self,
        batch: int,
        examples: int,
        queries: int = 1,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tasks:
        """Draw `batch` tasks with so many examples and queries.

        Args:
            batch: tasks B.
            examples: N.
            queries: Q, from the examples' distribution.
            generator: of the numbers, on `device`. None: torch's own.
            device: where to draw. None: torch's default.
            dtype: of the tensors. None: torch's default.

        Raises:
            ValueError: a number is not positive.
        """
        for name, number in (("batch", batch), ("examples", examples), ("queries", queries)):
            if number < 1:
                raise ValueError(f"{name} must be positive, got {number}")
        draw = _Draw(generator, {"device": device, "dtype": dtype})
        x, y = self._draw(draw, batch, examples + queries)
        return Tasks(x[:, :examples], y[:, :examples], x[:, examples:], y[:, examples:])

    @abstractmethod
    def _draw(self, draw: _Draw, batch: int, points: int) -> tuple[Tensor, Tensor]:
        """Places [batch, points, x_dim] and values [batch, points, y_dim]."""


@dataclass(frozen=True)
class _Draw:
    generator: torch.Generator | None
    options: dict[str, Any]

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return torch.empty(shape, **self.options).uniform_(low, high, generator=self.generator)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, **self.options)


@dataclass(frozen=True)
class LinearTasks(TaskDistribution):
    """y = W x + noise with W ~ N(0, weight_std^2).

    Attributes:
        x_dim: width of x.
        y_dim: width of y.
        x: "uniform" in (-1, 1), as in von Oswald et al. (ICML 2023), or "normal", as in Akyürek et al. (ICLR 2023).
        weight_std: tau, the prior's standard deviation.
        noise: sigma, that of y. Ridge regression with sigma^2 / tau^2 is then the best there is.
        nonzero: how many of each output's weights are not 0. None: all.

    Raises:
        ValueError: a number or a name does not fit.
    """

    x: Placing = "uniform"
    weight_std: float = 1.0
    noise: float = 0.0
    nonzero: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.x not in ("uniform", "normal"):
            raise ValueError(f"x must be 'uniform' or 'normal', got {self.x!r}")
        if not self.weight_std > 0:
            raise ValueError(f"weight_std must be positive, got {self.weight_std}")
        if not self.noise >= 0:
            raise ValueError(f"noise must not be negative, got {self.noise}")
        if self.nonzero is not None and not 1 <= self.nonzero <= self.x_dim:
            raise ValueError(f"nonzero must be from 1 to x_dim, {self.x_dim}, got {self.nonzero}")

    def _draw(self, draw: _Draw, batch: int, points: int) -> tuple[Tensor, Tensor]:
        shape = (batch, points, self.x_dim)
        x = draw.uniform(-1, 1, *shape) if self.x == "uniform" else draw.normal(*shape)
        W = self.weight_std * draw.normal(batch, self.x_dim, self.y_dim)
        if self.nonzero is not None:
            kept = draw.uniform(0, 1, *W.shape).argsort(1).argsort(1) < self.nonzero
            W = W * kept
        y = x @ W
        return x, y + self.noise * draw.normal(*y.shape) if self.noise else y


@dataclass(frozen=True)
class SineTasks(TaskDistribution):
    """y = a sin(x + p) with a in (0.1, 5), p in (0, pi), x in (-5, 5), as in Finn et al. (ICML 2017).

    Attributes:
        x_dim: 1.
        y_dim: 1.

    Raises:
        ValueError: one of them is another number.
    """

    x_dim: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.x_dim, self.y_dim) != (1, 1):
            raise ValueError(f"x_dim and y_dim must be 1 for sine waves, got {self.x_dim} and {self.y_dim}")

    def _draw(self, draw: _Draw, batch: int, points: int) -> tuple[Tensor, Tensor]:
        x = draw.uniform(-5, 5, batch, points, 1)
        amplitude, phase = draw.uniform(0.1, 5, batch, 1, 1), draw.uniform(0, math.pi, batch, 1, 1)
        return x, amplitude * torch.sin(x + phase)


@dataclass(frozen=True)
class TeacherTasks(TaskDistribution):
    """y = W_2 relu(W_1 x) with x, W_1, W_2 ~ N(0, 1), scaled so that y has variance 1: a two-layer teacher per task.

    Two-layer networks are also the tasks of Garg et al., "What Can Transformers Learn In-Context?" (NeurIPS 2022).

    Attributes:
        x_dim: width of x.
        y_dim: width of y.
        hidden: width of the teacher's hidden layer.

    Raises:
        ValueError: a width is not positive.
    """

    hidden: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden < 1:
            raise ValueError(f"hidden must be positive, got {self.hidden}")

    def _draw(self, draw: _Draw, batch: int, points: int) -> tuple[Tensor, Tensor]:
        x = draw.normal(batch, points, self.x_dim)
        first, second = draw.normal(batch, self.x_dim, self.hidden), draw.normal(batch, self.hidden, self.y_dim)
        return x, torch.relu(x @ first) @ second * (2 / (self.x_dim * self.hidden)) ** 0.5
