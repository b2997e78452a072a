"""One multigrid V-cycle for the Poisson operator: the function, its fake kernel and its definition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

if TYPE_CHECKING:
    from fastsciml.solvers.coarsening import Transfer
    from fastsciml.solvers.hierarchy import Hierarchy
    from fastsciml.solvers.level import LevelDefinition


def multigrid_v_cycle(rhs: Tensor, out: Tensor, hierarchy: Hierarchy, workspace: Tensor, cycles: int = 1) -> None:
    """Out = the result of so many V-cycles for A z = rhs from a zero guess; with one, out = B rhs.

    Red-black Gauss-Seidel sweeps before and after the coarse correction (solvers/schedule.py), averaging
    restriction, linear prolongation; on a CPU every level in two fused passes over memory (csrc/multigrid/passes.h), on
    CUDA in steps that are a launch each (csrc/multigrid/row_steps.cuh).

    A symmetric hierarchy's B is self-adjoint in the inner product weighted by the cells' volumes: sweeps after the
    correction mirror those before it, and restriction is the adjoint of prolongation, around solid, too. Not so where a
    periodic axis has an odd extent on some level, which sweeps take in an order of their own where it closes. It costs
    two more passes.

    Args:
        rhs: float32 [nx, ny, 2 half], rows in halves (`split_rows`).
        out: float32 of the same shape, overwritten.
        hierarchy: the levels.
        workspace: float32, at least `multigrid_workspace(hierarchy)` long; its contents do not matter.
        cycles: at least 1. All is float32: three take what is left of a residual down to where it is rounding.

    Raises:
        ValueError: a tensor has another shape, dtype, device or memory layout.

    Source: Trottenberg, Oosterlee, Schueller, Multigrid (2001), ch. 2.
    """
    check_arrays(rhs, out, hierarchy, workspace)
    if cycles < 1:
        raise ValueError(f"cycles must be at least 1, got {cycles}")
    first, levels = hierarchy_arguments(hierarchy)
    torch.ops.fastsciml.multigrid_v_cycle(rhs, out, *first, cycles, *levels, workspace)


def multigrid_workspace(hierarchy: Hierarchy) -> int:
    """Floats of workspace a V-cycle needs with torch's present number of threads.

    Args:
        hierarchy: of the cycle.

    Returns:
        How many.
    """
    h = hierarchy
    size: int = torch.ops.fastsciml.multigrid_workspace(
        h.extents, h.periodic, h.schedule.sweeps, torch.get_num_threads()
    )
    return size


def check_arrays(rhs: Tensor, out: Tensor, hierarchy: Hierarchy, workspace: Tensor) -> None:
    """Raise ValueError where a cycle could not run on these."""
    for name, tensor in (("rhs", rhs), ("out", out)):
        if tuple(tensor.shape) != hierarchy.padded_shape:
            raise ValueError(f"{name} must have shape {hierarchy.padded_shape}, got {tuple(tensor.shape)}")
    for name, tensor in (("rhs", rhs), ("out", out), ("workspace", workspace)):
        if tensor.dtype != torch.float32 or not tensor.is_contiguous():
            raise ValueError(f"{name} must be contiguous and float32, got {tensor.dtype}")


def hierarchy_arguments(h: Hierarchy) -> tuple[tuple[object, ...], tuple[list[Tensor], ...]]:
    """A hierarchy as the cycles' operators take it: what holds for all of it, and its levels."""
    first = (h.extents, h.periodic, h.schedule.numbers, h.symmetric, h.around_solid)
    return first, (h.axes, h.maps, h.diagonals, h.z_couplings, h.faces)


@torch.library.register_fake("fastsciml::multigrid_v_cycle")  # type: ignore[untyped-decorator]
def _fake(
    rhs: Tensor,
    out: Tensor,
    extents: list[int],
    periodic: list[int],
    schedule: list[float],
    symmetric: bool,
    around_solid: bool,
    cycles: int,
    axes: list[Tensor],
    maps: list[Tensor],
    diagonals: list[Tensor],
    z_couplings: list[Tensor],
    faces: list[Tensor],
    workspace: Tensor,
) -> None:
    return None


def multigrid_v_cycle_definition(rhs: Tensor, hierarchy: Hierarchy, cycles: int = 1) -> Tensor:
    """The V-cycles in plain PyTorch, in rhs's dtype; rhs and the result are [*batch, nx, ny, nz], not split."""
    z = v_cycle_from(hierarchy, 0, None, rhs)
    for _ in range(cycles - 1):
        z = v_cycle_from(hierarchy, 0, z, rhs)
    return z


def v_cycle_from(h: Hierarchy, l: int, v: Tensor | None, f: Tensor) -> Tensor:
    """One V-cycle on level l, from v or from zero."""
    level = h.level(l, f.dtype)
    if l + 1 == len(h.levels):
        return level.inverse_diagonal * f
    schedule = h.schedule.on(l)
    v = _smooth(level, f, v, level.colours, schedule.before)
    residual = f - level.apply(v)
    if h.symmetric:
        e = v_cycle_from(h, l + 1, None, schedule.correction * _restrict_by_adjoint(h, l, residual))
        v = v + prolong(h, l, e)
    else:
        e = v_cycle_from(h, l + 1, None, level.restrict(residual))
        v = v + prolong(h, l, e, schedule.correction)
    return _smooth(level, f, v, level.colours[:: -1 if h.symmetric else 1], schedule.after)


def prolong(h: Hierarchy, l: int, e: Tensor, weight: float = 1.0) -> Tensor:
    """A correction of level l + 1 on level l, times `weight`; csrc/multigrid/guess.h tells where that counts less."""
    fine = h.level(l, e.dtype).prolong(e, h.level(l + 1, e.dtype).inverse_diagonal > 0 if h.around_solid else None)
    if weight == 1.0:
        return fine
    x, y, z = (torch.as_tensor(1 + (weight - 1) * _excess(move), dtype=e.dtype) / weight for move in h.transfers[l])
    return weight * x[:, None, None] * y[:, None] * z * fine


def _excess(move: Transfer) -> npt.NDArray[np.float64]:
    """[n], the share of a weight's excess over 1 that counts in each cell: none in one that has not merged, half of it
    in the coarse cells beside that.
    """
    if not move.coarsens:
        return np.ones(len(move.parent))
    single = np.pad(np.bincount(move.parent) == 1, 1)
    share = np.where(single[1:-1], 0.0, np.where(single[:-2] | single[2:], 0.5, 1.0))
    return share[move.parent]


def _restrict_by_adjoint(h: Hierarchy, l: int, r: Tensor) -> Tensor:
    """P* r, the adjoint of `prolong` in the inner product weighted by the cells' volumes."""
    level = h.level(l, r.dtype)
    if h.around_solid:
        r = r * level.around(h.level(l + 1, r.dtype).inverse_diagonal > 0)
    fine, coarse = (
        torch.from_numpy(np.einsum("i,j,k->ijk", *(axis.widths for axis in h.levels[m]))).to(r) for m in (l, l + 1)
    )
    weighted = r * (level.inverse_diagonal > 0) * fine
    return torch.einsum("...ijk,iI,jJ,kK->...IJK", weighted, *level.prolongation) / coarse


def relaxation_by(level: LevelDefinition, factor: float | Tensor) -> float | Tensor:
    """A sweep's relaxation, chosen so that relaxation / d is exact in float32 where d is that of the cell in the
    middle; csrc/multigrid/relaxation.h tells why. A factor that is being learned is taken as it is.
    """
    if isinstance(factor, Tensor):
        return factor * level.relaxation
    nx, ny, nz = level.diagonal.shape
    d = np.float32(level.diagonal[nx // 2, ny // 2, nz // 4 * 2].item())
    if not d > 0:
        return factor * level.relaxation
    inverse = np.float32(level.relaxation) / d
    fraction, exponent = np.frexp(np.float32(factor) * inverse)
    step = np.ldexp(np.floor(4096 * fraction + np.float32(0.5)) / np.float32(4096), exponent)
    return float(step) * float(d)


def _smooth(
    level: LevelDefinition, f: Tensor, v: Tensor | None, colours: list[list[Tensor]], factors: Sequence[float | Tensor]
) -> Tensor:
    for factor in factors:
        relaxation = relaxation_by(level, factor)
        for colour in colours:
            if v is None:
                # The first half-sweep starts from zero and reads no neighbours.
                v = relaxation * sum(colour) * level.inverse_diagonal * f
                continue
            for cells in colour:
                v = v + relaxation * cells * level.inverse_diagonal * (f - level.apply(v))
    assert v is not None
    return v
