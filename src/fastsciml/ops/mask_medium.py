"""A medium that conducts the same everywhere but for closed faces: straight from its bits (`pack_faces`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastsciml.ops.pack_faces import UNKNOWN_BIT
from fastsciml.ops.packed_medium import (
    Faces,
    PackedMedium,
    along,
    axis_couplings,
    coarsen_medium_definition,
    diagonal_pair,
    fake_packed,
    split_medium_definition,
)
from fastsciml.ops.split_rows import half_of


def faces_of_bits(bits: Tensor, periodic: Sequence[int]) -> Faces:
    """1 where a face is open to an unknown, 0 elsewhere, float32."""
    faces = []
    for axis, n in enumerate(bits.shape):
        lower, upper = (_bit(bits, 2 * axis + side) for side in (0, 1))
        last, first = upper.narrow(axis, n - 1, 1), lower.narrow(axis, 0, 1)
        below = torch.cat([last if periodic[axis] else torch.zeros_like(last), upper], axis)
        above = torch.cat([lower, first if periodic[axis] else torch.zeros_like(first)], axis)
        faces.append((below | above).float())
    return faces[0], faces[1], faces[2]


def mask_diagonals_definition(
    bits: Tensor, couplings: Tensor, reaction: Tensor | None, alpha: float, relaxation: float
) -> Tensor:
    """Diagonal = sum over the open faces of each unknown of their coupling, + alpha + reaction; packed, every row."""
    rest = alpha if reaction is None else alpha + reaction
    diagonal = couplings.new_zeros(bits.shape)
    for axis, pair in enumerate(axis_couplings(couplings, bits.shape)):
        for upper, coupling in enumerate(pair):
            diagonal = diagonal + _bit(bits, 2 * axis + upper) * along(coupling, axis)
    return diagonal_pair(diagonal + _bit(bits, UNKNOWN_BIT) * rest, relaxation)


def mask_diagonals(
    bits: Tensor, couplings: Tensor, reaction: Tensor | None, alpha: float, relaxation: float
) -> tuple[Tensor, Tensor]:
    """`diagonals` of the finest level and where each row's stands among them (csrc/multigrid/tensors.h): float32
    [2, rows, 2 half], int32 [nx ny].

    Args:
        bits: uint8 [nx, ny, nz] of `pack_faces`.
        couplings: float32, as those of `poisson_apply`.
        reaction: float32 [nx, ny, nz], what stands on the diagonal of each unknown beside the faces and alpha, or None.
        alpha: likewise, everywhere.
        relaxation: over-relaxation of the smoother.

    Raises:
        RuntimeError: a shape, dtype or memory layout does not fit; the sentence names the tensor.
    """
    diagonals, stored = torch.ops.fastsciml.mask_diagonals(bits, couplings, reaction, alpha, relaxation)
    return diagonals, stored


def coarsen_mask_definition(
    bits: Tensor,
    couplings: Tensor,
    reaction: Tensor | None,
    alpha: float,
    periodic: Sequence[int],
    parents: Tensor,
    shares: Tensor,
) -> tuple[Faces, Tensor | None]:
    """The next level's faces and reaction, plain arrays, as from a medium of faces that conduct 1."""
    unknown = _bit(bits, UNKNOWN_BIT).bool()
    rest = None
    if alpha or reaction is not None:
        rest = unknown * (alpha + (couplings.new_zeros(bits.shape) if reaction is None else reaction))
    x, y, z = (face.to(couplings.dtype) for face in faces_of_bits(bits, periodic))
    faces, total = split_medium_definition((x, y, z), unknown, None, rest, couplings, periodic)
    return coarsen_medium_definition(faces, total, parents, shares)


def coarsen_mask(
    bits: Tensor,
    couplings: Tensor,
    reaction: Tensor | None,
    alpha: float,
    fixed: bool,
    periodic: Sequence[int],
    parents: Tensor,
    shares: Tensor,
) -> PackedMedium:
    """The packed medium of the second level.

    Args:
        bits: as in `mask_diagonals`.
        couplings: likewise.
        reaction: likewise.
        alpha: likewise.
        fixed: whether open faces may lead to fixed cells.
        periodic: three flags.
        parents: as in `coarsen_medium`.
        shares: likewise.

    Raises:
        RuntimeError: a shape, dtype or memory layout does not fit; the sentence names the tensor.
    """
    return PackedMedium(
        *torch.ops.fastsciml.coarsen_mask(bits, couplings, reaction, alpha, fixed, periodic, parents, shares)
    )


def _bit(bits: Tensor, bit: int) -> Tensor:
    return bits >> bit & 1


@torch.library.register_fake("fastsciml::mask_diagonals")  # type: ignore[untyped-decorator]
def _fake_diagonals(
    bits: Tensor, couplings: Tensor, reaction: Tensor | None, alpha: float, relaxation: float
) -> tuple[Tensor, Tensor]:
    nx, ny, nz = bits.shape
    rows = torch.library.get_ctx().new_dynamic_size()
    return bits.new_empty((2, rows, 2 * half_of(nz)), dtype=torch.float32), bits.new_empty(nx * ny, dtype=torch.int32)


@torch.library.register_fake("fastsciml::coarsen_mask")  # type: ignore[untyped-decorator]
def _fake_coarsen(
    bits: Tensor,
    couplings: Tensor,
    reaction: Tensor | None,
    alpha: float,
    fixed: bool,
    periodic: list[int],
    parents: Tensor,
    shares: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    return fake_packed(bits)
