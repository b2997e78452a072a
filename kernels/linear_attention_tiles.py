"""How the linear attention kernels cut their work: data beside the shape rule that picks it. Needs no triton."""

from __future__ import annotations

from dataclasses import dataclass

# Bidirectional attention needs one sum over the sequence, made of pieces of so many tokens side by side.
PIECE = 2048
# The smallest operand of a product in the tensor cores.
LEAST = 16


@dataclass(frozen=True)
class Tiles:
    """Of one program: a block [depth, width] of a state, or [chunk, width] of the output; depth is walked in blocks."""

    chunk: int
    depth: int
    width: int
    warps: int
    stages: int


# The widest that spill no register on sm_80, sm_90 and sm_100, rows without alignment included. Chunks of 64 tokens in
# float32 or float64 would spill; both kernels of a dtype have the same chunks. The states' blocks are narrow, since a
# sequence's chunks are walked one after another: they give a GPU more programs.
STATES = {
    "bfloat16": Tiles(64, 64, 32, 4, 3),
    "float16": Tiles(64, 64, 32, 4, 3),
    "float32": Tiles(32, 32, 32, 8, 3),
    "float64": Tiles(32, 32, 32, 8, 3),
}
OUTPUTS = {
    "bfloat16": Tiles(64, 32, 64, 8, 1),
    "float16": Tiles(64, 32, 32, 8, 1),
    "float32": Tiles(32, 32, 32, 8, 1),
    "float64": Tiles(32, 16, 16, 4, 1),
}
# With decay, which takes registers for the weights of pairs.
DECAYED_OUTPUTS = OUTPUTS | {"bfloat16": Tiles(64, 16, 32, 8, 1), "float16": Tiles(64, 16, 32, 8, 1)}


def fitted(tiles: Tiles, depth: int, width: int) -> Tiles:
    """No larger than a state [depth, width] asks for."""
    return Tiles(tiles.chunk, _block(depth, tiles.depth), _block(width, tiles.width), tiles.warps, tiles.stages)


def _block(extent: int, most: int) -> int:
    return min(max(1 << (extent - 1).bit_length(), LEAST), most)
