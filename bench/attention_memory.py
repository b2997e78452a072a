"""Peak memory of linear attention's forward and backward pass, in a process of its own.

`python -m bench.attention_memory LENGTH THREADS` is that process; `peak_tensors` starts it.
"""

from __future__ import annotations

import os
import subprocess
import sys

import torch

from .attention_peers import Case, ours
from .measure import DisagreementError
from .memory import HERE, RESET, resident

LENGTH = 2**17


def peak_tensors(threads: int) -> float:
    """Bytes by which the resident set grows at most, in tensors of q's size."""
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "bench.attention_memory", str(LENGTH), str(threads)]
    child = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    if child.returncode != 0:
        raise DisagreementError(f"the process that measures memory failed: {child.stderr.strip()[-300:]}")
    return float(child.stdout)


def _measure(length: int, threads: int) -> float:
    torch.set_num_threads(threads)
    Case(100, heads=1).both(ours)()
    before = resident("VmRSS")
    if os.access(RESET, os.W_OK):
        RESET.write_text("5")
    case = Case(length, heads=2)
    result = case.both(ours)()
    peak = resident("VmHWM")
    assert len(result) == 4
    return (peak - before) / (case.dout.numel() * case.dout.element_size())


if __name__ == "__main__":
    print(_measure(int(sys.argv[1]), int(sys.argv[2])))
