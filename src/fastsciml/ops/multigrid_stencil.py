"""One learned stencil of a multi-channel V-cycle: what all its steps are made of. Called by `multigrid_conv`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import torch
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


def stencil(
    x: Tensor,
    weight: Tensor,
    kind: Kind,
    boundary: Boundary,
    extents: Sequence[int],
    added: Tensor | None = None,
    subtract: bool = False,
    pointwise_x: Tensor | None = None,
    pointwise: Tensor | None = None,
    bias: Tensor | None = None,
    activation: Activation = Activation.NONE,
) -> Tensor:
    """act(added + or - weight * x + pointwise pointwise_x + bias) by a kernel, without autograd.

    Args:
        x: [B, C_in, n] of 1 to 3 axes; all tensors are contiguous and of its dtype.
        weight: of the shape that the kind asks for.
        kind: from which grid to which.
        boundary: of x.
        extents: of the grid of the result.
        added: on that grid, or None.
        subtract: whether the stencil's sum is subtracted.
        pointwise_x: [B, C, extents], or None.
        pointwise: [C_out, C, 1, ...], or None.
        bias: [C_out], or None.
        activation: of the whole.

    Returns:
        [B, C_out, extents].
    """
    out: Tensor = torch.ops.fastsciml.multigrid_stencil(
        x, weight, kind, boundary, list(extents), added, subtract, pointwise_x, pointwise, bias, activation
    )
    return out


def stencil_adjoint(
    dout: Tensor,
    weight: Tensor,
    kind: Kind,
    boundary: Boundary,
    extents: Sequence[int],
    added: Tensor | None = None,
    subtract: bool = False,
) -> Tensor:
    """Added plus or minus the transpose of x -> weight * x, of dout, on the grid of x, whose extents are given."""
    dx: Tensor = torch.ops.fastsciml.multigrid_stencil_adjoint(
        dout, weight, kind, boundary, list(extents), added, subtract
    )
    return dx


def stencil_gradient(dout: Tensor, x: Tensor, kind: Kind, boundary: Boundary, shape: Sequence[int]) -> Tensor:
    """The gradient of the weight, of that shape, where dout is that of weight * x."""
    dweight: Tensor = torch.ops.fastsciml.multigrid_stencil_gradient(dout, x, kind, boundary, list(shape))
    return dweight


@torch.library.register_fake("fastsciml::multigrid_stencil")  # type: ignore[untyped-decorator]
def _fake(x: Tensor, weight: Tensor, kind: int, boundary: int, extents: Sequence[int], *rest: object) -> Tensor:
    return x.new_empty((x.shape[0], weight.shape[1 if kind == Kind.PROLONG else 0], *extents))


@torch.library.register_fake("fastsciml::multigrid_stencil_adjoint")  # type: ignore[untyped-decorator]
def _fake_adjoint(
    dout: Tensor, weight: Tensor, kind: int, boundary: int, extents: Sequence[int], *rest: object
) -> Tensor:
    return dout.new_empty((dout.shape[0], weight.shape[0 if kind == Kind.PROLONG else 1], *extents))


@torch.library.register_fake("fastsciml::multigrid_stencil_gradient")  # type: ignore[untyped-decorator]
def _fake_gradient(dout: Tensor, x: Tensor, kind: int, boundary: int, shape: Sequence[int]) -> Tensor:
    return x.new_empty(tuple(shape))
