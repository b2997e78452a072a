"""DCDM, the network of deep conjugate directions: a U-shaped residual CNN with one coarse level.

Source: Kaneda, Akar, Chen, Kala, Hyde, Teran, "A Deep Conjugate Direction Method for Iteratively Solving Linear
Systems", ICML 2023.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

# Convolutions before the pooling, residual pairs on the coarse level, residual pairs after it; by the size trained at.
PRESETS: Mapping[str, tuple[int, int, int]] = {"64": (4, 3, 2), "128": (6, 4, 3)}
WIDTH = 3  # of every convolution
HAS_ONEDNN = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


class DCDM(nn.Module):
    """Maps residuals of norm 1 to proposals of search directions.

    A linear convolution to `channels`; convolutions with ReLU, every second one after the first with a residual
    addition; average pooling by 2; residual pairs; nearest upsampling, added to what was before the pooling; residual
    pairs; a linear map to one channel. On odd extents the last pooled cell stands for one cell.

    Args:
        dims: axes of the grid, 2 or 3.
        channels: of every layer.
        layers: convolutions before the pooling, residual pairs after it, residual pairs after the upsampling.

    Raises:
        ValueError: an argument does not fit.

    Source: Kaneda et al., "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems" (ICML 2023).

    Example:
        >>> network = DCDM.preset("64")
        >>> network(torch.randn(10, 1, 32, 32, 32)).shape
        torch.Size([10, 1, 32, 32, 32])
    """

    def __init__(self, dims: int = 3, channels: int = 16, layers: tuple[int, int, int] = PRESETS["64"]) -> None:
        super().__init__()
        if dims not in (2, 3):
            raise ValueError(f"dims must be 2 or 3, got {dims}")
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"channels must be a positive whole number, got {channels!r}")
        self.layers = tuple(layers)
        if len(self.layers) != 3 or not all(isinstance(n, int) and n >= 0 for n in self.layers) or self.layers[0] < 1:
            raise ValueError(f"layers must be three whole numbers, the first one positive, got {layers!r}")
        self.dims, self.channels = dims, channels
        before, coarse, after = self.layers
        self.stem = _convolution(dims, 1, channels)
        self.before = nn.ModuleList(_convolution(dims, channels, channels) for _ in range(before))
        self.coarse = nn.ModuleList(ResidualPair(dims, channels) for _ in range(coarse))
        self.after = nn.ModuleList(ResidualPair(dims, channels) for _ in range(after))
        self.last = _convolution(dims, channels, 1, width=1)

    @classmethod
    def preset(cls, name: str, dims: int = 3) -> DCDM:
        """A published size.

        Args:
            name: "64" or "128", the size of the grids that it was published for.
            dims: axes of the grid.

        Raises:
            ValueError: there is no such size.

        Source of the sizes: the code published with it (ICML 2023).
        """
        if name not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}")
        return cls(dims, layers=PRESETS[name])

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON can hold them."""
        return {"dims": self.dims, "channels": self.channels, "layers": list(self.layers)}

    def forward(self, residual: Tensor) -> Tensor:
        """Proposals [batch, 1, *shape] for residuals [batch, 1, *shape], each of norm 1, in the weights' dtype.

        Raises:
            ValueError: the residuals have another number of axes or channels.
        """
        if residual.ndim != self.dims + 2 or residual.shape[1] != 1:
            wanted = ", ".join(["batch", "1", *"xyz"[: self.dims]])
            raise ValueError(f"residual must be [{wanted}], got {list(residual.shape)}")
        fine = self._before(self.stem(_channels_last(residual)))
        pool = nn.functional.avg_pool3d if self.dims == 3 else nn.functional.avg_pool2d
        # With ceil_mode an odd extent's last window holds a single cell, and is divided by one.
        coarse = pool(fine, [min(2, extent) for extent in fine.shape[2:]], stride=2, ceil_mode=True)
        for pair in self.coarse:
            coarse = pair(coarse)
        values = fine + _upsampled(coarse, fine.shape[2:])
        for pair in self.after:
            values = pair(values)
        out: Tensor = self.last(values)
        return out.contiguous()

    def _before(self, values: Tensor) -> Tensor:
        carried = values
        for i, convolution in enumerate(self.before):
            values = torch.relu(convolution(values))
            if i == 0:
                carried = values
            elif i % 2 == 0:
                values = carried = values + carried
        return values


class ResidualPair(nn.Module):
    """x + relu(conv(relu(conv(x))))."""

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        self.first = _convolution(dims, channels, channels)
        self.second = _convolution(dims, channels, channels)

    def forward(self, values: Tensor) -> Tensor:
        return values + torch.relu(self.second(torch.relu(self.first(values))))


class Convolution3d(nn.Conv3d):
    """Conv3d that takes oneDNN's kernel for a single small sample, too.

    PyTorch 2.13 leaves those to a kernel that takes 6 times as long (16 channels, 32^3 cells: 55 ms instead of 8).
    """

    def forward(self, x: Tensor) -> Tensor:
        plain = torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu")
        if plain or x.device.type != "cpu" or x.dtype != torch.float32 or not HAS_ONEDNN:
            return super().forward(x)
        padding, ones = [(width - 1) // 2 for width in self.kernel_size], [1] * 3
        return torch.mkldnn_convolution(x, self.weight, self.bias, padding, ones, ones, 1)


def _convolution(dims: int, before: int, after: int, width: int = WIDTH) -> nn.Module:
    """With weights as the publication starts from: Glorot's uniform ones, and biases of 0."""
    kind = Convolution3d if dims == 3 else nn.Conv2d
    convolution = kind(before, after, width, padding=(width - 1) // 2)
    # Faster than contiguous: 0.15 instead of 0.20 s for a layer of 10 samples of 32^3 cells, forward and backward.
    convolution.weight.data = _channels_last(convolution.weight.data)
    nn.init.xavier_uniform_(convolution.weight)
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return convolution


def _channels_last(values: Tensor) -> Tensor:
    return values.contiguous(memory_format=torch.channels_last_3d if values.ndim == 5 else torch.channels_last)


def _upsampled(values: Tensor, shape: torch.Size) -> Tensor:
    """Every cell twice along each axis, cut off at `shape`."""
    values = nn.functional.interpolate(values, scale_factor=2, mode="nearest")
    for axis, extent in enumerate(shape):
        values = values.narrow(axis + 2, 0, extent)
    return values
