"""Normalising functions on a grid by the mean and standard deviation of training data."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

Scope = Literal["channel", "point", "none"]

EPS = 1e-5  # of the standard deviation of all: what is added to each, so that constant points, as on a wall, are kept


class Normaliser(nn.Module):
    """z = (v - mean) / std, and back. Both are buffers, so that a state dict holds them.

    The UnitGaussianNormalizer of Li et al., "Fourier Neural Operator for Parametric Partial Differential Equations",
    ICLR 2021, is the one per point. One per channel is of no grid.

    Args:
        mean: any floating dtype; broadcasts against [B, channels, *grid], in the unit of v.
        std: of the same shape, positive.

    Raises:
        ValueError: shapes differ, or std is not positive.

    Example:
        >>> normaliser = Normaliser.fit(torch.randn(8, 1, 16, 16) + 3, "channel")
        >>> normaliser.mean.shape
        torch.Size([1, 1, 1, 1])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        if mean.shape != std.shape or not bool((std > 0).all()):
            raise ValueError(f"std must be positive and of mean's shape, got {tuple(std.shape)}, {tuple(mean.shape)}")
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    @classmethod
    def fit(cls, data: Tensor, per: Scope = "channel") -> Normaliser:
        """Of training data [N, channels, *grid].

        Args:
            data: floating, of any size: sums are in float64.
            per: "channel": one mean and deviation for each channel, for any grid. "point": for each channel and point.
                "none": 0 and 1.

        Raises:
            ValueError: there is no such scope.
        """
        if per not in get_args(Scope):
            raise ValueError(f"a normaliser is per {', '.join(get_args(Scope))}, not {per!r}")
        if per == "none":
            one = torch.ones((1,) * data.ndim, dtype=data.dtype, device=data.device)
            return cls(torch.zeros_like(one), one)
        axes = [0] if per == "point" else [0, *range(2, data.ndim)]
        mean = data.mean(axes, keepdim=True, dtype=torch.float64)
        variance = (data - mean).square().mean(axes, keepdim=True, dtype=torch.float64)
        whole = float(variance.mean().sqrt()) or 1.0
        return cls(mean.to(data.dtype), (variance.sqrt() + EPS * whole).to(data.dtype))

    def encode(self, v: Tensor) -> Tensor:
        """Data [B, channels, *grid], floating, to zero mean and unit deviation.

        Raises:
            ValueError: channels or grid are not those it was fit to.
        """
        self._check(v)
        return (v - self.mean) / self.std

    def decode(self, z: Tensor) -> Tensor:
        """The inverse of `encode`, [B, channels, *grid] likewise.

        Raises:
            ValueError: channels or grid are not those it was fit to.
        """
        self._check(z)
        return z * self.std + self.mean

    def forward(self, v: Tensor) -> Tensor:
        """`encode`: [B, channels, *grid] -> the same."""
        return self.encode(v)

    def _check(self, v: Tensor) -> None:
        fitted, there = self.mean.shape[1:], v.shape[1:]
        if len(fitted) != len(there) or any(n not in (1, m) for n, m in zip(fitted, there, strict=True)):
            raise ValueError(
                f"this normaliser is for channels and grid {tuple(fitted)}, got {tuple(there)};"
                " one per channel takes every grid"
            )

    def extra_repr(self) -> str:
        return f"{tuple(self.mean.shape)}"


class NormalisedOperator(nn.Module):
    """A model between normalised functions as one between functions as they are: decode(model(encode(x))).

    Args:
        model: from [B, in_channels, *grid] to [B, out_channels, *grid], of a floating dtype.
        x: what its input is normalised by.
        y: what its output is decoded by.
    """

    def __init__(self, model: nn.Module, x: Normaliser, y: Normaliser) -> None:
        super().__init__()
        self.model, self.x, self.y = model, x, y

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, *grid] -> [B, out_channels, *grid], in x's dtype also where autocast is on.

        Raises:
            ValueError: the normalisers or the model refuse x's shape.
        """
        prediction: Tensor = self.model(self.x.encode(x))
        return self.y.decode(prediction.to(x.dtype))
