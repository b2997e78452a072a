"""What the machine can do at most: the yardstick of every kernel."""

from collections.abc import Callable

import torch

from .measure import interleave

# A quarter of a GB per array, many times any cache of today.
ELEMENTS = 2**25
ROUNDS = 5
# Of the square matrices whose product is timed: 64 MiB in all, half a second's work on a slow core.
MATRIX = 2048


def copy_bandwidth(elements: int = ELEMENTS) -> float:
    """Bytes per second that torch's copy reads and writes, float64, the best of a few rounds.

    The best, not the median: a limit is what the machine can do when nobody disturbs it. The line that a
    store first fetches into the cache is not counted, as in STREAM.
    """
    source, target = torch.ones(elements, dtype=torch.float64), torch.zeros(elements, dtype=torch.float64)
    timing = interleave({"copy": lambda: target.copy_(source)}, ROUNDS)["copy"]
    return 2 * 8 * elements / min(timing.seconds)


def matrix_product(extent: int = MATRIX) -> Callable[[], torch.Tensor]:
    """A product of float32 matrices, `matrix_flops()` flops, to be timed in turn with what it is the yardstick of."""
    matrix = torch.randn(extent, extent)
    return lambda: torch.mm(matrix, matrix)


def matrix_flops(extent: int = MATRIX) -> float:
    return 2.0 * extent**3
