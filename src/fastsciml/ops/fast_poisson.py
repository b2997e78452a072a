"""The direct solver of boxes: u = A^-1 f for -div(grad u) + alpha u = f by the transforms that diagonalise A."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor


class Transform(IntEnum):
    """The basis that diagonalises the second difference of n unknowns along one axis, by the kinds of its two ends.

    Without VERTEX, unknowns stand at the centres of n cells and the ends are faces. With it they stand at vertices: a
    Neumann end is itself an unknown, a Dirichlet end, where u is 0, is none. The codes are `Basis` in
    csrc/spectral/axis_transform.h.
    """

    PERIODIC = 0
    DIRICHLET = 1
    NEUMANN = 2
    DIRICHLET_NEUMANN = 3
    NEUMANN_DIRICHLET = 4
    VERTEX_DIRICHLET = 5
    VERTEX_NEUMANN = 6
    VERTEX_DIRICHLET_NEUMANN = 7
    VERTEX_NEUMANN_DIRICHLET = 8


def fast_poisson_definition(
    f: Tensor, transforms: Sequence[int], eigenvalues: Sequence[Tensor], alpha: float = 0.0
) -> Tensor:
    """B (B^-1 f / (λ_x + λ_y + λ_z + alpha)), 0 where the sum is 0, with B = X x Y x Z, in plain PyTorch.

    The columns of X are the basis of an axis, orthonormal with the weights W: X^-1 = X' W.
    """
    bases = [_basis(n, transform).to(f) for n, transform in zip(f.shape[1:], transforms, strict=True)]
    weights = [axis_weights(n, transform).to(f) for n, transform in zip(f.shape[1:], transforms, strict=True)]
    spectrum = torch.einsum("bijk,il,jm,kn->blmn", f, *(w[:, None] * X for w, X in zip(weights, bases, strict=True)))
    x, y, z = eigenvalues
    total = x[:, None, None] + y[:, None] + z + alpha
    free = total == 0
    spectrum = torch.where(free, 0.0, spectrum / total.masked_fill(free, 1.0))
    return torch.einsum("blmn,il,jm,kn->bijk", spectrum, *bases)


def fast_poisson(f: Tensor, transforms: Sequence[int], eigenvalues: Sequence[Tensor], alpha: float = 0.0) -> Tensor:
    """A^-1 f for the constant-coefficient operator A u = -div(grad u) + alpha u on a box.

    A is the sum of the axes' second differences and alpha. At the vertex of a Neumann end it is that of half a control
    volume, (A u)_0 = 2 (u_0 - u_1) / h^2. Where A is singular, u is the solution without a free constant of the problem
    without f's share in it.

    Differentiable in f to any order. The eigenvalues are data.

    Args:
        f: float32 or float64 [batch, nx, ny, nz], contiguous; planes and lines have extents of 1.
        transforms: a `Transform` for each axis.
        eigenvalues: for each axis a tensor [n] of f's dtype, `axis_eigenvalues` of its spacing.
        alpha: what stands on the diagonal beside the second differences.

    Returns:
        u, of f's shape and dtype. Fast where `is_fast` holds for every axis, right in any case. On devices other than
        the CPU by dense matrices.

    Raises:
        RuntimeError: a shape, dtype or memory layout does not fit, or a transform is unknown.
    """
    if f.device.type != "cpu":
        return fast_poisson_definition(f, transforms, eigenvalues, alpha)
    out: Tensor = torch.ops.fastsciml.fast_poisson(f, [int(t) for t in transforms], list(eigenvalues), alpha)
    return out


def axis_eigenvalues(
    extent: int, spacing: float, transform: int, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
) -> Tensor:
    """The second difference's eigenvalues (2 / h sin(θ_k / 2))^2, in the order of the transform's coefficients.

    Args:
        extent: unknowns n along the axis.
        spacing: h, in the unit of length.
        transform: a `Transform`.
        dtype: of the result, any floating one; it is worked out in float64.
        device: of the result.

    Returns:
        Tensor [n], in 1 / h^2.
    """
    k = torch.arange(extent, dtype=torch.float64)
    if transform == Transform.PERIODIC:
        theta = 2 * k / extent
    elif transform in (Transform.DIRICHLET, Transform.VERTEX_DIRICHLET):
        theta = (k + 1) / (extent + (transform == Transform.VERTEX_DIRICHLET))
    elif transform in (Transform.NEUMANN, Transform.VERTEX_NEUMANN):
        theta = k / max(extent - (transform == Transform.VERTEX_NEUMANN), 1)
    else:
        theta = (k + 0.5) / extent
    return (2 / spacing * torch.sin(math.pi / 2 * theta)).square().to(device, dtype)


def axis_weights(extent: int, transform: int) -> Tensor:
    """The share of a cell's volume that belongs to each unknown: 1/2 at the vertex of a Neumann end.

    Args:
        extent: unknowns n along the axis.
        transform: a `Transform`.

    Returns:
        float64 [n].
    """
    weights = torch.ones(extent, dtype=torch.float64)
    if extent > 1 and transform in (Transform.VERTEX_NEUMANN, Transform.VERTEX_NEUMANN_DIRICHLET):
        weights[0] = 0.5
    if extent > 1 and transform in (Transform.VERTEX_NEUMANN, Transform.VERTEX_DIRICHLET_NEUMANN):
        weights[-1] = 0.5
    return weights


def is_fast(extent: int, transform: int) -> bool:
    """Whether the transform's length, n but n ± 1 between two equal ends at vertices, has no prime factor above 7.

    Args:
        extent: unknowns n along the axis.
        transform: a `Transform`.

    Returns:
        Whether it is so.
    """
    length = extent
    if extent > 1 and transform in (Transform.VERTEX_DIRICHLET, Transform.VERTEX_NEUMANN):
        length += 1 if transform == Transform.VERTEX_DIRICHLET else -1
    for prime in (2, 3, 5, 7):
        while length % prime == 0:
            length //= prime
    return length == 1


def _basis(extent: int, transform: int) -> Tensor:
    """The basis as columns, orthonormal with `axis_weights`, float64 [n, n]."""
    n = extent
    if n == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    j, k = torch.arange(n)[:, None], torch.arange(n)

    def angle(numerator: Tensor, denominator: int) -> Tensor:
        # pi numerator / denominator, reduced while it is exact.
        return (numerator % (2 * denominator)).double() * (math.pi / denominator)

    def sin(numerator: Tensor, denominator: int) -> Tensor:
        return angle(numerator, denominator).sin()

    def cos(numerator: Tensor, denominator: int) -> Tensor:
        return angle(numerator, denominator).cos()

    columns = {
        Transform.PERIODIC: lambda: torch.where(2 * k <= n, cos(2 * j * k, n), sin(2 * j * k, n)),
        Transform.DIRICHLET: lambda: sin((2 * j + 1) * (k + 1), 2 * n),
        Transform.NEUMANN: lambda: cos((2 * j + 1) * k, 2 * n),
        Transform.DIRICHLET_NEUMANN: lambda: sin((2 * j + 1) * (2 * k + 1), 4 * n),
        Transform.NEUMANN_DIRICHLET: lambda: cos((2 * j + 1) * (2 * k + 1), 4 * n),
        Transform.VERTEX_DIRICHLET: lambda: sin((j + 1) * (k + 1), n + 1),
        Transform.VERTEX_NEUMANN: lambda: cos(j * k, n - 1),
        Transform.VERTEX_DIRICHLET_NEUMANN: lambda: sin((j + 1) * (2 * k + 1), 2 * n),
        Transform.VERTEX_NEUMANN_DIRICHLET: lambda: cos(j * (2 * k + 1), 2 * n),
    }
    basis: Tensor = columns[Transform(transform)]()
    return basis / (axis_weights(n, transform)[:, None] * basis.square()).sum(0).sqrt()


@torch.library.register_fake("fastsciml::fast_poisson")  # type: ignore[untyped-decorator]
def _fake(f: Tensor, transforms: list[int], eigenvalues: list[Tensor], alpha: float) -> Tensor:
    return torch.empty_like(f)


def _save(ctx: Any, inputs: tuple[Tensor, list[int], list[Tensor], float], output: Tensor) -> None:
    _, ctx.transforms, eigenvalues, ctx.alpha = inputs
    ctx.save_for_backward(*eigenvalues)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, list[None], None]:
    """W A^-1 W^-1 grad: A is self-adjoint in the inner product with the weights W."""
    weights = _box_weights(grad, ctx.transforms)
    weighted = grad if weights is None else grad / weights
    u = fast_poisson(weighted.contiguous(), ctx.transforms, ctx.saved_tensors, ctx.alpha)
    return u if weights is None else weights * u, None, [None, None, None], None


def _box_weights(like: Tensor, transforms: list[int]) -> Tensor | None:
    """The product of the axes' weights, [nx, ny, nz]; None where they are all 1."""
    if max(transforms) < Transform.VERTEX_NEUMANN:
        return None
    x, y, z = (axis_weights(n, t).to(like) for n, t in zip(like.shape[1:], transforms, strict=True))
    return x[:, None, None] * y[:, None] * z


torch.library.register_autograd("fastsciml::fast_poisson", _backward, setup_context=_save)
