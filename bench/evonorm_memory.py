"""Peak memory of an EvoNorm layer's forward and backward pass, in a process of its own.

`python -m bench.evonorm_memory NAME THREADS` is that process; `peak_tensors` starts it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import torch

from .evonorm_peers import Case, ours
from .measure import DisagreementError
from .memory import HERE, RESET, resident

SHAPE = (128, 64, 56, 56)  # large, so that what torch itself allocates at its first calls does not count


def peak_tensors(name: str, threads: int) -> float:
    """Bytes by which the resident set grows at most, in tensors of the input's size."""
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "bench.evonorm_memory", name, str(threads)]
    child = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    if child.returncode != 0:
        raise DisagreementError(f"the process that measures memory failed: {child.stderr.strip()[-300:]}")
    return float(child.stdout)


def _measure(name: str, threads: int) -> float:
    torch.set_num_threads(threads)
    function = partial(ours, name=name)
    Case((2, 64, 9, 9)).both(function)()
    before = resident("VmRSS")
    if os.access(RESET, os.W_OK):
        RESET.write_text("5")
    case = Case(SHAPE)
    result = case.both(function)()
    peak = resident("VmHWM")
    assert len(result) == 5
    return (peak - before) / (case.x.numel() * case.x.element_size())


if __name__ == "__main__":
    print(_measure(sys.argv[1], int(sys.argv[2])))
