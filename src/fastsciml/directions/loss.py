"""The loss that directions are trained with: what is left of a right-hand side after one step along the direction.

    mean over b of ||b - alpha A z||^2,  alpha = <z, b> / <z, A z>,  z = f(b)

alpha minimises the error in A's norm along z, so that the scale of z does not matter.

Source: Kaneda, Akar, Chen, Kala, Hyde, Teran, "A Deep Conjugate Direction Method for Iteratively Solving Linear
Systems", ICML 2023.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def direction_loss(direction: Tensor, rhs: Tensor, matrix: Callable[[Tensor], Tensor]) -> Tensor:
    """The loss of a batch, differentiable in the directions.

    Args:
        direction: z, [batch, 1, *shape].
        rhs: b, [batch, 1, *shape], each of norm 1.
        matrix: A, from [batch, 1, *shape] to the same.

    Returns:
        A number, [] of the dtype. A direction without energy, <z, A z> <= 0, counts as no step.
    """
    return _remaining(direction, rhs, matrix)[0].flatten(1).square().sum(1).mean()


def loss_of_steps(
    propose: Callable[[Tensor], Tensor], rhs: Tensor, matrix: Callable[[Tensor], Tensor], steps: int
) -> Tensor:
    """What so many directions leave, each proposed for what the one before has left and made conjugate to that one.

    With one step it is `direction_loss`. More of them train a network for what a solver asks of it: its later
    proposals are for what the earlier ones are bad at, which one step hardly shows.

    Args:
        propose: from residuals [batch, 1, *shape], each of norm 1, to directions.
        rhs: as in `direction_loss`.
        matrix: likewise.
        steps: at least 1.
    """
    residual, last = rhs, None
    for step in range(steps):
        z = propose(residual / _over(residual.square()).sqrt() if step else residual).to(rhs.dtype)
        if last is not None:
            p, a_p, energy = last
            z = z - torch.where(energy > 0, _over(z * a_p) / torch.where(energy > 0, energy, 1), 0) * p
        residual, *energies = _remaining(z, residual, matrix)
        last = (z, *energies)
    return residual.flatten(1).square().sum(1).mean()


def _remaining(z: Tensor, r: Tensor, matrix: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """What the step along z leaves of r, and A z and <z, A z>."""
    a_z = matrix(z)
    energy = _over(z * a_z)
    usable = energy > 0
    alpha = torch.where(usable, _over(z * r) / torch.where(usable, energy, 1), 0)
    return r - alpha * a_z, a_z, energy


def _over(products: Tensor) -> Tensor:
    """Sums over all but the batch, with the axes kept."""
    return products.sum(tuple(range(1, products.ndim)), keepdim=True)
