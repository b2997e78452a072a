"""Coarse faces that conduct more or less than their open area says."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from fastsciml.ops.split_rows import half_of
from fastsciml.solvers.geometry import z_couplings_of
from fastsciml.solvers.hierarchy import Hierarchy


def with_conductance(hierarchy: Hierarchy, exponents: Tensor) -> Hierarchy:
    """A hierarchy in whose coarse levels a face that is open by the share s conducts s exp(a (1 - s) + b (1 - s)^2).

    Only where solid cells alone close faces: of a coefficient or beside fixed cells there is no share, and a box has
    none.

    Args:
        hierarchy: on the CPU.
        exponents: [2], a and b. The result is differentiable in them.
    """
    if not hierarchy.around_solid:
        return hierarchy
    made = [_level(hierarchy, l, exponents) for l in range(len(hierarchy.levels))]
    diagonals, z_couplings, faces = ([level[part] for level in made] for part in range(3))
    return replace(hierarchy, diagonals=diagonals, z_couplings=z_couplings, faces=faces)


def _level(h: Hierarchy, l: int, exponents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Level l's diagonals, couplings along z and faces."""
    faces, z_couplings, (diagonal, inverse) = h.faces[l], h.z_couplings[l], h.diagonals[l]
    if not faces.numel():
        return h.diagonals[l], z_couplings, faces
    x, y, z = h.levels[l]
    row = 2 * half_of(z.extent)
    split = [(x.extent + 1) * y.extent * row, x.extent * (y.extent + 1) * row]
    conducts = _conducts(faces, exponents)
    more_x, more_y = torch.split(conducts - faces, split)
    more_x = more_x.reshape(x.extent + 1, y.extent, row)
    more_y = more_y.reshape(x.extent, y.extent + 1, row)
    whole = z_couplings_of(z)
    shares = torch.where(whole > 0, z_couplings / whole, 0)
    along_z = whole * _conducts(shares, exponents)

    couplings = [torch.as_tensor(c, dtype=torch.float32) for axis in (x, y) for c in axis.off_diagonals()]
    added = couplings[0][:, None, None] * more_x[:-1] + couplings[1][:, None, None] * more_x[1:]
    added = added + couplings[2][:, None] * more_y[:, :-1] + couplings[3][:, None] * more_y[:, 1:]
    stored = h.stored_rows(l)
    added = added + (along_z - z_couplings).sum(0)[stored]
    # Rows that share a diagonal share what is added to it.
    rows = torch.zeros_like(diagonal).index_put((stored.reshape(-1).long(),), added.reshape(-1, row))
    unknown = inverse > 0
    changed = torch.where(unknown, diagonal + rows, diagonal)
    relaxation = h.axes[l][-1]
    inverses = torch.where(unknown, relaxation / torch.where(unknown, changed, 1), inverse)
    return torch.stack([changed, inverses]), along_z, conducts


def _conducts(share: Tensor, exponents: Tensor) -> Tensor:
    closed = (1 - share).clamp(0, 1)
    return share * (closed * (exponents[0] + closed * exponents[1])).exp()
