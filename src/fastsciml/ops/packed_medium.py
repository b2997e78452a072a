"""What fills a grid, packed for the multigrid kernels (csrc/medium/operators.h): made from faces, coarsened, and turned
into a level's tensors.

The definitions take and return plain arrays: faces (x, y, z), each [nx, ny, nz] with one more entry along its own axis,
and the reaction [nx, ny, nz] or None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fastsciml.ops.split_rows import half_of, join_rows, split_rows_definition

# Per axis an array with one more entry than cells along it, face i being the lower one of cell i.
Faces = tuple[Tensor, Tensor, Tensor]
Extents = Sequence[int]


class PackedMedium(NamedTuple):
    """A medium whose faces conduct between unknowns only, float32, rows in halves.

    Attributes:
        faces: [nx + 1, ny, 2 half] across x, then [nx, ny + 1, 2 half] across y, flat.
        face_z: [nx, ny, 2 half_of(nz + 1)].
        reaction: [nx, ny, 2 half], what stands on the diagonal beside the faces; [0, ny, 2 half]: nothing.
    """

    faces: Tensor
    face_z: Tensor
    reaction: Tensor

    @staticmethod
    def packed(faces: Faces, reaction: Tensor | None) -> PackedMedium:
        """From plain arrays."""
        x, y, z = (split_rows_definition(f) for f in faces)
        rest = z.new_empty(0, *x.shape[1:]) if reaction is None else split_rows_definition(reaction)
        return PackedMedium(torch.cat([x.flatten(), y.flatten()]), z, rest)

    def unpacked(self, extents: Extents) -> tuple[Faces, Tensor | None]:
        """The inverse."""
        nx, ny, nz = extents
        half = half_of(nz)
        x, y = torch.split_with_sizes(self.faces, [(nx + 1) * ny * 2 * half, nx * (ny + 1) * 2 * half])
        faces = (
            join_rows(x.reshape(nx + 1, ny, -1), nz),
            join_rows(y.reshape(nx, ny + 1, -1), nz),
            join_rows(self.face_z, nz + 1),
        )
        return faces, join_rows(self.reaction, nz) if self.reaction.numel() else None


def split_medium_definition(
    faces: Faces,
    unknown: Tensor,
    passable: Tensor | None,
    reaction: Tensor | None,
    couplings: Tensor,
    periodic: Sequence[int],
) -> tuple[Faces, Tensor | None]:
    """Faces between two unknowns stay; what leads to fixed cells becomes reaction; no others conduct."""
    fixed = ~unknown if passable is None else passable & ~unknown
    between, to_fixed = [], []
    for axis, face in enumerate(faces):
        below, above = sides(unknown, axis, bool(periodic[axis]))
        between.append(face * (below & above))
        fixed_below, fixed_above = sides(fixed, axis, bool(periodic[axis]))
        to_fixed.append(face * (below & fixed_above | fixed_below & above))
    if reaction is None and not any(bool(lost.any()) for lost in to_fixed):
        return (between[0], between[1], between[2]), None
    ground = coupled((to_fixed[0], to_fixed[1], to_fixed[2]), couplings)
    total = unknown * (ground if reaction is None else ground + reaction)
    return (between[0], between[1], between[2]), total


def split_medium(
    faces: Faces,
    unknown: Tensor,
    passable: Tensor | None,
    reaction: Tensor | None,
    couplings: Tensor,
    periodic: Sequence[int],
) -> PackedMedium:
    """The packed medium of the finest level.

    Args:
        faces: float32 or float64, contiguous, what each face conducts per unit of its coupling. Those at a
            non-periodic end belong to their one cell.
        unknown: bool [nx, ny, nz], contiguous.
        passable: likewise: unknowns and fixed cells; faces of other cells do not conduct. None: every cell.
        reaction: faces' dtype, or None.
        couplings: float32, as those of `poisson_apply`.
        periodic: three flags.

    Raises:
        RuntimeError: a shape, dtype or memory layout does not fit; the sentence names the tensor.
    """
    return PackedMedium(*torch.ops.fastsciml.split_medium(*faces, unknown, passable, reaction, couplings, periodic))


def medium_level_definition(
    faces: Faces, reaction: Tensor | None, couplings: Tensor, periodic_z: bool, relaxation: float
) -> tuple[Tensor, Tensor]:
    """Diagonal = sum of face * coupling + reaction, z_couplings = face * coupling; packed, every row."""
    diagonal = coupled(faces, couplings)
    if reaction is not None:
        diagonal = diagonal + reaction
    nz = diagonal.shape[2]
    lower, upper = axis_couplings(couplings, diagonal.shape)[2]
    if not periodic_z:
        lower, upper = lower.clone(), upper.clone()
        lower[0] = upper[-1] = 0.0
    below, above = faces[2][..., :nz] * lower, faces[2][..., 1:] * upper
    even = torch.arange(nz) % 2 == 0
    z = split_rows_definition(torch.stack([torch.where(even, above, below), torch.where(even, below, above)]))
    return diagonal_pair(diagonal, relaxation), z.flatten(1, 2)


def medium_level(
    medium: PackedMedium, couplings: Tensor, extents: Extents, periodic_z: bool, relaxation: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`diagonals` and `z_couplings` of a level, and where each row's stand among them (csrc/multigrid/tensors.h):
    float32 [2, rows, 2 half] twice, int32 [nx ny].

    Args:
        medium: of the level.
        couplings: float32, as those of `poisson_apply`.
        extents: of the level.
        periodic_z: whether z wraps.
        relaxation: over-relaxation of the smoother.

    Raises:
        RuntimeError: a shape, dtype or memory layout does not fit; the sentence names the tensor.
    """
    diagonals, z_couplings, stored = torch.ops.fastsciml.medium_level(
        *medium, couplings, extents, periodic_z, relaxation
    )
    return diagonals, z_couplings, stored


def coarsen_medium_definition(
    faces: Faces, reaction: Tensor | None, parents: Tensor, shares: Tensor
) -> tuple[Faces, Tensor | None]:
    """A coarse face conducts what the fine ones on it do, mean by area; reaction is averaged over the cell: scaled
    down, as the growing distance to fixed cells would have it, it made convergence worse.
    """
    extents = [face.shape[axis] - 1 for axis, face in enumerate(faces)]
    moves = list(
        zip(
            *(torch.split_with_sizes(t, list(extents)) for t in (parents.long(), shares.to(faces[0].dtype))),
            strict=True,
        )
    )
    coarse = []
    for axis, face in enumerate(faces):
        parent = moves[axis][0]
        first = torch.searchsorted(parent, torch.arange(int(parent[-1]) + 2))
        face = face.index_select(axis, first)
        for across in range(3):
            if across != axis:
                face = _sum_of_children(face, across, *moves[across])
        coarse.append(face)
    if reaction is not None:
        for axis in range(3):
            reaction = _sum_of_children(reaction, axis, *moves[axis])
    return (coarse[0], coarse[1], coarse[2]), reaction


def coarsen_medium(medium: PackedMedium, extents: Extents, parents: Tensor, shares: Tensor) -> PackedMedium:
    """The packed medium of the next coarser level.

    Args:
        medium: of the level.
        extents: of the level.
        parents: int32 [nx + ny + nz], the coarse cell of each along x, then y, then z.
        shares: float32, likewise, each cell's share of it.

    Raises:
        RuntimeError: a shape, dtype or memory layout does not fit; the sentence names the tensor.
    """
    return PackedMedium(*torch.ops.fastsciml.coarsen_medium(*medium, extents, parents, shares))


def sides(cells: Tensor, axis: int, periodic: bool) -> tuple[Tensor, Tensor]:
    """The cells below and above each face along an axis; at a non-periodic end both are its one cell."""
    n = cells.shape[axis]
    first, last = cells.narrow(axis, 0, 1), cells.narrow(axis, n - 1, 1)
    below = torch.cat([last if periodic else first, cells], axis)
    above = torch.cat([cells, first if periodic else last], axis)
    return below, above


def axis_couplings(couplings: Tensor, extents: Extents) -> list[tuple[Tensor, Tensor]]:
    """Per axis, those across the lower and the upper face of each cell."""
    parts = torch.split_with_sizes(couplings, [n for n in extents for _ in range(2)])
    return list(zip(parts[::2], parts[1::2], strict=True))


def along(values: Tensor, axis: int) -> Tensor:
    """A 1-D array along an axis of three."""
    return values.reshape([-1 if a == axis else 1 for a in range(3)])


def coupled(faces: Faces, couplings: Tensor) -> Tensor:
    """Sum over the faces of each cell of what they conduct times their coupling."""
    extents = [face.shape[axis] - 1 for axis, face in enumerate(faces)]
    total = couplings.new_zeros(extents)
    for axis, pair in enumerate(axis_couplings(couplings, extents)):
        for upper, coupling in enumerate(pair):
            total = total + faces[axis].narrow(axis, upper, extents[axis]) * along(coupling, axis)
    return total


def diagonal_pair(diagonal: Tensor, relaxation: float) -> Tensor:
    """[..., n] -> [2, rows, 2 half]: the diagonal, and the relaxation over it, 0 where there is no unknown."""
    split = split_rows_definition(diagonal).reshape(-1, 2 * half_of(diagonal.shape[-1]))
    return torch.stack([split, torch.where(split > 0, relaxation / split, 0)])


def fake_packed(like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For fake kernels: a packed medium whose extents only the data tells."""
    size = torch.library.get_ctx().new_dynamic_size
    flat, *volumes = (like.new_empty([size() for _ in range(dims)], dtype=torch.float32) for dims in (1, 3, 3))
    return flat, volumes[0], volumes[1]


def _sum_of_children(cells: Tensor, axis: int, parent: Tensor, share: Tensor) -> Tensor:
    shape = list(cells.shape)
    shape[axis] = int(parent[-1]) + 1
    return cells.new_zeros(shape).index_add_(axis, parent, cells * along(share, axis))


@torch.library.register_fake("fastsciml::medium_level")  # type: ignore[untyped-decorator]
def _fake_level(
    faces: Tensor,
    face_z: Tensor,
    reaction: Tensor,
    couplings: Tensor,
    extents: list[int],
    periodic_z: bool,
    relaxation: float,
) -> tuple[Tensor, Tensor, Tensor]:
    nx, ny, nz = extents
    rows = torch.library.get_ctx().new_dynamic_size()
    diagonals, z_couplings = (faces.new_empty(2, rows, 2 * half_of(nz)) for _ in range(2))
    return diagonals, z_couplings, faces.new_empty(nx * ny, dtype=torch.int32)


@torch.library.register_fake("fastsciml::coarsen_medium")  # type: ignore[untyped-decorator]
def _fake_coarsen(
    faces: Tensor, face_z: Tensor, reaction: Tensor, extents: list[int], parents: Tensor, shares: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return fake_packed(faces)


@torch.library.register_fake("fastsciml::split_medium")  # type: ignore[untyped-decorator]
def _fake_split(
    face_x: Tensor,
    face_y: Tensor,
    face_z: Tensor,
    unknown: Tensor,
    passable: Tensor | None,
    reaction: Tensor | None,
    couplings: Tensor,
    periodic: list[int],
) -> tuple[Tensor, Tensor, Tensor]:
    return fake_packed(face_x)
