"""One learned stencil of a multi-channel V-cycle: what all its steps are made of. Called by `multigrid_conv`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from torch import Tensor
from torch.nn import functional

CONVOLUTIONS: Sequence[Any] = (functional.conv1d, functional.conv2d, functional.conv3d)
TRANSPOSED: Sequence[Any] = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)


class Kind(IntEnum):
    """How a stencil w goes from the grid of x to that of out, along each axis.

    SAME: out_i = sum_k w_k x_(i + k - 1), k = 0 to 2, w [C_out, C_in, 3, ...].
    RESTRICT: out_i = sum_k w_k x_(2 i + k - 1), half the points, rounded up.
    PROLONG: out_i = the sum of w_k x_c over 2 c + k - 1 = i, k = 0 to 3, w [C_in, C_out, 4, ...]; twice the points, or
        one fewer.
    POINT: out_i = w x_i, w [C_out, C_in, 1, ...].
    """

    SAME = 0
    RESTRICT = 1
    PROLONG = 2
    POINT = 3


class Boundary(IntEnum):
    """What a stencil sees beyond the grid: zeros, the field mirrored at its last point, or its other side."""

    DIRICHLET = 0
    NEUMANN = 1
    PERIODIC = 2


class Activation(IntEnum):
    """Of a layer's end; GELU is the exact one, with erf."""

    NONE = 0
    GELU = 1
    RELU = 2


PADDING = {Boundary.DIRICHLET: "constant", Boundary.NEUMANN: "reflect", Boundary.PERIODIC: "circular"}
ACTIVATIONS: dict[Activation, Any] = {
    Activation.NONE: lambda x: x,
    Activation.GELU: functional.gelu,
    Activation.RELU: functional.relu,
}


def stencil_definition(x: Tensor, weight: Tensor, kind: int, boundary: int, extents: Sequence[int]) -> Tensor:
    """The stencil applied to x in plain PyTorch, on the grid of those extents; linear in either."""
    dims = x.dim() - 2
    if kind != Kind.POINT:
        x = functional.pad(x, [1, 1] * dims, mode=PADDING[Boundary(boundary)])
    if kind != Kind.PROLONG:
        out: Tensor = CONVOLUTIONS[dims - 1](x, weight, stride=2 if kind == Kind.RESTRICT else 1)
        return out
    out = TRANSPOSED[dims - 1](x, weight, stride=2, padding=3)
    for axis, n in enumerate(extents):
        out = out.narrow(axis + 2, 0, n)
    return out
