"""Peak memory of one solve, in a process of its own, where nothing else has left room to be reused.

`python -m bench.memory FOLDER` is that process; `peak_increase` starts it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import torch

from .measure import DisagreementError
from .poisson_problems import Outcome, Problem

T = TypeVar("T")

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
WHOLE_MACHINE = Path("/proc/meminfo")
HERE = Path(__file__).parents[1]


def measurable() -> bool:
    return STATUS.exists()


def peak_increase(problem: Problem, tolerance: float, threads: int) -> int:
    """Bytes by which the resident set grows at most, from before the inputs are there to after the solve."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "rhs.npy", problem.rhs)
        np.save(folder / "solid.npy", problem.solid if problem.solid is not None else np.zeros(0, dtype=bool))
        options = {"boundary": problem.boundary, "tolerance": tolerance, "threads": threads}
        (folder / "options.json").write_text(json.dumps(options))
        return int(in_a_process("bench.memory", str(folder)))


def in_a_process(module: str, *arguments: str) -> float:
    """The number that `python -m MODULE ARGUMENTS` prints."""
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    command, environment = [sys.executable, "-m", module, *arguments], os.environ | {"PYTHONPATH": path}
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if child.returncode != 0:
        raise DisagreementError(f"the process that measures memory failed: {child.stderr.strip()[-300:]}")
    return float(child.stdout)


def growth(run: Callable[[], T]) -> tuple[T, int]:
    """What `run` returns, and the bytes by which the resident set grew at most."""
    before = resident("VmRSS")
    # Forget the peak of the imports; where that is refused, the result can only come out larger.
    if os.access(RESET, os.W_OK):
        RESET.write_text("5")
    result = run()
    return result, resident("VmHWM") - before


def _measure(folder: Path) -> int:
    options = json.loads((folder / "options.json").read_text())
    boundary = tuple((lower, upper) for lower, upper in options["boundary"])
    torch.set_num_threads(options["threads"])
    _load_everything(boundary)

    def solve() -> tuple[Problem, Outcome]:
        rhs, solid = np.load(folder / "rhs.npy"), np.load(folder / "solid.npy")
        problem = Problem(rhs, boundary, solid if solid.size else None)
        return problem, problem.solve(options["tolerance"])

    (problem, outcome), increase = growth(solve)
    problem.check("fastsciml", outcome.u, options["tolerance"])
    return increase


def _load_everything(boundary: tuple[tuple[str, str], ...]) -> None:
    """Code is read from disk at its first call, and would count."""
    rhs = np.random.default_rng(0).standard_normal((16,) * len(boundary))
    Problem(rhs, boundary, rhs > 2).solve(1e-6)


def resident(name: str) -> int:
    return _bytes(STATUS, name)


def available() -> int | None:
    """Bytes that programs may still take without swapping, None where the system does not tell."""
    return _bytes(WHOLE_MACHINE, "MemAvailable") if WHOLE_MACHINE.exists() else None


def _bytes(table: Path, name: str) -> int:
    for line in table.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"{table} has no {name}")


if __name__ == "__main__":
    print(_measure(Path(sys.argv[1])))
