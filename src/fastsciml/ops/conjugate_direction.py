"""A conjugate-direction step for the Poisson operator: inner products, update and true residual."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from fastsciml.solvers.hierarchy import Hierarchy


def conjugate_line_search(z: Tensor, p: Tensor, r: Tensor, hierarchy: Hierarchy) -> Tensor:
    """The inner products <z, A z>, <p, A z>, <r, z>, <r, p>, weighted by the cells' volumes, in one pass.

    Args:
        z: the proposed direction, float32 [nx, ny, 2 half], rows in halves (`split_rows`).
        p: the last direction, of the same shape.
        r: the residual, of the same shape.
        hierarchy: its finest level is A.

    Returns:
        float64 [4].
    """
    h = hierarchy
    products: Tensor = torch.ops.fastsciml.conjugate_line_search(
        z,
        p,
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


def conjugate_line_search_definition(z: Tensor, p: Tensor, r: Tensor, az: Tensor, volumes: Tensor) -> Tensor:
    """The same from A z and the cells' volumes, all arrays without padding."""
    return torch.stack([(volumes * a * b).sum() for a, b in ((z, az), (p, az), (r, z), (r, p))])


def conjugate_direction_step(
    u: Tensor,
    z: Tensor,
    p: Tensor | None,
    r: Tensor,
    f: Tensor,
    couplings: Tensor,
    periodic: list[int],
    faces: Tensor | None,
    coefficient: list[Tensor] | None,
    alpha: Tensor | None,
    length: float,
    beta: float,
    scale: float,
    from_zero: bool = False,
) -> float:
    """Z += beta p, u += length z, r = scale (f - A u), in place; so z becomes the next p.

    Args:
        u: the solution, float32 or float64 [nx, ny, nz].
        z: the proposed direction, float32 [nx, ny, 2 half].
        p: the last direction, of z's shape; None where beta is 0.
        r: the residual, of z's shape, overwritten.
        f: the right-hand side, of u's shape and dtype.
        couplings: A, as in `poisson_apply`.
        periodic: likewise.
        faces: likewise.
        coefficient: likewise.
        alpha: likewise.
        length: of the step.
        beta: share of the last direction.
        scale: factor that brings the residual into float32's range.
        from_zero: u counts as 0, whatever is in it.

    Returns:
        The norm of f - A u: the true residual, recomputed.

    Raises:
        ValueError: p is missing, and beta is not 0.
        RuntimeError: a shape, dtype or memory layout does not fit; the sentence names the tensor.
    """
    if p is None and beta != 0.0:
        raise ValueError("conjugate_direction_step: p is missing, and beta is not 0")
    lengths = torch.tensor([length, beta], dtype=torch.float64, device=u.device)
    squared = conjugate_direction_update(
        u, z, p, r, f, couplings, periodic, faces, coefficient, alpha, lengths, scale, from_zero
    )
    return sqrt(float(squared))


def conjugate_direction_update(
    u: Tensor,
    z: Tensor,
    p: Tensor | None,
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
    """The same step, for which the host does not wait: lengths, float64 [2], are length and beta.

    On CUDA beta counts as 0 where p is None, whatever it is: to see it would be to wait.

    Returns:
        The squared norm of f - A u, float64 [1].
    """
    squared: Tensor = torch.ops.fastsciml.conjugate_direction_step(
        u, z, p, r, f, couplings, periodic, faces, coefficient or [], alpha, lengths, scale, from_zero
    )
    return squared


@torch.library.register_fake("fastsciml::conjugate_line_search")  # type: ignore[untyped-decorator]
def _line_search_fake(
    z: Tensor,
    p: Tensor,
    r: Tensor,
    extents: list[int],
    periodic: list[int],
    axes: Tensor,
    maps: Tensor,
    diagonals: Tensor,
    z_couplings: Tensor,
    faces: Tensor,
) -> Tensor:
    return z.new_empty(4, dtype=torch.float64)


@torch.library.register_fake("fastsciml::conjugate_direction_step")  # type: ignore[untyped-decorator]
def _step_fake(
    u: Tensor,
    z: Tensor,
    p: Tensor | None,
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
