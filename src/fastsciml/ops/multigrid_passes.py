"""The V-cycle of learned stencils and its gradient, made of the operators of `multigrid_stencil`.

What the backward pass needs of the forward one goes on a tape; with a checkpoint the backward pass makes it anew.
Called by `multigrid_conv`, for every device that has those operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fastsciml.ops.multigrid_levels import End, Level, Norm, Smoothing, halved
from fastsciml.ops.multigrid_stencil import ACTIVATIONS, Activation, Boundary, Kind
from fastsciml.ops.multigrid_stencil import stencil as stencil_of


class Tape:
    """Tensors in the order in which the forward pass made them; the backward pass takes them from the end."""

    def __init__(self, tensors: Sequence[Tensor] = (), keeps: bool = True) -> None:
        self.tensors, self.keeps = list(tensors), keeps

    def put(self, *tensors: Tensor) -> None:
        if self.keeps:
            self.tensors += tensors

    def take(self) -> Tensor:
        return self.tensors.pop()


@dataclass
class Forward:
    """act(V-cycle of f + B f + bias), with what it keeps on a tape."""

    levels: Sequence[Level]
    end: End
    boundary: Boundary
    tape: Tape
    data: Tensor

    def run(self) -> Tensor:
        f = self.data
        u = self.smoothed(None, f, self.levels[0].pre)
        fine: list[tuple[Tensor, Tensor]] = []
        for level, below in zip(self.levels, self.levels[1:], strict=False):
            fine.append((u, f))
            u, f = self.restricted(u, f, level)
            u = self.smoothed(u, f, below.pre)
        u = self.smoothed(u, f, self.levels[-1].post)
        for level in reversed(self.levels[:-1]):
            assert level.transfer is not None
            onto, f = fine.pop()
            P, norm = level.transfer.P, level.transfer.norm
            self.tape.put(u)
            if ends_in_prolongation(self.levels) and not fine:
                return self.ended(u, P, Kind.PROLONG, onto)
            u = stencil_of(u, P, Kind.PROLONG, self.boundary, onto.shape[2:], onto)
            del onto
            u = self.smoothed(u if norm is None else self.normed(u, norm), f, level.post)
        if self.end.pointwise is not None:
            return self.ended(None, self.end.pointwise, Kind.POINT, u)
        return self.activated(u if self.end.bias is None else u + along_channels(self.end.bias, u))

    def smoothed(self, u: Tensor | None, f: Tensor, iterations: Sequence[Smoothing]) -> Tensor:
        for S, A in iterations:
            if u is None:
                u = stencil_of(f, S, Kind.SAME, self.boundary, f.shape[2:])
            else:
                assert A is not None
                r = stencil_of(u, A, Kind.SAME, self.boundary, u.shape[2:], f, subtract=True)
                self.tape.put(u, r)
                u = stencil_of(r, S, Kind.SAME, self.boundary, u.shape[2:], u)
        assert u is not None
        return u

    def restricted(self, u: Tensor, f: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        """The next level's u and f."""
        assert level.transfer is not None
        R, Pi, _, A, _ = level.transfer
        r = f if A is None else stencil_of(u, A, Kind.SAME, self.boundary, u.shape[2:], f, subtract=True)
        self.tape.put(u)
        if r is not self.data:  # which the backward pass has
            self.tape.put(r)
        extents = halved(u.shape[2:])
        return (
            stencil_of(u, Pi, Kind.RESTRICT, self.boundary, extents),
            stencil_of(r, R, Kind.RESTRICT, self.boundary, extents),
        )

    def normed(self, u: Tensor, norm: Norm) -> Tensor:
        out, mean, rstd = torch.native_layer_norm(u, u.shape[1:], None, None, norm.eps)
        self.tape.put(u, mean, rstd)
        if norm.weight is not None:
            out = out * norm.weight
        return out if norm.bias is None else out + norm.bias

    def ended(self, x: Tensor | None, weight: Tensor, kind: Kind, added: Tensor) -> Tensor:
        """The layer's end in the same pass as its last sum, of x, or of B alone."""
        pointwise = self.end.pointwise if x is not None else None
        inside = Activation.NONE if self.tape.keeps else self.end.activation
        z = stencil_of(
            self.data if x is None else x, weight, kind, self.boundary, added.shape[2:], added,
            pointwise_x=None if pointwise is None else self.data, pointwise=pointwise, bias=self.end.bias,
            activation=inside,
        )  # fmt: skip
        return self.activated(z) if self.tape.keeps else z

    def activated(self, z: Tensor) -> Tensor:
        if self.end.activation == Activation.NONE:
            return z
        self.tape.put(z)
        out: Tensor = ACTIVATIONS[self.end.activation](z)
        return out


def ends_in_prolongation(levels: Sequence[Level]) -> bool:
    """Whether the correction of the finest level is the cycle's last step."""
    transfer = levels[0].transfer
    return transfer is not None and transfer.norm is None and not levels[0].post


def along_channels(bias: Tensor, u: Tensor) -> Tensor:
    return bias.view(-1, *[1] * (u.dim() - 2))
