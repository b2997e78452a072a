"""Work arrays of solvers that are gone, kept for the next ones: the first touch of fresh memory costs a solve at 128^3
a tenth of its time, since the system clears it page by page.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque

import torch
from torch import Tensor

from fastsciml.ops.huge_pages import empty_in_huge_pages

# What is kept at most: about the arrays of one solver at 256^3.
MOST_BYTES = 1 << 28

# Flat, as float32, by their number of entries. Each operation on a deque is atomic, whatever thread or destructor it
# comes from.
_spare: defaultdict[int, deque[Tensor]] = defaultdict(deque)


def take(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """An array with anything in it."""
    try:
        return _spare[math.prod(shape) * dtype.itemsize // 4].pop().view(dtype).view(shape)
    except IndexError:
        return empty_in_huge_pages(*shape, dtype=dtype)


def give(*arrays: Tensor | None) -> None:
    """Arrays that nobody will use again."""
    for array in arrays:
        if array is None or array.nbytes > MOST_BYTES:
            continue
        if array.nbytes + sum(4 * numel * len(kept) for numel, kept in list(_spare.items())) > MOST_BYTES:
            _spare.clear()
        flat = array.view(-1).view(torch.float32)
        _spare[flat.numel()].append(flat)
