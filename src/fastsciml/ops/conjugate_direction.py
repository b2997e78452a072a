"""A conjugate-direction step for the Poisson operator: inner products, update and true residual.

A new direction z is made conjugate to the last m ones, p_1 ... p_m, 0 to 8 of them, and searched along (Notay,
Flexible conjugate gradients, SIAM J. Sci. Comput. 22, 2000). With m = 1 that is conjugate gradients, preconditioned or
flexible; with learned proposals for z, the deep conjugate direction method (Kaneda et al., ICML 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from fastsciml.solvers.hierarchy import Hierarchy


def conjugate_line_search_definition(
    z: Tensor, directions: Sequence[Tensor], r: Tensor, az: Tensor, volumes: Tensor
) -> Tensor:
    """The same as `conjugate_line_search` from A z and the cells' volumes, all arrays without padding."""
    pairs = [(z, az), (r, z), *((p, az) for p in directions), *((r, p) for p in directions)]
    return torch.stack([(volumes * a * b).sum() for a, b in pairs])


def conjugate_direction_step_definition(
    u: Tensor,
    z: Tensor,
    directions: Sequence[Tensor],
    f: Tensor,
    apply: Callable[[Tensor], Tensor],
    length: float,
    betas: Sequence[float],
    scale: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The new u, z and r of `conjugate_direction_step` and ||f - A u||, all arrays without padding; `apply` is A."""
    z = sum((beta * p for beta, p in zip(betas, directions, strict=True)), z)
    u = u + length * z
    residual = f - apply(u)
    return u, z, scale * residual, torch.linalg.vector_norm(residual)


def conjugate_line_search(z: Tensor, directions: Sequence[Tensor], r: Tensor, hierarchy: Hierarchy) -> Tensor:
    """The inner products of a step, weighted by the cells' volumes, in one pass that works out A z on the way.

    Args:
        z: the proposed direction, float32 [nx, ny, 2 half], rows in halves (`split_rows`).
        directions: the last m ones, of the same shape; 8 at most.
        r: the residual, of the same shape.
        hierarchy: its finest level is A.

    Returns:
        float64 [2 + 2 m]: <z, A z>, <r, z>, then <p, A z> for every direction p, then <r, p> for every one.

    Raises:
        RuntimeError: a shape, dtype or memory layout does not fit, or there are more than 8 directions; the sentence
            names the tensor.

    Source: Kaneda et al., "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems" (ICML 2023).
    """
    h = hierarchy
    products: Tensor = torch.ops.fastsciml.conjugate_line_search(
        z,
        list(directions),
        r,
        h.extents,
        h.periodic,
        h.axes[0],
        h.maps[0],
        h.diagonals[0],
        h.z_couplings[0],
        h.faces[0],
    )
    return products


def conjugate_direction_step(
    u: Tensor,
    z: Tensor,
    directions: Sequence[Tensor],
    r: Tensor,
    f: Tensor,
    couplings: Tensor,
    periodic: list[int],
    faces: Tensor | None,
    coefficient: list[Tensor] | None,
    alpha: Tensor | None,
    length: float,
    betas: Sequence[float],
    scale: float,
    from_zero: bool = False,
) -> float:
    """Z += sum of beta p, u += length z, r = scale (f - A u), in place; so z becomes the next p.

    Args:
        u: the solution, float32 or float64 [nx, ny, nz].
        z: the proposed direction, float32 [nx, ny, 2 half].
        directions: the last m ones, of z's shape; 8 at most.
        r: the residual, of z's shape, overwritten.
        f: the right-hand side, of u's shape and dtype.
        couplings: A, as in `poisson_apply`.
        periodic: likewise.
        faces: likewise.
        coefficient: likewise.
        alpha: likewise.
        length: of the step.
        betas: shares of the last directions, in their order; one that is 0 leaves its direction unread.
        scale: factor that brings the residual into float32's range.
        from_zero: u counts as 0, whatever is in it.

    Returns:
        The norm of f - A u: the true residual, recomputed.

    Raises:
        ValueError: there are not as many betas as directions.
        RuntimeError: a shape, dtype or memory layout does not fit, or there are more than 8 directions; the sentence
            names the tensor.

    Source: Kaneda et al., "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems" (ICML 2023).
    """
    if len(betas) != len(directions):
        raise ValueError(
            f"conjugate_direction_step: there must be one beta for every direction, got {len(betas)} betas for "
            f"{len(directions)} directions"
        )
    lengths = torch.tensor([length, *betas], dtype=torch.float64, device=u.device)
    squared = conjugate_direction_update(
        u, z, directions, r, f, couplings, periodic, faces, coefficient, alpha, lengths, scale, from_zero
    )
    return sqrt(float(squared))


def conjugate_direction_update(
    u: Tensor,
    z: Tensor,
    directions: Sequence[Tensor],
    r: Tensor,
    f: Tensor,
    couplings: Tensor,
    periodic: list[int],
    faces: Tensor | None,
    coefficient: list[Tensor] | None,
    alpha: Tensor | None,
    lengths: Tensor,
    scale: float,
    from_zero: bool = False,
) -> Tensor:
    """The same step, for which the host does not wait.

    Args:
        u: float32 or float64 [nx, ny, nz], as in `conjugate_direction_step`.
        z: float32 [nx, ny, 2 half], likewise.
        directions: likewise.
        r: likewise.
        f: of u's shape and dtype.
        couplings: likewise.
        periodic: likewise.
        faces: likewise.
        coefficient: likewise.
        alpha: likewise.
        lengths: float64 [1 + m], on the device: length and the betas.
        scale: as in `conjugate_direction_step`.
        from_zero: likewise.

    Returns:
        The squared norm of f - A u, float64 [1].

    Raises:
        RuntimeError: as for `conjugate_direction_step`.

    Source: Kaneda et al., "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems" (ICML 2023).
    """
    squared: Tensor = torch.ops.fastsciml.conjugate_direction_step(
        u, z, list(directions), r, f, couplings, periodic, faces, coefficient or [], alpha, lengths, scale, from_zero
    )
    return squared


@torch.library.register_fake("fastsciml::conjugate_line_search")  # type: ignore[untyped-decorator]
def _line_search_fake(
    z: Tensor,
    directions: list[Tensor],
    r: Tensor,
    extents: list[int],
    periodic: list[int],
    axes: Tensor,
    maps: Tensor,
    diagonals: Tensor,
    z_couplings: Tensor,
    faces: Tensor,
) -> Tensor:
    return z.new_empty(2 + 2 * len(directions), dtype=torch.float64)


@torch.library.register_fake("fastsciml::conjugate_direction_step")  # type: ignore[untyped-decorator]
def _step_fake(
    u: Tensor,
    z: Tensor,
    directions: list[Tensor],
    r: Tensor,
    f: Tensor,
    couplings: Tensor,
    periodic: list[int],
    faces: Tensor | None,
    coefficient: list[Tensor],
    alpha: Tensor | None,
    lengths: Tensor,
    scale: float,
    from_zero: bool,
) -> Tensor:
    return u.new_empty(1, dtype=torch.float64)
