"""PETSc's solvers as competitors: finds an interpreter that has petsc4py, and runs `petsc_child.py` in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .poisson_problems import Array, Outcome
from .poisson_systems import System

CHILD = Path(__file__).with_name("petsc_child.py")
PATIENCE = 600  # seconds
# Debian's petsc4py finds its libraries here only where PETSC_DIR says so, unless the headers are installed as well.
DEBIAN = Path("/usr/lib/petscdir")


@dataclass(frozen=True)
class Petsc:
    """How to start PETSc, and what it is."""

    command: tuple[str, ...]
    environment: dict[str, str]
    version: str
    processes: int
    has_hypre: bool

    @classmethod
    def find(cls, processes: int) -> Petsc | None:
        """With that many processes where mpiexec can start them, else with one; None without petsc4py."""
        mpiexec = shutil.which("mpiexec")
        for interpreter in filter(None, (sys.executable, shutil.which("python3", path=os.defpath))):
            environment = _environment(interpreter)
            alone: tuple[str, ...] = (interpreter, str(CHILD))
            together = (mpiexec, "-n", str(processes), *alone) if mpiexec and processes > 1 else alone
            for command, expected in ((together, processes), (alone, 1)):
                try:
                    told = _run(command, environment)
                except ChildProcessError:
                    continue
                if told["processes"] == expected:
                    return cls(command, environment, told["version"], expected, told["hypre"])
        return None

    def run(self, folder: Path, solver: str, tolerance: float) -> dict[str, Any]:
        return _run((*self.command, str(folder), solver, str(tolerance)), self.environment)


class PetscSolver:
    """Conjugate gradients with one of PETSc's preconditioners: "hypre", "gamg" or "pcmg".

    Starting processes, reading the matrix and distributing it are not timed, to the peer's advantage.
    """

    def __init__(self, petsc: Petsc, solver: str, system: System, folder: Path) -> None:
        self.petsc, self.solver, self.system, self.folder = petsc, solver, system, folder

    def solve(self, tolerance: float) -> Outcome:
        told = self.petsc.run(self.folder, self.solver, tolerance)
        u: Array = np.load(self.folder / f"{self.solver}.npy")
        return Outcome(u, told["iterations"], seconds=told["seconds"])


def save(system: System, folder: Path) -> Path:
    """Write what the child reads into `folder`, which is made."""
    folder.mkdir()
    m = system.matrix
    np.savez(folder / "system", indptr=m.indptr, indices=m.indices, data=m.data, rhs=system.rhs, shape=system.shape)
    return folder


def _environment(interpreter: str) -> dict[str, str]:
    """One thread a process, left to the system to place; another interpreter must not see this one's packages."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMPI_MCA_hwloc_base_binding_policy": "none"}
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    if interpreter != sys.executable:
        environment.pop("PYTHONPATH", None)
        for build in sorted(DEBIAN.glob("*/*-real")):
            environment.setdefault("PETSC_DIR", str(build))
    return environment


def _run(command: tuple[str, ...], environment: dict[str, str]) -> dict[str, Any]:
    try:
        child = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ChildProcessError(f"PETSc's process took longer than {PATIENCE} s") from None
    if child.returncode != 0:
        raise ChildProcessError(f"PETSc's process failed: {child.stderr.strip()[-300:]}")
    told: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return told
