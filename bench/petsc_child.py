"""PETSc's side of the comparison, in processes of its own: petsc4py may live in another interpreter than torch.

`[mpiexec -n N] python petsc_child.py FOLDER SOLVER TOLERANCE` reads FOLDER/system.npz (a matrix in CSR form, `rhs`, and
for "pcmg" the `shape` of the grid), solves, writes FOLDER/SOLVER.npy and prints what it took as JSON. Without
arguments it prints what this PETSc is.

Nothing here may import more than NumPy and petsc4py.
"""

import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import petsc4py

petsc4py.init(["petsc_child"])
from petsc4py import PETSc  # noqa: E402

WORLD = PETSc.COMM_WORLD
Options = dict[str, Any]

# The unpreconditioned residual is the one that every competitor is asked to lower.
KRYLOV: Options = {"ksp_type": "cg", "ksp_norm_type": "unpreconditioned", "ksp_max_it": 200}
# PETSc's defaults, but for hypre's threshold, which its manual advises in 3D, and the smoother of geometric multigrid:
# one symmetric sweep took less time in all than the default two, or Chebyshev.
SOLVERS: dict[str, Options] = {
    "hypre": {"pc_type": "hypre", "pc_hypre_type": "boomeramg", "pc_hypre_boomeramg_strong_threshold": 0.5},
    "gamg": {"pc_type": "gamg"},
    "pcmg": {
        "pc_type": "mg",
        "pc_mg_galerkin": "both",
        "mg_levels_ksp_type": "richardson",
        "mg_levels_ksp_max_it": 1,
        "mg_levels_pc_type": "sor",
    },
}
COARSE_ENOUGH = 5  # points per axis


def main(folder: Path, solver: str, tolerance: float) -> None:
    stored = np.load(folder / "system.npz")
    grid = _grid(stored["shape"]) if solver == "pcmg" else None
    matrix, rhs = _distribute(stored, grid)
    options = KRYLOV | SOLVERS[solver] | ({"pc_mg_levels": _levels(stored["shape"])} if grid is not None else {})
    for name, value in options.items():
        PETSc.Options().setValue(name, value)
    u = rhs.duplicate()
    WORLD.barrier()
    start = perf_counter()
    ksp = PETSc.KSP().create(WORLD)
    ksp.setOperators(matrix)
    ksp.setTolerances(rtol=tolerance)
    if grid is not None:
        ksp.setDM(grid)
        ksp.setDMActive(False)  # it lends its interpolation, not its matrix
    ksp.setFromOptions()
    ksp.solve(rhs, u)
    WORLD.barrier()
    seconds = perf_counter() - start
    _save(folder / f"{solver}.npy", u)
    _print({"seconds": seconds, "iterations": ksp.getIterationNumber()})


def describe() -> None:
    version = ".".join(map(str, PETSc.Sys.getVersion()))
    _print({"version": version, "processes": WORLD.size, "hypre": PETSc.Sys.hasExternalPackage("hypre")})


def _grid(shape: Any) -> Any:
    """PETSc's first axis is the fastest, NumPy's last; processes split the slowest, so that rows keep their order."""
    return PETSc.DMDA().create(
        dim=3, dof=1, sizes=[int(n) for n in shape[::-1]], proc_sizes=(1, 1, WORLD.size), stencil_width=1, comm=WORLD
    )


def _levels(shape: Any) -> int:
    """As deep as points keep lying on points: 129, 65, 33, 17, 9, 5."""
    n, levels = int(min(shape)), 1
    while n % 2 == 1 and n > COARSE_ENOUGH:
        n, levels = (n + 1) // 2, levels + 1
    return levels


def _distribute(stored: Any, grid: Any) -> tuple[Any, Any]:
    """The matrix and the right-hand side, each process holding rows that follow each other."""
    rows = len(stored["rhs"])
    rhs = PETSc.Vec().createMPI(rows, comm=WORLD) if grid is None else grid.createGlobalVec()
    first, last = rhs.getOwnershipRange()
    ends = stored["indptr"][first : last + 1]
    own = slice(ends[0], ends[-1])
    csr = (ends - ends[0], stored["indices"][own], stored["data"][own])
    matrix = PETSc.Mat().createAIJ(((last - first, rows),) * 2, csr=csr, comm=WORLD)
    rhs.setArray(stored["rhs"][first:last])
    return matrix, rhs


def _save(path: Path, u: Any) -> None:
    scatter, whole = PETSc.Scatter.toZero(u)
    scatter.scatter(u, whole)
    if WORLD.rank == 0:
        np.save(path, whole.getArray())


def _print(told: dict[str, Any]) -> None:
    if WORLD.rank == 0:
        print(json.dumps(told))


if __name__ == "__main__":
    if len(sys.argv) == 1:
        describe()
    else:
        main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
