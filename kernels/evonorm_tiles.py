"""How the Triton kernels cut their work: data beside the shape rule that picks it. Needs no triton."""

from __future__ import annotations

from dataclasses import dataclass

# A group of so many elements is held in a program's registers and read once; more would spill.
MOST_HELD_FORWARD, MOST_HELD_BACKWARD = 8192, 4096
# What a program of the split version, or of a stage, takes at a time.
SPLIT_ELEMENTS = 4096
STAGE_ELEMENTS = 2048
ELEMENTS_PER_WARP, MOST_WARPS = 512, 16


@dataclass(frozen=True)
class Tiles:
    """Of the group kernels: blocks [channels, positions]; where the group is held, one block is all of it."""

    channels: int
    positions: int
    held: bool

    @property
    def warps(self) -> int:
        return max(1, min(MOST_WARPS, self.channels * self.positions // ELEMENTS_PER_WARP))

    @property
    def forward_tensors(self) -> int:
        """Tensors of x's size that the forward pass moves: x once or twice, y."""
        return 2 if self.held else 3

    @property
    def backward_tensors(self) -> int:
        """X and dy once or twice, dx."""
        return 3 if self.held else 5


def next_power_of_2(n: int) -> int:
    return 1 << (n - 1).bit_length()


def group_tiles(channels: int, space: int, most_held: int) -> Tiles:
    """For groups of so many channels and positions, held up to `most_held` elements."""
    block_channels, block_positions = next_power_of_2(channels), next_power_of_2(space)
    if block_channels * block_positions <= most_held:
        return Tiles(block_channels, block_positions, True)
    block_channels = min(block_channels, 16)
    return Tiles(block_channels, min(block_positions, SPLIT_ELEMENTS // block_channels), False)


def stage_tiles(channels: int, space: int, interleaved: bool) -> Tiles:
    """For the stages of B: along memory, and across it where that fills a block."""
    if interleaved:
        block_channels = min(next_power_of_2(channels), 64)
        return Tiles(block_channels, min(next_power_of_2(space), max(1, STAGE_ELEMENTS // block_channels)), False)
    block_positions = min(next_power_of_2(space), STAGE_ELEMENTS)
    return Tiles(min(next_power_of_2(channels), max(1, STAGE_ELEMENTS // block_positions)), block_positions, False)
