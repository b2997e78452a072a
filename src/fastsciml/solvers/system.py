"""One right-hand side made ready for the kernels: masked, without free means, in units that the dtype holds."""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp, isfinite

import torch
from torch import Tensor

from fastsciml.solvers.nullspace import NullSpace
from fastsciml.solvers.scratch import take

# Powers of two: a spacing, a coefficient, and a norm of rhs, within these the kernels take as they are; others are
# scaled first, so that float32 holds 1/h^2 and float64 the squares. A solution past the last ones is refused.
SPACING_REACH = 40
COEFFICIENT_REACH = 40
NORM_REACH = {torch.float32: 60, torch.float64: 400}
SOLUTION_REACH = {torch.float32: 110, torch.float64: 960}

# A mean is rounding below so many machine epsilons of the root mean square.
MEAN_ROUNDING = 100


@dataclass(frozen=True)
class System:
    """What is solved for one sample.

    Attributes:
        b: the right-hand side, 0 where there is no unknown, without the means of free regions, in a unit of its own:
            the sample itself, or an array that may be given back.
        norm: of b.
        mean: what was taken from the caller's right-hand side.
        solvable: whether that was rounding.
        exponent: the caller's solution is 2**exponent times that of b.
    """

    b: Tensor
    norm: float
    mean: float
    solvable: bool
    exponent: int


def prepare(sample: Tensor, unknown: Tensor | None, null_space: NullSpace, width: float, power: int) -> System:
    """The system of one sample [nx, ny, nz].

    Args:
        sample: the right-hand side.
        unknown: bool of its shape, where there is one, or None: everywhere.
        null_space: the regions whose means are removed.
        width: the smallest one, in the kernels' lengths.
        power: the caller's A^-1 is 2**power times the kernels'.

    Raises:
        ValueError: NaN or Inf, or a solution beyond the dtype's range.
    """
    b = sample
    if unknown is not None:
        b = take(*sample.shape, dtype=sample.dtype, device=sample.device)
        torch.where(unknown, sample, sample.new_zeros(()), out=b)
    norm = _norm(b)
    exponent = 0
    if not 2.0 ** -NORM_REACH[b.dtype] < norm < 2.0 ** NORM_REACH[b.dtype]:
        largest = float(torch.linalg.vector_norm(b, torch.inf))
        if not isfinite(largest):
            raise ValueError("rhs has NaN or Inf")
        exponent = max(power_of_two(largest, 0), -1000)
        b = b * 2.0**-exponent
        norm = _norm(b)
    mean, solvable = 0.0, True
    if not null_space.empty and norm > 0:
        b = b.clone() if b is sample else b
        projected = float(null_space.project(b))
        epsilon = torch.finfo(b.dtype).eps
        mean = projected * 2.0**exponent
        solvable = abs(projected) <= MEAN_ROUNDING * epsilon * norm / b.numel() ** 0.5
        remaining = _norm(b)
        norm = 0.0 if remaining <= epsilon * norm else remaining
    size = frexp(norm)[1] + exponent + power + 2 * frexp(width)[1]
    if norm > 0 and abs(size) > SOLUTION_REACH[b.dtype]:
        raise ValueError(f"the solution is out of {b.dtype}'s range: scale rhs or the spacing")
    return System(b, norm, mean, solvable, exponent + power)


def power_of_two(value: float, reach: int) -> int:
    """The exponent of the power of two next to a positive value; 0 within 2**-reach to 2**reach."""
    exponent = frexp(value)[1]
    return exponent if abs(exponent) > reach else 0


def _norm(b: Tensor) -> float:
    return float(torch.linalg.vector_norm(b, dtype=torch.float64))
