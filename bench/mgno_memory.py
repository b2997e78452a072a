"""Peak memory of a layer of MgNO, forward and backward, in a process of its own.

`python -m bench.mgno_memory NAME THREADS` is that process; `peak_tensors` starts it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch

from .memory import growth, in_a_process
from .mgno_peers import Case

EXTENTS = (256, 256)
# The name of a competitor: how its layer is made, and whether its tensors are channels_last.
NAMES = ("ours", "ours, made anew", "contiguous", "channels_last")


def peak_tensors(name: str, threads: int) -> float:
    """Bytes by which the resident set grows at most, in tensors of the input's size, which is one of them."""
    return in_a_process("bench.mgno_memory", name, str(threads))


def _measure(name: str, threads: int) -> float:
    torch.set_num_threads(threads)
    last = name == "channels_last"

    def both(case: Case) -> Sequence[torch.Tensor]:
        layer = case.ours(name == "ours, made anew") if name.startswith("ours") else case.modules(last)
        return case.both(layer, last)()

    both(Case((32, 32), batch=1))

    def run() -> tuple[Case, Sequence[torch.Tensor]]:
        case = Case(EXTENTS)
        return case, both(case)

    (case, _), increase = growth(run)
    return increase / case.f.nbytes


if __name__ == "__main__":
    print(_measure(sys.argv[1], int(sys.argv[2])))
