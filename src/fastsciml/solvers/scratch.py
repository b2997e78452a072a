"""Arrays of solvers that are gone, and of solutions that nobody has any more, kept for the next ones.

The first touch of fresh memory costs a solve a tenth of its time at 128^3 and more than half at 511^3, since the system
clears it page by page.

While they are kept, the system may take the pages of large ones back whenever it runs short (csrc/core/pages.cpp).

Of the CPU's memory only: that of other devices torch keeps itself.
"""

from __future__ import annotations

import math
import os
import sys
import weakref
from collections import defaultdict, deque

import torch
from torch import Tensor

from fastsciml.ops.pages import advise_spare, empty_in_huge_pages
from fastsciml.solvers.arrays import CPU

# Arrays from this size on are large: the system can take their pages back.
LARGE = 1 << 22


def _most_bytes() -> int:
    """What is kept at most in large arrays: a quarter of the machine's memory; less where no system takes them back."""
    if sys.platform != "linux":
        return 1 << 28
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4


MOST_BYTES = _most_bytes()
MOST_BYTES_IN_SMALL = 1 << 26

# Flat, as float32, by their number of entries. Each operation on a deque is atomic, whatever thread or destructor it
# comes from.
_spare: defaultdict[int, deque[Tensor]] = defaultdict(deque)


def take(*shape: int, dtype: torch.dtype = torch.float32, device: torch.device = CPU) -> Tensor:
    """An array with anything in it."""
    if device != CPU:
        return torch.empty(shape, dtype=dtype, device=device)
    try:
        return _spare[math.prod(shape) * dtype.itemsize // 4].pop().view(dtype).view(shape)
    except IndexError:
        return empty_in_huge_pages(*shape, dtype=dtype)


def take_for_the_caller(*shape: int, dtype: torch.dtype, device: torch.device = CPU) -> Tensor:
    """An array with anything in it, that is given back once no tensor or NumPy array shares its memory any more."""
    array = take(*shape, dtype=dtype, device=device)
    if device != CPU:
        return array
    memory = array.numpy()
    # The result's storage owns `memory`, and `memory` alone.
    weakref.finalize(memory, give, array).atexit = False
    return torch.from_numpy(memory)


def give(*arrays: Tensor | None) -> None:
    """Arrays that nobody will use again."""
    for array in arrays:
        if array is None or array.device != CPU:
            continue
        large = array.nbytes >= LARGE
        most = MOST_BYTES if large else MOST_BYTES_IN_SMALL
        if array.nbytes > most:
            continue
        alike = [(numel, kept) for numel, kept in list(_spare.items()) if (4 * numel >= LARGE) == large]
        if array.nbytes + sum(4 * numel * len(kept) for numel, kept in alike) > most:
            for numel, _ in alike:
                _spare.pop(numel, None)
        flat = array.view(-1).view(torch.float32)
        advise_spare(flat)
        _spare[flat.numel()].append(flat)
