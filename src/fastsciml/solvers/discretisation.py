"""A Poisson problem without its right-hand side: the operator, what it does not see, and its hierarchy of levels.

It is set up on the CPU. What a solve reads of it stands where the right-hand sides do: a `Placed`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, reduce

import numpy as np
import torch
from torch import Tensor

from fastsciml.ops.pack_faces import pack_faces
from fastsciml.ops.packed_medium import Faces
from fastsciml.ops.poisson_apply import poisson_apply
from fastsciml.ops.poisson_residual_norm import poisson_residual_norm
from fastsciml.solvers.arrays import CPU
from fastsciml.solvers.grid import Grid
from fastsciml.solvers.hierarchy import Hierarchy, box_hierarchy, medium_hierarchy
from fastsciml.solvers.medium import Medium, UniformMedium, open_faces
from fastsciml.solvers.nullspace import NullSpace, find_null_space


@dataclass(frozen=True)
class Operator:
    """A on the finest grid [nx, ny, nz], in the caller's dtype: the arguments of `poisson_apply`."""

    extents: tuple[int, int, int]
    couplings: Tensor
    periodic: list[int]
    faces: Tensor | None = None
    coefficient: list[Tensor] | None = None
    alpha: Tensor | None = None

    def __call__(self, u: Tensor) -> Tensor:
        """A u for u [batch, nx, ny, nz]."""
        return poisson_apply(u, self.couplings, self.periodic, self.faces, self.coefficient, self.alpha)

    def to(self, device: torch.device) -> Operator:
        """The same on a device; differentiable."""
        return replace(
            self,
            couplings=self.couplings.to(device),
            faces=_moved(self.faces, device),
            coefficient=None if self.coefficient is None else [face.to(device) for face in self.coefficient],
            alpha=_moved(self.alpha, device),
        )

    @cached_property
    def largest_diagonal(self) -> float:
        """A bound for the entries of A's diagonal."""
        axes = torch.split(self.couplings, [2 * n for n in self.extents])
        most = [float(axis.reshape(2, -1).sum(0).max()) for axis in axes]
        conducts = [1.0] * 3 if not self.coefficient else [float(face.max()) for face in self.coefficient]
        reaction = 0.0 if self.alpha is None else float(self.alpha.max())
        return reaction + sum(k * coupling for k, coupling in zip(conducts, most, strict=True))

    def residual_norm(self, u: Tensor, f: Tensor) -> float:
        """||f - A u|| for u and f [nx, ny, nz]."""
        return poisson_residual_norm(u, f, self.couplings, self.periodic, self.faces, self.coefficient, self.alpha)


@dataclass(frozen=True)
class Fill:
    """What fills the box, on three axes, in the units of the grid.

    Attributes:
        solid: bool [nx, ny, nz], where no face conducts; None: nowhere.
        fixed: bool [nx, ny, nz], where the solution is given; None: nowhere.
        faces: what each face conducts, in the caller's dtype; None: 1.
        alpha: one entry or [nx, ny, nz], in the caller's dtype; None: 0.
    """

    solid: Tensor | None = None
    fixed: Tensor | None = None
    faces: list[Tensor] | None = None
    alpha: Tensor | None = None


@dataclass(frozen=True)
class Placed:
    """What a solve reads, where the right-hand sides are; fields as those of `Discretisation`.

    Attributes:
        given: A with fixed cells as unknowns, so that it is self-adjoint; coefficient and alpha carry gradients.
        fixed: bool [nx, ny, nz], or None: nowhere.
    """

    operator: Operator
    given: Operator
    unknown: Tensor | None
    fixed: Tensor | None
    volumes: Tensor | None
    null_space: NullSpace


class Discretisation:
    """A on one grid, for one sample.

    Args:
        grid: of the unknowns.
        fill: what is in it, on the CPU.
        dtype: of the right-hand sides.
        device: likewise.

    Raises:
        ValueError: the masks leave no unknown.
    """

    def __init__(self, grid: Grid, fill: Fill, dtype: torch.dtype, device: torch.device = CPU) -> None:
        self.grid, self.fill, self.device = grid, fill, device
        self.unknown = self._where_unknown()
        packed = None
        if self.unknown is not None:
            # Without fixed cells, those that faces may open to are the unknowns.
            packed = pack_faces(self.unknown, None if fill.fixed is None else self._passable(), grid.periodic)
        couplings = np.concatenate([c for axis in grid.axes for c in axis.face_couplings()])
        self.operator = Operator(
            grid.extents,
            torch.from_numpy(couplings).to(dtype),
            [int(periodic) for periodic in grid.periodic],
            packed,
            None if fill.faces is None else [face.detach() for face in fill.faces],
            None if fill.alpha is None else fill.alpha.detach(),
        )

    @property
    def unknowns(self) -> int:
        # torch's sum() of a mask makes integers of it first, which takes half as long as the whole set-up.
        return int(np.prod(self.grid.extents)) if self.unknown is None else int(np.count_nonzero(self.unknown.numpy()))

    @property
    def is_box(self) -> bool:
        """Whether A is a sum of one-dimensional operators."""
        alpha = self.operator.alpha
        return self.unknown is None and self.fill.faces is None and (alpha is None or alpha.numel() == 1)

    @cached_property
    def volumes(self) -> Tensor | None:
        """[nx, ny, nz] in the caller's dtype, or None where all are 1."""
        return None if self.grid.uniform else torch.from_numpy(self.grid.volumes()).to(self.operator.couplings)

    @cached_property
    def null_space(self) -> NullSpace:
        alpha, holds, faces = self.operator.alpha, None, None
        if alpha is not None and alpha.numel() == 1:
            if float(alpha) > 0:
                return NullSpace(None, torch.empty(0, dtype=torch.float64))
        elif alpha is not None:
            holds = alpha > 0
        if self.fill.fixed is not None:
            beside = _beside(self.fill.fixed, self.fill.faces, self.grid.periodic)
            holds = beside if holds is None else holds | beside
        if self.fill.faces is not None and not all(float(face.detach().amin()) > 0 for face in self.fill.faces):
            faces = self._conducting(torch.float64)
        return find_null_space(self.grid, self.unknown, holds, faces)

    @cached_property
    def placed(self) -> Placed:
        """On the device, moved there once."""
        fill, faces = self.fill, self.operator.faces
        if fill.fixed is not None:
            faces = None if fill.solid is None else pack_faces(~fill.solid, None, self.grid.periodic)
        # Whoever solves first may want no gradients, and others after that.
        with torch.inference_mode(False), torch.enable_grad():
            given = replace(self.operator, faces=faces, coefficient=fill.faces, alpha=fill.alpha).to(self.device)
        operator = replace(
            given,
            faces=given.faces if fill.fixed is None else _moved(self.operator.faces, self.device),
            coefficient=None if given.coefficient is None else [face.detach() for face in given.coefficient],
            alpha=None if given.alpha is None else given.alpha.detach(),
        )
        unknown, fixed, volumes = (_moved(t, self.device) for t in (self.unknown, fill.fixed, self.volumes))
        return Placed(operator, given, unknown, fixed, volumes, self.null_space.to(self.device))

    def hierarchy(self, *, symmetric: bool = False) -> Hierarchy:
        """The levels; `symmetric` as in `box_hierarchy`."""
        alpha = self.operator.alpha
        if self.is_box:
            return box_hierarchy(self.grid, 0.0 if alpha is None else float(alpha), symmetric)
        unknown = torch.ones(self.grid.extents, dtype=torch.bool) if self.unknown is None else self.unknown
        varies = alpha is not None and alpha.numel() > 1
        if self.operator.coefficient is None:
            reaction = alpha.float() if varies and alpha is not None else None
            bits = pack_faces(unknown, None, self.grid.periodic) if self.operator.faces is None else self.operator.faces
            everywhere = 0.0 if varies or alpha is None else float(alpha)
            medium = UniformMedium(bits, self.fill.fixed is not None, everywhere, reaction)
            return medium_hierarchy(self.grid, medium, symmetric)
        x, y, z = self.operator.coefficient
        reaction = None if alpha is None else alpha.expand(self.grid.extents).contiguous()
        passable = None if self.fill.solid is None else self._passable()
        return medium_hierarchy(self.grid, Medium(unknown, (x, y, z), reaction, passable), symmetric)

    def _passable(self) -> Tensor:
        everywhere = torch.ones(self.grid.extents, dtype=torch.bool)
        return everywhere if self.fill.solid is None else ~self.fill.solid

    def _where_unknown(self) -> Tensor | None:
        masks = {"solid": self.fill.solid, "fixed": self.fill.fixed}
        given = {name: mask for name, mask in masks.items() if mask is not None}
        if not given:
            return None
        unknown = ~reduce(torch.logical_or, given.values())
        if not unknown.numpy().any():
            raise ValueError(f"{' and '.join(given)} leave{'s' if len(given) == 1 else ''} no cell with an unknown")
        return unknown

    def _conducting(self, dtype: torch.dtype) -> Faces:
        """What each face conducts, closed ones nothing."""
        given = self.operator.coefficient
        assert given is not None
        if self.fill.solid is None:
            return given[0].to(dtype), given[1].to(dtype), given[2].to(dtype)
        opened = open_faces(self._passable(), self.grid.periodic)
        x, y, z = (k.to(dtype) * o for k, o in zip(given, opened, strict=True))
        return x, y, z


def _moved(tensor: Tensor | None, device: torch.device) -> Tensor | None:
    return None if tensor is None else tensor.to(device)


def _beside(fixed: Tensor, faces: list[Tensor] | None, periodic: tuple[bool, bool, bool]) -> Tensor:
    """The cells that a conducting face joins to a fixed one."""
    beside = torch.zeros_like(fixed)
    for axis in range(3):
        n = fixed.shape[axis]
        first, last = fixed.narrow(axis, 0, 1), fixed.narrow(axis, n - 1, 1)
        if not periodic[axis]:
            first, last = torch.zeros_like(first), torch.zeros_like(last)
        below = torch.cat([last, fixed.narrow(axis, 0, n - 1)], axis)
        above = torch.cat([fixed.narrow(axis, 1, n - 1), first], axis)
        if faces is not None:
            below, above = below & (faces[axis].narrow(axis, 0, n) > 0), above & (faces[axis].narrow(axis, 1, n) > 0)
        beside |= below | above
    return beside
