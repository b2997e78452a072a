"""Peak memory of linear attention's forward and backward pass, in a process of its own.

`python -m bench.attention_memory LENGTH THREADS` is that process; `peak_tensors` starts it.
"""

from __future__ import annotations

import sys

import torch

from .attention_peers import Case, ours
from .memory import growth, in_a_process

LENGTH = 2**17


def peak_tensors(threads: int) -> float:
    """Bytes by which the resident set grows at most, in tensors of q's size."""
    return in_a_process("bench.attention_memory", str(LENGTH), str(threads))


def _measure(length: int, threads: int) -> float:
    torch.set_num_threads(threads)
    Case(100, heads=1).both(ours)()

    def both() -> tuple[Case, object]:
        case = Case(length, heads=2)
        return case, case.both(ours)()

    (case, _), increase = growth(both)
    return increase / case.dout.nbytes


if __name__ == "__main__":
    print(_measure(int(sys.argv[1]), int(sys.argv[2])))
