"""Full multigrid for the Poisson operator: the function, its fake kernel and its definition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fastsciml.ops.multigrid_v_cycle import check_arrays, hierarchy_arguments, prolong, v_cycle_from

if TYPE_CHECKING:
    from fastsciml.solvers.hierarchy import Hierarchy


def full_multigrid(rhs: Tensor, out: Tensor, hierarchy: Hierarchy, workspace: Tensor) -> None:
    """Out = the result of full multigrid for A z = rhs, in float32.

    The right-hand side is averaged down to every level; from the coarsest one up, a level's solution, interpolated
    linearly, is the guess from which the next one takes one V-cycle.

    Args:
        rhs: float32 [nx, ny, 2 half], rows in halves (`split_rows`).
        out: float32 of the same shape, overwritten.
        hierarchy: the levels.
        workspace: float32, at least `multigrid_workspace(hierarchy)` long; its contents do not matter.

    Raises:
        ValueError: a tensor has another shape, dtype, device or memory layout.

    Source: Trottenberg, Oosterlee, Schueller, Multigrid (2001), ch. 2.
    """
    check_arrays(rhs, out, hierarchy, workspace)
    first, levels = hierarchy_arguments(hierarchy)
    torch.ops.fastsciml.full_multigrid(rhs, out, *first, *levels, workspace)


@torch.library.register_fake("fastsciml::full_multigrid")  # type: ignore[untyped-decorator]
def _fake(
    rhs: Tensor,
    out: Tensor,
    extents: list[int],
    periodic: list[int],
    schedule: list[float],
    symmetric: bool,
    around_solid: bool,
    axes: list[Tensor],
    maps: list[Tensor],
    diagonals: list[Tensor],
    z_couplings: list[Tensor],
    faces: list[Tensor],
    workspace: Tensor,
) -> None:
    return None


def full_multigrid_definition(rhs: Tensor, hierarchy: Hierarchy) -> Tensor:
    """The same in plain PyTorch, in rhs's dtype; rhs and the result are [nx, ny, nz], not split."""
    return _solve(hierarchy, 0, rhs)


def _solve(h: Hierarchy, l: int, f: Tensor) -> Tensor:
    level = h.level(l, f.dtype)
    if l + 1 == len(h.levels):
        return level.inverse_diagonal * f
    return v_cycle_from(h, l, prolong(h, l, _solve(h, l + 1, level.restrict(f))), f)
