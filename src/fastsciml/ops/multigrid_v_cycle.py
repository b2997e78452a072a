"""One multigrid V-cycle for the Poisson operator: the function, its fake kernel and its definition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from fastsciml.solvers.hierarchy import Hierarchy
    from fastsciml.solvers.level import LevelDefinition


def multigrid_v_cycle(rhs: Tensor, out: Tensor, hierarchy: Hierarchy, workspace: Tensor) -> None:
    """Out = B rhs, where B is one V-cycle for A from a zero guess.

    Two red-black Gauss-Seidel sweeps before and after the coarse correction, averaging restriction, linear
    prolongation; every level in two fused passes over memory (csrc/multigrid/passes.h).

    Args:
        rhs: float32 [nx, ny, 2 half], rows in halves (`split_rows`).
        out: float32 of the same shape, overwritten.
        hierarchy: the levels.
        workspace: float32, at least `multigrid_workspace(hierarchy)` long; its contents do not matter.

    Raises:
        ValueError: a tensor has another shape, dtype, device or memory layout.
    """
    for name, tensor in (("rhs", rhs), ("out", out)):
        if tuple(tensor.shape) != hierarchy.padded_shape:
            raise ValueError(f"{name} must have shape {hierarchy.padded_shape}, got {tuple(tensor.shape)}")
    for name, tensor in (("rhs", rhs), ("out", out), ("workspace", workspace)):
        if tensor.dtype != torch.float32 or not tensor.is_contiguous():
            raise ValueError(f"{name} must be contiguous and float32, got {tensor.dtype}")
    h = hierarchy
    torch.ops.fastsciml.multigrid_v_cycle(
        rhs,
        out,
        h.extents,
        h.periodic,
        h.sweeps,
        h.axes,
        h.row_indices,
        h.diagonals,
        h.z_couplings,
        h.openness,
        workspace,
    )


def multigrid_workspace(hierarchy: Hierarchy) -> int:
    """Floats of workspace a V-cycle needs with torch's present number of threads."""
    h = hierarchy
    size: int = torch.ops.fastsciml.multigrid_workspace(h.extents, h.periodic, h.sweeps, torch.get_num_threads())
    return size


@torch.library.register_fake("fastsciml::multigrid_v_cycle")  # type: ignore[untyped-decorator]
def _fake(
    rhs: Tensor,
    out: Tensor,
    extents: list[int],
    periodic: list[int],
    sweeps: int,
    axes: list[Tensor],
    row_indices: list[Tensor],
    diagonals: list[Tensor],
    z_couplings: list[Tensor],
    openness: list[Tensor],
    workspace: Tensor,
) -> None:
    return None


def multigrid_v_cycle_definition(rhs: Tensor, hierarchy: Hierarchy) -> Tensor:
    """The V-cycle in plain PyTorch, in rhs's dtype; rhs and the result are [nx, ny, nz], not split."""
    return _cycle(hierarchy, 0, rhs)


def _cycle(h: Hierarchy, l: int, f: Tensor) -> Tensor:
    level = h.level(l, f.dtype)
    if l + 1 == len(h.levels):
        return level.inverse_diagonal * f
    # The first half-sweep starts from zero and reads no neighbours.
    v = level.relaxation * sum(level.colours[0]) * level.inverse_diagonal * f
    v = _smooth(level, f, v, level.colours[1:] + level.colours * (h.sweeps - 1))
    e = _cycle(h, l + 1, level.restrict(f - level.apply(v)))
    return _smooth(level, f, v + level.prolong(e), level.colours * h.sweeps)


def _smooth(level: LevelDefinition, f: Tensor, v: Tensor, colours: list[list[Tensor]]) -> Tensor:
    for colour in colours:
        for cells in colour:
            v = v + level.relaxation * cells * level.inverse_diagonal * (f - level.apply(v))
    return v
