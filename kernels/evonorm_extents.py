"""The extents of a tensor as the EvoNorm kernels take them (kernels/evonorm_blocks.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastsciml.kernels.evonorm_tiles import Held, Stage, stage
from torch import Tensor

MOST_UNIT = 16  # elements that a load takes at once, at most


@dataclass(frozen=True)
class Extents:
    """Of a dense x [N, C, ...], contiguous or channels_last; a space of one position counts as contiguous."""

    samples: int
    channels: int
    space: int
    interleaved: bool
    unit_channels: int
    unit_space: int

    @staticmethod
    def of(x: Tensor, groups: int = 1) -> Extents:
        samples, channels = x.shape[:2]
        space = x.numel() // (samples * channels)
        interleaved = not x.is_contiguous()
        return Extents(samples, channels, space, interleaved, _unit(channels // groups), _unit(space))

    @property
    def channel_units(self) -> int:
        return self.channels // self.unit_channels

    @property
    def space_units(self) -> int:
        return self.space // self.unit_space

    def group_channels(self, groups: int) -> int:
        return self.channels // groups

    def stage(self) -> Stage:
        return stage(self.samples, self.channels, self.space, self.interleaved)

    def grid(self, tiles: Stage) -> tuple[int, int, int]:
        return tiles.chunks, -(-self.channels // tiles.channels), self.samples

    def constants(self, tiles: Held | Stage) -> dict[str, Any]:
        steps = {"STEPS": tiles.steps} if isinstance(tiles, Stage) else {}
        return steps | {
            "UNIT_C": self.unit_channels,
            "UNIT_S": self.unit_space,
            "INTERLEAVED": self.interleaved,
            "WIDE": self.channels * self.space >= 2**31,
            "BLOCK_C": tiles.channels,
            "BLOCK_S": tiles.positions,
            "num_warps": tiles.warps,
        }


def _unit(extent: int) -> int:
    return min(MOST_UNIT, extent & -extent)
