"""The Poisson operator: out = A u. The smallest operator of the package, and the one to copy for a new one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

FLUID_BIT = 6


def poisson_apply_definition(
    u: Tensor, couplings: Tensor, periodic: list[int], faces: Tensor | None = None, alpha: float = 0.0
) -> Tensor:
    """(A u)_c = alpha u_c + sum over the faces of c of open * coupling * (u_c - u_neighbour), in plain PyTorch."""
    extents = u.shape[1:]
    out = alpha * u
    for axis, (lower, upper) in enumerate(_split(couplings, list(extents))):
        n, dim = extents[axis], axis + 1
        last, first = (u.narrow(dim, i, 1) for i in (n - 1, 0))
        if not periodic[axis]:
            last, first = torch.zeros_like(last), torch.zeros_like(first)
        below = torch.cat([last, u.narrow(dim, 0, n - 1)], dim)
        above = torch.cat([u.narrow(dim, 1, n - 1), first], dim)
        shape = [-1 if d == axis else 1 for d in range(3)]
        for bit, (neighbour, coupling) in enumerate(((below, lower), (above, upper))):
            difference = coupling.reshape(shape) * (u - neighbour)
            out = out + (difference if faces is None else difference * _bit(faces, 2 * axis + bit))
    return out if faces is None else out * _bit(faces, FLUID_BIT)


def poisson_apply(
    u: Tensor, couplings: Tensor, periodic: list[int], faces: Tensor | None = None, alpha: float = 0.0
) -> Tensor:
    """A u for the 7-point Poisson operator on a cell-centred grid.

    Differentiable in u to any order: on a uniform grid A is symmetric, so its adjoint is A. The couplings and faces
    are data.

    Args:
        u: float32 or float64 [batch, nx, ny, nz], contiguous; planes and lines have extents of 1.
        couplings: u's dtype [2 (nx + ny + nz)]: each cell's lower and upper face coupling along x, then y, then z. 1
            / h^2 inside; at a non-periodic end that of the boundary (2 / h^2 Dirichlet, 0 Neumann).
        periodic: three flags; a periodic axis wraps, beyond another's ends u is 0.
        faces: uint8 [nx, ny, nz]; bits 0 to 5: lower and upper face along x, y, z is open; bit 6: the cell is fluid.
            None: all.
        alpha: what stands on the diagonal beside the faces.

    Raises:
        RuntimeError: a shape, dtype or memory layout does not fit; the sentence names the tensor.
    """
    out: Tensor = torch.ops.fastsciml.poisson_apply(u, couplings, periodic, faces, alpha)
    return out


def _split(couplings: Tensor, extents: list[int]) -> list[tuple[Tensor, Tensor]]:
    parts = torch.split_with_sizes(couplings, [n for n in extents for _ in range(2)])
    return list(zip(parts[::2], parts[1::2], strict=True))


def _bit(faces: Tensor, bit: int) -> Tensor:
    return faces >> bit & 1


@torch.library.register_fake("fastsciml::poisson_apply")  # type: ignore[untyped-decorator]
def _fake(u: Tensor, couplings: Tensor, periodic: list[int], faces: Tensor | None, alpha: float) -> Tensor:
    return torch.empty_like(u)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, list[int], Tensor | None, float], output: Tensor) -> None:
    _, couplings, periodic, faces, alpha = inputs
    ctx.save_for_backward(couplings, faces)
    ctx.periodic, ctx.alpha = periodic, alpha


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
    couplings, faces = ctx.saved_tensors
    return poisson_apply(grad.contiguous(), couplings, ctx.periodic, faces, ctx.alpha), None, None, None, None


torch.library.register_autograd("fastsciml::poisson_apply", _backward, setup_context=_save)
