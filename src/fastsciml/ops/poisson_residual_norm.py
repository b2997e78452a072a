"""The norm of the residual f - A u, without the residual."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from fastsciml.ops.poisson_apply import UNKNOWN_BIT, poisson_apply_definition


def poisson_residual_norm_definition(
    u: Tensor,
    f: Tensor,
    couplings: Tensor,
    periodic: list[int],
    faces: Tensor | None = None,
    coefficient: list[Tensor] | None = None,
    alpha: Tensor | None = None,
) -> Tensor:
    """||f - A u||, where cells without an unknown have no residual, in plain PyTorch."""
    residual = f - poisson_apply_definition(u[None], couplings, periodic, faces, coefficient, alpha)[0]
    where = residual if faces is None else residual * (faces >> UNKNOWN_BIT & 1)
    norm: Tensor = torch.linalg.vector_norm(where)
    return norm


def poisson_residual_norm(
    u: Tensor,
    f: Tensor,
    couplings: Tensor,
    periodic: list[int],
    faces: Tensor | None = None,
    coefficient: list[Tensor] | None = None,
    alpha: Tensor | None = None,
) -> float:
    """||f - A u||, summed in float64.

    Args:
        u: float32 or float64 [nx, ny, nz], contiguous.
        f: of u's shape and dtype.
        couplings: A, as in `poisson_apply`.
        periodic: likewise.
        faces: likewise.
        coefficient: likewise.
        alpha: likewise.

    Returns:
        The norm over all cells, in units of f.

    Raises:
        RuntimeError: a shape, dtype or memory layout does not fit; the sentence names the tensor.
    """
    squared: Tensor = torch.ops.fastsciml.poisson_residual_norm(
        u, f, couplings, periodic, faces, coefficient or [], alpha
    )
    return sqrt(float(squared))


@torch.library.register_fake("fastsciml::poisson_residual_norm")  # type: ignore[untyped-decorator]
def _fake(
    u: Tensor,
    f: Tensor,
    couplings: Tensor,
    periodic: list[int],
    faces: Tensor | None,
    coefficient: list[Tensor],
    alpha: Tensor | None,
) -> Tensor:
    return u.new_empty(1, dtype=torch.float64)
