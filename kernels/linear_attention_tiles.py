"""How the linear attention kernels cut their work: data beside the shape rule that picks it. Needs no triton."""

from __future__ import annotations

from dataclasses import dataclass, replace

# A sequence's states are made one after another. Where that keeps fewer programs busy than a GPU runs at once, or where
# one sum over the sequence is all that is needed, sequences are cut into segments of so many chunks.
SEGMENT = 16
ENOUGH = 512
# The smallest operand of a product in the tensor cores.
LEAST = 16


@dataclass(frozen=True)
class Tiles:
    """Of one program: a block [depth, width] of a state, or [chunk, width] of the output; depth and keys are walked."""

    chunk: int
    depth: int
    width: int
    warps: int
    stages: int
    keys: int = LEAST  # of the output: how many of the chunk at a time


# The widest that spill no register on sm_80, sm_90 and sm_100, rows without alignment included. Chunks of 64 tokens in
# float64 would spill; both kernels of a dtype have the same chunks. The states' blocks are narrow, since a sequence's
# chunks are walked one after another: they give a GPU more programs. Of float32's products each operand is held twice,
# as what TF32 can keep of it and the rest, so that few keys at a time are what lets an output be 64 columns wide.
STATES = {
    "bfloat16": Tiles(64, 64, 32, 4, 3),
    "float16": Tiles(64, 64, 32, 4, 3),
    "float32": Tiles(64, 32, 64, 8, 3),
    "float64": Tiles(32, 32, 32, 8, 3),
}
OUTPUTS = {
    "bfloat16": Tiles(64, 32, 64, 8, 1, 64),
    "float16": Tiles(64, 32, 64, 8, 1, 32),
    "float32": Tiles(64, 16, 64, 8, 1, 16),
    "float64": Tiles(32, 16, 16, 4, 1, 32),
}
# With decay, which takes registers for the weights of pairs.
DECAYED_OUTPUTS = OUTPUTS | {"bfloat16": Tiles(64, 32, 64, 8, 1, 32), "float32": Tiles(64, 32, 32, 8, 1, 16)}
# Where products take their operands from shared memory (compute capability 9 and 10), registers suffice for more keys.
FROM_SHARED_MEMORY = (9, 10)
WIDE_OUTPUTS = {"float32": Tiles(64, 32, 64, 8, 1, 32)}


def outputs(dtype: str, decayed: bool, capability: int | None) -> Tiles:
    """For a device's major compute capability; None: any."""
    if capability in FROM_SHARED_MEMORY and dtype in WIDE_OUTPUTS:
        return WIDE_OUTPUTS[dtype]
    return (DECAYED_OUTPUTS if decayed else OUTPUTS)[dtype]


def segment(chunk: int) -> int:
    """Tokens; a power of two."""
    return SEGMENT * chunk


def cuts(programs: int, longest: int, tokens: int) -> bool:
    """Whether segments of so many tokens are worth their second walk."""
    return programs < ENOUGH and longest > tokens


def fitted(tiles: Tiles, depth: int, width: int) -> Tiles:
    """No larger than a state [depth, width] asks for."""
    return replace(tiles, depth=_block(depth, tiles.depth), width=_block(width, tiles.width))


def _block(extent: int, most: int) -> int:
    return min(max(1 << (extent - 1).bit_length(), LEAST), most)
