"""How the Triton kernels cut their work: data beside the shape rule that picks it. Needs no triton."""

from __future__ import annotations

from dataclasses import dataclass

ELEMENTS_OF_FEW_WARPS, ELEMENTS_OF_MANY_WARPS = 1024, 512  # per warp


@dataclass(frozen=True)
class Capacity:
    """What one program may hold in registers, found by what ptxas spills; few warps were faster on an H200.

    Attributes:
        elements, many: the largest group, and the number of channels from which it may have half as many.
        few, summed: the largest group for few warps, and the most elements times channels, whose sums are held, too.
    """

    elements: int
    many: int
    few: int
    summed: int

    def holds(self, channels: int, elements: int) -> bool:
        return elements <= (self.elements // 2 if channels >= self.many else self.elements)

    def warps(self, channels: int, elements: int) -> int:
        few = elements <= self.few and channels * elements <= self.summed
        return max(1, elements // (ELEMENTS_OF_FEW_WARPS if few else ELEMENTS_OF_MANY_WARPS))


FORWARD = Capacity(elements=8192, many=8, few=4096, summed=1 << 16)
BACKWARD = Capacity(elements=8192, many=16, few=2048, summed=1 << 14)
# A group's channels at one position, where channels interleave: less than a sector of memory would be read in vain.
SECTOR_BYTES = 32
# What a program of a stage takes at a time, how many programs fill a GPU, and into how many chunks a space is cut.
STAGE_ELEMENTS, STAGE_CHANNELS, STAGE_ELEMENTS_PER_WARP = 2048, 64, 512
ENOUGH_PROGRAMS, MOST_CHUNKS = 1024, 64
MERGED_ELEMENTS = 1024  # partial results that a program merges at a time
MOST_SUMMED = 32  # samples, and channels of each, that a program adds up at a time


@dataclass(frozen=True)
class Held:
    """A group as one block of [channels, positions]."""

    channels: int
    positions: int
    warps: int


@dataclass(frozen=True)
class Stage:
    """Blocks of [channels, positions], `steps` of which one after another are a chunk of the space."""

    channels: int
    positions: int
    steps: int
    chunks: int

    @property
    def warps(self) -> int:
        return max(1, self.channels * self.positions // STAGE_ELEMENTS_PER_WARP)

    @property
    def chunk_positions(self) -> int:
        return self.positions * self.steps


def next_power_of_2(n: int) -> int:
    return 1 << (n - 1).bit_length()


def held_group(group_channels: int, space: int, interleaved: bool, element_size: int, backward: bool) -> Held | None:
    """The block of a group, or None where the group goes by stages."""
    channels, positions = next_power_of_2(group_channels), next_power_of_2(space)
    capacity, elements = BACKWARD if backward else FORWARD, channels * positions
    in_pieces = interleaved and space > 1 and group_channels * element_size < SECTOR_BYTES
    if in_pieces or not capacity.holds(channels, elements):
        return None
    return Held(channels, positions, capacity.warps(channels, elements))


def stage(samples: int, channels: int, space: int, interleaved: bool) -> Stage:
    """Along memory, and across it where that fills a block."""
    if interleaved:
        block_channels = min(next_power_of_2(channels), STAGE_CHANNELS)
        positions = min(next_power_of_2(space), STAGE_ELEMENTS // block_channels)
    else:
        positions = min(next_power_of_2(space), STAGE_ELEMENTS)
        block_channels = min(next_power_of_2(channels), STAGE_ELEMENTS // positions)
    blocks = -(-space // positions)
    programs = samples * -(-channels // block_channels)
    chunks = min(blocks, max(1, ENOUGH_PROGRAMS // programs), MOST_CHUNKS)
    steps = next_power_of_2(-(-blocks // chunks))
    return Stage(block_channels, positions, steps, -(-blocks // steps))


def summed_block(samples: int, channels: int) -> tuple[int, int]:
    """Samples and channels that a program adds up at a time."""
    return min(next_power_of_2(samples), MOST_SUMMED), min(next_power_of_2(channels), MOST_SUMMED)


def merged_channels(channels: int, chunks: int) -> int:
    """Channels whose partial results a program merges at a time."""
    return min(next_power_of_2(channels), max(1, MERGED_ELEMENTS // next_power_of_2(chunks)))
