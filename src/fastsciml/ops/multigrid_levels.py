"""The stencils of a V-cycle, level by level, and of the layer's end; and all of them as one list of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from fastsciml.ops.multigrid_stencil import Activation


class Smoothing(NamedTuple):
    """One iteration u + S * (f - A * u); without A the first one, S * f, from u = 0.

    Attributes:
        S: [C_u, C_f, 3, ...].
        A: [C_f, C_u, 3, ...] or None.
    """

    S: Tensor
    A: Tensor | None


class Norm(NamedTuple):
    """A layer norm over channels and grid: (u - mean) / sqrt(variance + eps) * weight + bias.

    Attributes:
        weight: of any shape that u's channels and extents broadcast with, or None.
        bias: likewise.
        eps: added to the variance.
    """

    weight: Tensor | None = None
    bias: Tensor | None = None
    eps: float = 1e-5


class Transfer(NamedTuple):
    """Between a level and the next coarser one, with half its points along every axis, rounded up.

    Attributes:
        R: [C_f of the coarse level, C_f, 3, ...], restricts f, or with A the residual f - A * u, at every other point.
        Pi: [C_u of the coarse level, C_u, 3, ...], restricts u likewise.
        P: [C_u of the coarse level, C_u, 4, ...], prolongs the coarse u by a transposed convolution.
        A: [C_f, C_u, 3, ...] or None.
        norm: of u after its correction by the coarse u, or None.
    """

    R: Tensor
    Pi: Tensor
    P: Tensor
    A: Tensor | None
    norm: Norm | None = None


class Level(NamedTuple):
    """Iterations on the way down and on the way up, and the transfer to the next level; the coarsest has none."""

    pre: Sequence[Smoothing]
    post: Sequence[Smoothing]
    transfer: Transfer | None


class End(NamedTuple):
    """Of a layer: act(u + B f + bias)."""

    pointwise: Tensor | None
    bias: Tensor | None
    activation: Activation


def halved(extents: Sequence[int]) -> list[int]:
    """The extents of the next coarser level."""
    return [-(-n // 2) for n in extents]


class Structure(NamedTuple):
    """What a list of tensors stands for: numbers for every level, whether its end has both parts, eps of its norms."""

    of_levels: list[int]
    of_end: list[int]
    eps: list[float]


PARTS = 7  # numbers of a level: pre, post, and whether it has a transfer, its A, a norm, the norm's weight and bias


def flattened(levels: Sequence[Level], end: End) -> tuple[list[Tensor], Structure]:
    """The tensors in the order of the classes' fields, level by level."""
    of_levels: list[int] = []
    tensors: list[Tensor | None] = []
    eps: list[float] = []
    for level in levels:
        for S, A in (*level.pre, *level.post):
            tensors += [S, A]
        transfer = level.transfer
        norm = None if transfer is None else transfer.norm
        of_levels += [len(level.pre), len(level.post), transfer is not None]
        of_levels += [transfer is not None and transfer.A is not None, norm is not None]
        of_levels += [norm is not None and norm.weight is not None, norm is not None and norm.bias is not None]
        if transfer is not None:
            tensors += transfer[:4]
        if norm is not None:
            tensors += norm[:2]
        eps.append(0.0 if norm is None else norm.eps)
    tensors += end[:2]
    of_end = [end.pointwise is not None, end.bias is not None, end.activation]
    return [t for t in tensors if t is not None], Structure(of_levels, of_end, eps)


def restored(items: Iterable[Any], structure: Structure) -> tuple[list[Level], End]:
    """Levels and end of such a list, or of one with something else for each tensor."""
    rest = iter(items)

    def optional(there: int) -> Any:
        return next(rest) if there else None

    levels = []
    for i, eps in enumerate(structure.eps):
        pre, post, transfers, has_A, normed, weighted, biased = structure.of_levels[PARTS * i : PARTS * (i + 1)]
        smoothings = [Smoothing(next(rest), optional(i + j > 0)) for j in range(pre + post)]
        transfer = None
        if transfers:
            R, Pi, P, A = next(rest), next(rest), next(rest), optional(has_A)
            norm = Norm(optional(weighted), optional(biased), eps) if normed else None
            transfer = Transfer(R, Pi, P, A, norm)
        levels.append(Level(smoothings[:pre], smoothings[pre:], transfer))
    pointwise, bias, activation = structure.of_end
    return levels, End(optional(pointwise), optional(bias), Activation(activation))
