"""The Poisson operator: out = A u. The operator to copy for a new one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

UNKNOWN_BIT = 6


def poisson_apply_definition(
    u: Tensor,
    couplings: Tensor,
    periodic: list[int],
    faces: Tensor | None = None,
    coefficient: list[Tensor] | None = None,
    alpha: Tensor | None = None,
) -> Tensor:
    """(A u)_c = alpha u_c + sum over the faces of c of open * coefficient * coupling * (u_c - u_neighbour)."""
    out = torch.zeros_like(u) if alpha is None else alpha * u
    for axis, (lower, upper) in enumerate(_split(couplings, list(u.shape[1:]))):
        below, above = _differences(u, axis, periodic[axis])
        for bit, (difference, coupling) in enumerate(((below, lower), (above, upper))):
            share = _along(coupling, axis) * difference
            if coefficient:
                share = share * coefficient[axis].narrow(axis, bit, u.shape[axis + 1])
            out = out + (share if faces is None else share * _bit(faces, 2 * axis + bit))
    return out if faces is None else out * _bit(faces, UNKNOWN_BIT)


def poisson_apply(
    u: Tensor,
    couplings: Tensor,
    periodic: list[int],
    faces: Tensor | None = None,
    coefficient: list[Tensor] | None = None,
    alpha: Tensor | None = None,
) -> Tensor:
    """A u for the 7-point Poisson operator.

    Differentiable in u, the coefficient and alpha, to any order. The couplings and faces are data. (The gradient in u
    is that among cells that hold unknowns: an open face to one that does not must see u = 0 there.)

    Args:
        u: float32 or float64 [batch, nx, ny, nz], contiguous; planes and lines have extents of 1.
        couplings: u's dtype [2 (nx + ny + nz)]: each cell's lower and upper face coupling along x, then y, then z. 1
            / h^2 inside; at a non-periodic end that of the boundary (2 / h^2 Dirichlet, 0 Neumann).
        periodic: three flags; a periodic axis wraps, beyond another's ends u is 0.
        faces: uint8 [nx, ny, nz]; bits 0 to 5: lower and upper face along x, y, z is open; bit 6: the cell holds an
            unknown. None: all.
        coefficient: u's dtype [nx + 1, ny, nz], [nx, ny + 1, nz], [nx, ny, nz + 1], what each face conducts per unit of
            its coupling, face i being the lower one of cell i; on a periodic axis the first and the last must agree.
            None: 1.
        alpha: u's dtype, one entry or [nx, ny, nz]: what stands on the diagonal beside the faces. None: 0.

    Returns:
        A u, of u's shape and dtype.

    Raises:
        RuntimeError: a shape, dtype or memory layout does not fit; the sentence names the tensor.
    """
    out: Tensor = torch.ops.fastsciml.poisson_apply(u, couplings, periodic, faces, coefficient or [], alpha)
    return out


def coefficient_gradient(
    grad: Tensor, u: Tensor, couplings: Tensor, periodic: list[int], faces: Tensor | None
) -> list[Tensor]:
    """The gradient of <grad, A u> in the coefficient: for each face, what it would add at the cells on either side."""
    gradients = []
    active = grad if faces is None else grad * _bit(faces, UNKNOWN_BIT)
    for axis, (lower, upper) in enumerate(_split(couplings, list(u.shape[1:]))):
        shares = []
        for bit, (difference, coupling) in enumerate(
            zip(_differences(u, axis, periodic[axis]), (lower, upper), strict=True)
        ):
            share = active * _along(coupling, axis) * difference
            shares.append((share if faces is None else share * _bit(faces, 2 * axis + bit)).sum(0))
        zero = torch.zeros_like(shares[0].narrow(axis, 0, 1))
        gradients.append(torch.cat([shares[0], zero], axis) + torch.cat([zero, shares[1]], axis))
    return gradients


def _differences(u: Tensor, axis: int, periodic: int) -> tuple[Tensor, Tensor]:
    """U less its lower and its upper neighbour along an axis."""
    n, dim = u.shape[axis + 1], axis + 1
    last, first = (u.narrow(dim, i, 1) for i in (n - 1, 0))
    if not periodic:
        last, first = torch.zeros_like(last), torch.zeros_like(first)
    below = torch.cat([last, u.narrow(dim, 0, n - 1)], dim)
    above = torch.cat([u.narrow(dim, 1, n - 1), first], dim)
    return u - below, u - above


def _along(values: Tensor, axis: int) -> Tensor:
    return values.reshape([-1 if d == axis else 1 for d in range(3)])


def _split(couplings: Tensor, extents: list[int]) -> list[tuple[Tensor, Tensor]]:
    parts = torch.split_with_sizes(couplings, [n for n in extents for _ in range(2)])
    return list(zip(parts[::2], parts[1::2], strict=True))


def _bit(faces: Tensor, bit: int) -> Tensor:
    return faces >> bit & 1


def _volumes(couplings: Tensor, extents: list[int]) -> Tensor:
    """[nx, ny, nz]: neighbours' couplings to each other are in the inverse ratio of their widths."""
    volumes = couplings.new_ones(())
    for axis, (lower, upper) in enumerate(_split(couplings, extents)):
        ratios = torch.cat([upper.new_ones(1), upper[:-1] / lower[1:]])
        volumes = volumes * _along(torch.cumprod(ratios, 0), axis)
    return volumes


@torch.library.register_fake("fastsciml::poisson_apply")  # type: ignore[untyped-decorator]
def _fake(
    u: Tensor,
    couplings: Tensor,
    periodic: list[int],
    faces: Tensor | None,
    coefficient: list[Tensor],
    alpha: Tensor | None,
) -> Tensor:
    return torch.empty_like(u)


Inputs = tuple[Tensor, Tensor, list[int], Tensor | None, list[Tensor], Tensor | None]


def _save(ctx: Any, inputs: Inputs, output: Tensor) -> None:
    u, couplings, periodic, faces, coefficient, alpha = inputs
    ctx.save_for_backward(u, couplings, faces, alpha, *coefficient)
    ctx.periodic = periodic


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None, None, list[Tensor | None], Tensor | None]:
    u, couplings, faces, alpha, *coefficient = ctx.saved_tensors
    of_u, of_alpha = None, None
    of_coefficient: list[Tensor | None] = [None] * len(coefficient)
    if ctx.needs_input_grad[0]:
        # A is self-adjoint in the inner product weighted by volumes.
        volumes = _volumes(couplings, list(u.shape[1:]))
        weighted = (grad / volumes).contiguous()
        of_u = volumes * poisson_apply(weighted, couplings, ctx.periodic, faces, coefficient, alpha)
    if coefficient and any(ctx.needs_input_grad[4]):
        of_coefficient = [*coefficient_gradient(grad, u, couplings, ctx.periodic, faces)]
    if alpha is not None and ctx.needs_input_grad[5]:
        product = (grad * u).sum(0) if faces is None else (grad * u * _bit(faces, UNKNOWN_BIT)).sum(0)
        of_alpha = product.sum_to_size(alpha.shape) if alpha.numel() == 1 else product.reshape(alpha.shape)
    return of_u, None, None, None, of_coefficient, of_alpha


torch.library.register_autograd("fastsciml::poisson_apply", _backward, setup_context=_save)
