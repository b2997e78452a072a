"""Biases of a V-cycle's stencils, as one more channel of the data that is 1 everywhere.

The operator's stencils have none. S * (f - A * u - a) + s is S' * (f' - A' * u) for f' = (f, 1): the new column of S'
is -S * a, with s added in the middle, and the new row of A' is zero. R' keeps the ones. It holds with every boundary,
since S sees as much of the ones as of a constant a.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def with_ones(f: Tensor) -> Tensor:
    """[B, C, n] -> [B, C + 1, n]."""
    return torch.cat([f, f.new_ones(f.shape[0], 1, *f.shape[2:])], 1)


def smoother(S: Tensor, s: Tensor, a: Tensor | None) -> Tensor:
    """S' [C_u, C_f + 1, 3, ...] of S [C_u, C_f, 3, ...], its bias s [C_u] and the bias a [C_f] of A."""
    column = _middle(s, S)
    return torch.cat([S, (column if a is None else column - _applied(S, a)).unsqueeze(1)], 1)


def system(A: Tensor) -> Tensor:
    """A' [C_f + 1, C_u, 3, ...] of A [C_f, C_u, 3, ...]."""
    return torch.cat([A, A.new_zeros(1, *A.shape[1:])])


def restriction(R: Tensor, a: Tensor | None) -> Tensor:
    """R' [C_coarse + 1, C_f + 1, 3, ...] of R [C_coarse, C_f, 3, ...] and the bias a [C_f] of the residual's A."""
    column = R.new_zeros(R.shape[0], *R.shape[2:]) if a is None else -_applied(R, a)
    keep = torch.cat([R.new_zeros(R.shape[1]), R.new_ones(1)])
    return torch.cat([torch.cat([R, column.unsqueeze(1)], 1), _middle(keep, R).unsqueeze(0)])


def pointwise(B: Tensor) -> Tensor:
    """[C_u, C_f + 1, 1, ...] of B [C_u, C_f, 1, ...], which does not see the ones."""
    return torch.cat([B, B.new_zeros(B.shape[0], 1, *B.shape[2:])], 1)


def _applied(stencil: Tensor, constant: Tensor) -> Tensor:
    out: Tensor = torch.tensordot(stencil, constant, dims=([1], [0]))
    return out


def _middle(values: Tensor, stencil: Tensor) -> Tensor:
    """[C, 3, ...] with the values in the middle and zeros about them."""
    dims = stencil.dim() - 2
    return functional.pad(values.view(-1, *[1] * dims), [1, 1] * dims)
