"""The gradient of the V-cycle of learned stencils, step by step from the end. Called by `multigrid_conv`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fastsciml.ops.multigrid_levels import Level, Norm, Smoothing, Structure, Transfer, restored
from fastsciml.ops.multigrid_passes import Tape
from fastsciml.ops.multigrid_stencil import Activation, Boundary, Kind, stencil_adjoint, stencil_gradient


@dataclass
class Backward:
    """From the gradient of the output to those of f and of every tensor of the stencils."""

    tensors: Sequence[Tensor]
    structure: Structure
    boundary: Boundary
    tape: Tape
    f: Tensor
    of_f: bool  # whether f's gradient is wanted
    gradients: dict[int, Tensor] = field(default_factory=dict)  # by a tensor's number

    def run(self, du: Tensor) -> Tensor | None:
        # Levels with a tensor's number in the place of the tensor
        levels, end = restored(range(len(self.tensors)), self.structure)
        du, df = self.of_activation(du, end.activation), None
        if end.bias is not None:
            self.add(end.bias, du.sum([0, *range(2, du.dim())]))
        if end.pointwise is not None:
            self.add_product(end.pointwise, du, self.f, Kind.POINT)
            if self.of_f:
                df = self.transposed(end.pointwise, du, self.f, Kind.POINT)
        return self.of_level(levels, du, df, finest=True)[1]

    def of_level(
        self, levels: Sequence[Level], du: Tensor, df: Tensor | None, finest: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """The gradients of the u and the f that a level begins with, of that of the u that it ends with.

        Args:
            levels: the level and those below.
            du: of the u that it ends with.
            df: what is known of f's.
            finest: whether it begins with f alone.
        """
        level, wanted = levels[0], self.of_f or not finest
        du, df = self.of_iterations(level.post, du, df, wanted)
        if level.transfer is not None:
            du, df = self.of_transfer(level.transfer, levels[1:], du, df, finest)
        first = level.pre[:1] if finest else []
        du, df = self.of_iterations(level.pre[len(first) :], du, df, wanted)
        for S, _ in first:
            self.add_product(S, du, self.f, Kind.SAME)
            if wanted:
                df = self.transposed(S, du, self.f, Kind.SAME, df)
        return du, df

    def of_iterations(
        self, iterations: Sequence[Smoothing], du: Tensor, df: Tensor | None, wanted: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Of u + S * r, r = f - A * u: dr = S^T du, du -= A^T dr, df += dr."""
        for S, A in reversed(iterations):
            assert A is not None
            r, u = self.tape.take(), self.tape.take()
            self.add_product(S, du, r, Kind.SAME)
            dr = self.transposed(S, du, r, Kind.SAME)
            du = self.of_residual(A, dr, u, du)
            if wanted:
                df = dr if df is None else df + dr
        return du, df

    def of_residual(self, A: Tensor, dr: Tensor, u: Tensor, du: Tensor) -> Tensor:
        """Of r = f - A * u: du - A^T dr."""
        self.add(A, -stencil_gradient(dr, u, Kind.SAME, self.boundary, self.tensor(A).shape))
        return self.transposed(A, dr, u, Kind.SAME, du, subtract=True)

    def of_transfer(
        self, transfer: Transfer, below: Sequence[Level], du: Tensor, df: Tensor | None, finest: bool
    ) -> tuple[Tensor, Tensor | None]:
        R, Pi, P, A, norm = transfer
        wanted = self.of_f or not finest
        if norm is not None:
            du = self.of_norm(norm, du)
        coarse = self.tape.take()
        self.add_product(P, du, coarse, Kind.PROLONG)
        du_coarse = self.transposed(P, du, coarse, Kind.PROLONG)
        del coarse
        du_coarse, df_coarse = self.of_level(below, du_coarse, None)
        r = self.f if finest and A is None else self.tape.take()
        u = self.tape.take()
        self.add_product(Pi, du_coarse, u, Kind.RESTRICT)
        du = self.transposed(Pi, du_coarse, u, Kind.RESTRICT, du)
        assert df_coarse is not None
        self.add_product(R, df_coarse, r, Kind.RESTRICT)
        if A is not None:
            dr = self.transposed(R, df_coarse, r, Kind.RESTRICT)
            du = self.of_residual(A, dr, u, du)
            if wanted:
                df = dr if df is None else df + dr
        elif wanted:
            df = self.transposed(R, df_coarse, r, Kind.RESTRICT, df)
        return du, df

    def of_norm(self, norm: Norm, du: Tensor) -> Tensor:
        rstd, mean, u = self.tape.take(), self.tape.take(), self.tape.take()
        if norm.bias is not None:
            self.add(norm.bias, du.sum_to_size(self.tensor(norm.bias).shape))
        if norm.weight is not None:
            normed, _, _ = torch.native_layer_norm(u, u.shape[1:], None, None, norm.eps)
            self.add(norm.weight, (du * normed).sum_to_size(self.tensor(norm.weight).shape))
            du = du * self.tensor(norm.weight)
        whole: Tensor = torch.ops.aten.native_layer_norm_backward(
            du, u, u.shape[1:], mean, rstd, None, None, [True, False, False]
        )[0]
        return whole

    def of_activation(self, du: Tensor, activation: Activation) -> Tensor:
        if activation == Activation.NONE:
            return du
        z = self.tape.take()
        if activation == Activation.GELU:
            through: Tensor = torch.ops.aten.gelu_backward(du, z)
        else:
            through = torch.ops.aten.threshold_backward(du, z, 0)
        return through

    def tensor(self, number: Tensor) -> Tensor:
        return self.tensors[number]  # type: ignore[call-overload, no-any-return]

    def add(self, number: Tensor, gradient: Tensor) -> None:
        self.gradients[number] = gradient  # type: ignore[index]

    def add_product(self, number: Tensor, dout: Tensor, x: Tensor, kind: Kind) -> None:
        self.add(number, stencil_gradient(dout, x, kind, self.boundary, self.tensor(number).shape))

    def transposed(
        self,
        number: Tensor,
        dout: Tensor,
        x: Tensor,
        kind: Kind,
        added: Tensor | None = None,
        subtract: bool = False,
    ) -> Tensor:
        """Added plus or minus the transposed stencil of dout, on the grid of x."""
        return stencil_adjoint(dout, self.tensor(number), kind, self.boundary, x.shape[2:], added, subtract)
