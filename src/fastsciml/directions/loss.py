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
    z, b, a_z = (t.flatten(1) for t in (direction, rhs, matrix(direction)))
    energy = (z * a_z).sum(1, keepdim=True)
    usable = energy > 0
    alpha = torch.where(usable, (z * b).sum(1, keepdim=True) / torch.where(usable, energy, 1), 0)
    return (b - alpha * a_z).square().sum(1).mean()
