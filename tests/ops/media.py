"""Grids and media on which the medium's operators are tested."""

import numpy as np
import torch

from fastsciml.solvers.coarsening import coarsening, transfer
from fastsciml.solvers.grid import make_grid

NEUMANN, DIRICHLET, WRAPS = ("neumann",) * 2, ("dirichlet",) * 2, ("periodic",) * 2
STRETCHED = np.concatenate([np.full(7, 1.0), np.linspace(1, 4, 8)])
# Shape, spacing, boundary: odd extents, one and two axes, periodic ones, axes that coarsen later, or partly.
GRIDS = [
    ((8, 8, 8), (1.0, 1.0, 1.0), (NEUMANN, DIRICHLET, NEUMANN)),
    ((7, 9, 11), (1.0, 1.0, 1.0), (DIRICHLET, WRAPS, ("neumann", "dirichlet"))),
    ((9, 1, 70), (1.0, 1.0, 1.0), (WRAPS, NEUMANN, WRAPS)),
    ((1, 1, 33), (1.0, 1.0, 1.0), (NEUMANN, NEUMANN, DIRICHLET)),
    ((6, 8, 31), (1.0, 1.0, 9.0), (WRAPS, WRAPS, WRAPS)),
    ((6, 8, 32), (9.0, 1.0, 1.0), (DIRICHLET, NEUMANN, WRAPS)),
    ((15, 6, 15), (STRETCHED, 1.0, STRETCHED), (DIRICHLET, DIRICHLET, NEUMANN)),
    ((2, 3, 15), (1.0, 1.0, STRETCHED[::-1].copy()), (WRAPS, WRAPS, WRAPS)),
    ((1, 1, 1), (1.0, 1.0, 1.0), (DIRICHLET, DIRICHLET, DIRICHLET)),
    ((48, 40, 64), (1.0, 1.0, 1.0), (NEUMANN, NEUMANN, ("neumann", "dirichlet"))),
]


def ids_of(grids):
    return ["x".join(map(str, shape)) + "-" + "".join(k[0][0] for k in kinds) for shape, _, kinds in grids]


def level_arrays(shape, spacing, kinds, dtype=torch.float32):
    """The finest level's extents, periodicity, couplings, parents, shares."""
    axes = make_grid(shape, spacing, kinds).axes
    coarse = [*coarsening(axes), axes][1]
    moves = [transfer(a, b) for a, b in zip(axes, coarse, strict=True)]
    couplings = torch.from_numpy(np.concatenate([c for axis in axes for c in axis.face_couplings()]))
    parents = torch.from_numpy(np.concatenate([move.parent for move in moves]))
    shares = torch.from_numpy(np.concatenate([move.share for move in moves]))
    periodic = [int(axis.periodic) for axis in axes]
    return periodic, couplings.to(dtype), parents, shares.to(dtype)


def some_cells(shape, share=0.75):
    """A mask with at least one true cell, and a slab of false ones where there is room."""
    mask = torch.rand(shape) < share
    if shape[0] > 4:
        mask[2] = False
    mask.view(-1)[-1] = True
    return mask


def every_row(packed, stored):
    """Diagonals or couplings in z [2, rows, 2 half] of every row of the level, [2, nx ny, 2 half]."""
    return packed[:, torch.where(stored < 0, ~stored, stored)]


def ball(shape):
    """A mask that is false in a ball in the middle, and true near the ends of a grid that is large enough."""
    distances = [torch.arange(n) - (n - 1) / 2 for n in shape]
    x, y, z = torch.meshgrid(*distances, indexing="ij")
    return x**2 + y**2 + z**2 > (max(shape) / 6) ** 2


def random_faces(shape, dtype, closed=0.1):
    faces = []
    for axis in range(3):
        extents = [n + (a == axis) for a, n in enumerate(shape)]
        faces.append((torch.rand(extents, dtype=dtype) + 0.1) * (torch.rand(extents) > closed))
    return tuple(faces)


def assert_packed_close(got, expected):
    """Packed media, to a few roundings; the padding is 0."""
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=0)
