"""One level of a hierarchy as plain arrays: what the kernels compute, written out for definitions and tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fastsciml.ops.split_rows import half_of, join_rows

if TYPE_CHECKING:
    from fastsciml.solvers.coarsening import Transfer
    from fastsciml.solvers.grid import Axis
    from fastsciml.solvers.hierarchy import Hierarchy


@dataclass(frozen=True)
class LevelDefinition:
    """Couplings [nx, ny, nz] (or broadcastable) to the six neighbours, the diagonal, and the transfers.

    `colours` are the sets of cells a sweep takes at once, as masks: red and black, each split where an odd periodic
    axis closes between two cells of one colour, so that the one at 0 comes after the one at the other end.
    """

    lower: tuple[Tensor, Tensor, Tensor]
    upper: tuple[Tensor, Tensor, Tensor]
    diagonal: Tensor
    inverse_diagonal: Tensor
    relaxation: float
    colours: list[list[Tensor]]
    restriction: tuple[Tensor, Tensor, Tensor]
    prolongation: tuple[Tensor, Tensor, Tensor]

    @staticmethod
    def unpacked(h: Hierarchy, l: int, dtype: torch.dtype) -> LevelDefinition:
        axes = h.levels[l]
        nx, ny, nz = (axis.extent for axis in axes)
        couplings = [_broadcast(axis.off_diagonals(), a, dtype) for a, axis in enumerate(axes)]
        lower = [pair[0] for pair in couplings]
        upper = [pair[1] for pair in couplings]
        if h.faces[l].numel():
            across = torch.split(h.faces[l], [(nx + 1) * ny * 2 * half_of(nz), nx * (ny + 1) * 2 * half_of(nz)])
            for a, (flat, n) in enumerate(zip(across, (nx, ny), strict=True)):
                rows = join_rows(flat.reshape(nx + (a == 0), ny + (a == 1), -1), nz).to(dtype)
                lower[a], upper[a] = lower[a] * rows.narrow(a, 0, n), upper[a] * rows.narrow(a, 1, n)
            near, far = join_rows(h.z_couplings[l][:, h.stored_rows(l)], nz).to(dtype)
            even = torch.arange(nz) % 2 == 0
            lower[2], upper[2] = torch.where(even, far, near), torch.where(even, near, far)
        diagonal, inverse = join_rows(h.diagonals[l][:, h.stored_rows(l)], nz).to(dtype)
        transfers = [_transfer_matrices(move, dtype) for move in h.transfers[l]]
        return LevelDefinition(
            lower=(lower[0], lower[1], lower[2]),
            upper=(upper[0], upper[1], upper[2]),
            diagonal=diagonal,
            inverse_diagonal=torch.where(diagonal > 0, 1 / diagonal, inverse * 0),
            relaxation=float(h.axes[l][-1]),
            colours=_colours(axes),
            restriction=(transfers[0][0], transfers[1][0], transfers[2][0]),
            prolongation=(transfers[0][1], transfers[1][1], transfers[2][1]),
        )

    def apply(self, v: Tensor) -> Tensor:
        """A v."""
        result = self.diagonal * v
        for a in range(3):
            result = result - self.lower[a] * v.roll(1, a - 3) - self.upper[a] * v.roll(-1, a - 3)
        return result

    def restrict(self, r: Tensor) -> Tensor:
        """The mean over each coarse cell; solid cells have no residual."""
        return torch.einsum("...ijk,Ii,Jj,Kk->...IJK", r * (self.inverse_diagonal > 0), *self.restriction)

    def prolong(self, e: Tensor, unknown: Tensor | None = None) -> Tensor:
        """Linear interpolation; solid cells stay 0. Given where there is a coarse unknown, it takes the weights of the
        other coarse cells to those (csrc/multigrid/guess.h).
        """
        fine = self._interpolate(e)
        if unknown is not None:
            fine = fine * self.around(unknown)
        return fine * (self.inverse_diagonal > 0)

    def around(self, unknown: Tensor) -> Tensor:
        """[nx, ny, nz], what interpolation around solid multiplies by: 1 away from coarse cells without an unknown."""
        ones = torch.ones(unknown.shape, dtype=self.diagonal.dtype)
        share = self._interpolate(ones * unknown)
        return torch.where(share > 0, self._interpolate(ones) / share, 0)

    def _interpolate(self, e: Tensor) -> Tensor:
        return torch.einsum("...IJK,iI,jJ,kK->...ijk", e, *self.prolongation)


def _colours(axes: tuple[Axis, Axis, Axis]) -> list[list[Tensor]]:
    extents = [axis.extent for axis in axes]
    indices = torch.meshgrid(*(torch.arange(n) for n in extents), indexing="ij")
    turn = torch.zeros(extents)
    for axis, i in zip(axes, indices, strict=True):
        if axis.periodic and axis.extent % 2 == 1 and axis.extent > 1:
            turn += i == 0
    parity = sum(indices) % 2
    return [[(parity == c) & (turn == t) for t in range(int(turn.max()) + 1)] for c in (0, 1)]


def _broadcast(pair: tuple[object, object], axis: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    shape = [1, 1, 1]
    shape[axis] = -1
    lower, upper = (torch.as_tensor(values, dtype=dtype).reshape(shape) for values in pair)
    return lower, upper


def _transfer_matrices(move: Transfer, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Restriction [coarse, fine] and prolongation [fine, coarse] along one axis."""
    n = len(move.parent)
    i, parent, beyond = torch.arange(n), torch.from_numpy(move.parent).long(), torch.from_numpy(move.beyond).long()
    own, following = (torch.as_tensor(w, dtype=dtype) for w in (move.own, move.next))
    restriction = torch.zeros(int(parent[-1]) + 1, n, dtype=dtype)
    restriction[parent, i] = torch.as_tensor(move.share, dtype=dtype)
    prolongation = torch.zeros(restriction.shape[::-1], dtype=dtype)
    prolongation[i, parent] += own
    prolongation[i, beyond] += following
    return restriction, prolongation
