"""Peak memory of an EvoNorm layer's forward and backward pass, in a process of its own.

`python -m bench.evonorm_memory NAME THREADS` is that process; `peak_tensors` starts it.
"""

from __future__ import annotations

import sys
from functools import partial

import torch

from .evonorm_peers import Case, ours
from .memory import growth, in_a_process

SHAPE = (128, 64, 56, 56)  # large, so that what torch itself allocates at its first calls does not count


def peak_tensors(name: str, threads: int) -> float:
    """Bytes by which the resident set grows at most, in tensors of the input's size."""
    return in_a_process("bench.evonorm_memory", name, str(threads))


def _measure(name: str, threads: int) -> float:
    torch.set_num_threads(threads)
    function = partial(ours, name=name)
    Case((2, 64, 9, 9)).both(function)()

    def both() -> tuple[Case, object]:
        case = Case(SHAPE)
        return case, case.both(function)()

    (case, _), increase = growth(both)
    return increase / case.x.nbytes


if __name__ == "__main__":
    print(_measure(sys.argv[1], int(sys.argv[2])))
