"""Constants that the operator does not see: one for each region of unknowns that nothing fixes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from fastsciml.ops.free_regions import free_regions, subtract_region_means
from fastsciml.ops.packed_medium import Faces
from fastsciml.solvers.grid import Grid

Labels = npt.NDArray[np.int32]


@dataclass(frozen=True)
class NullSpace:
    """Regions with a free constant.

    Attributes:
        region: int32 [cells], the region of each cell, -1 where the solution is held or there is no unknown; None
            where one region is the whole box.
        sizes: float64 [regions], the volume of each; empty where nothing is free.
        volumes: float64 [cells], or None where all are the same, 1.
    """

    region: Tensor | None
    sizes: Tensor
    volumes: Tensor | None = None

    @property
    def empty(self) -> bool:
        return self.sizes.numel() == 0

    def to(self, device: torch.device) -> NullSpace:
        """The same with its tensors on a device."""
        region, volumes = (None if t is None else t.to(device) for t in (self.region, self.volumes))
        return replace(self, region=region, sizes=self.sizes.to(device), volumes=volumes)

    def project(self, values: Tensor) -> Tensor:
        """Subtract each region's mean in place; returns the one of largest magnitude, float64 []."""
        if self.empty:
            return torch.zeros((), dtype=torch.float64)
        flat = values.view(-1)
        if self.region is None:
            total = flat.sum(dtype=torch.float64) if self.volumes is None else torch.dot(self.volumes, flat.double())
            mean = total / self.sizes[0]
            flat -= mean.to(values.dtype)
            return mean
        if self.volumes is None:
            means = subtract_region_means(values, self.region, self.sizes)
        else:
            means = subtract_region_means(self.volumes * flat.double(), self.region, self.sizes)
            flat -= torch.where(self.region < 0, 0, means[self.region.clamp_min(0)]).to(values.dtype)
        return means.take(means.abs().argmax())


def find_null_space(
    grid: Grid, unknown: Tensor | None, holds: Tensor | None = None, faces: Faces | None = None
) -> NullSpace:
    """The regions whose solution nothing fixes.

    Args:
        grid: its ends fix the regions they touch where u is 0 at a finite distance.
        unknown: bool [nx, ny, nz], or None: everywhere.
        holds: bool [nx, ny, nz], where a fixed neighbour or a reaction fixes the region; None: nowhere.
        faces: what the faces conduct, where some closed ones lie between unknowns.
    """
    volumes = None if grid.uniform else torch.from_numpy(grid.volumes()).reshape(-1)
    if unknown is None and faces is None:
        if grid.fixes_constants or (holds is not None and bool(holds.any())):
            return NullSpace(None, torch.empty(0, dtype=torch.float64))
        size = float(np.prod(grid.extents)) if volumes is None else float(volumes.sum())
        return NullSpace(None, torch.tensor([size], dtype=torch.float64), volumes)
    mask = torch.ones(grid.extents, dtype=torch.bool) if unknown is None else unknown
    holding = [not axis.periodic and bool(np.isfinite(axis.distances[end])) for axis in grid.axes for end in (0, -1)]
    if faces is None:
        region, sizes = free_regions(mask, grid.periodic, holding, holds)
    else:
        region = _free_through(mask, faces, holding, holds)
        sizes = torch.bincount(region[region >= 0]).double()
    if sizes.numel() == 0:
        return NullSpace(None, torch.empty(0, dtype=torch.float64))
    if volumes is not None:
        inside = region >= 0
        sizes = torch.bincount(region[inside], volumes[inside])
    return NullSpace(region, sizes, volumes)


def _free_through(unknown: Tensor, faces: Faces, holding: list[bool], holds: Tensor | None) -> Tensor:
    """`free_regions` where cells are joined by faces that conduct."""
    labels = _through_faces(unknown, faces)
    held = np.zeros(labels.max() + 1, dtype=bool)
    held[0] = True  # no unknown
    if holds is not None:
        held[np.unique(labels[(holds & unknown).numpy()])] = True
    for end, holds_there in enumerate(holding):
        if holds_there:
            a, last = end // 2, -(end % 2)
            open_there = faces[a].select(a, last).numpy() > 0
            held[np.unique(np.asarray(labels.take(last, axis=a))[open_there])] = True
    number = np.where(held, -1, np.cumsum(~held) - 1).astype(np.int32)
    return torch.from_numpy(number[labels.reshape(-1)])


def _through_faces(unknown: Tensor, faces: Faces) -> Labels:
    """Labels of the regions connected through faces that conduct, 0 where there is no unknown."""
    cells = torch.arange(unknown.numel()).reshape(unknown.shape)
    pairs = []
    for a, conducts in enumerate(faces):
        n = unknown.shape[a]
        # The face at the lower end joins the two ends of a periodic axis; elsewhere no unknown lies beyond it.
        below = torch.cat([cells.narrow(a, n - 1, 1), cells.narrow(a, 0, n - 1)], a)
        joins = (conducts.narrow(a, 0, n) > 0) & unknown & unknown.reshape(-1)[below]
        pairs.append(torch.stack([below[joins], cells[joins]]))
    first, second = torch.cat(pairs, 1).numpy()
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(unknown.numel(), unknown.numel()))
    _, merged = connected_components(graph, directed=False)
    labels = np.where(unknown.numpy(), merged.reshape(unknown.shape) + 1, 0)
    _, compact = np.unique(np.concatenate([[0], labels.ravel()]), return_inverse=True)
    result: Labels = compact[1:].reshape(unknown.shape).astype(np.int32)
    return result
