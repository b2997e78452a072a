"""Constants that the operator does not see: one for each region of fluid that no face fixes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from fastsciml.solvers.grid import Grid, fixes_constants

Labels = npt.NDArray[np.int32]


@dataclass(frozen=True)
class NullSpace:
    """Regions with a free constant.

    Attributes:
        region: int64 [cells], the region of each cell, -1 where the solution is fixed or there is no fluid; None
            where one region is the whole box.
        sizes: float64 [regions], cells in each; empty where nothing is free.
    """

    region: Tensor | None
    sizes: Tensor

    @property
    def empty(self) -> bool:
        return self.sizes.numel() == 0

    def project(self, values: Tensor) -> float:
        """Subtract each region's mean in place; returns the one of largest magnitude."""
        if self.empty:
            return 0.0
        if self.region is None:
            mean = values.mean(dtype=torch.float64)
            values -= mean.to(values.dtype)
            return float(mean)
        flat = values.view(-1)
        inside = self.region >= 0
        regions = self.region[inside]
        sums = torch.zeros_like(self.sizes).index_add_(0, regions, flat[inside].double())
        means = sums / self.sizes
        flat[inside] -= means[regions].to(values.dtype)
        return float(means[means.abs().argmax()])


def find_null_space(grid: Grid, fluid: Tensor | None, alpha: float = 0.0) -> NullSpace:
    """The regions of fluid whose solution no face fixes. fluid: bool [nx, ny, nz], or None: all.

    An alpha above 0 fixes everything.
    """
    none = NullSpace(None, torch.empty(0, dtype=torch.float64))
    if alpha > 0:
        return none
    if fluid is None:
        if grid.fixes_constants:
            return none
        return NullSpace(None, torch.tensor([float(np.prod(grid.shape))], dtype=torch.float64))
    labels = _connected_regions(fluid.numpy(), grid.periodic)
    fixed = np.zeros(labels.max() + 1, dtype=bool)
    fixed[0] = True  # solid cells
    for a, axis in enumerate(grid.axes):
        for end, kind in zip((0, -1), axis.boundary, strict=True):
            if fixes_constants(kind):
                fixed[np.unique(labels.take(end, axis=a))] = True
    if fixed.all():
        return none
    number = np.where(fixed, -1, np.cumsum(~fixed) - 1)
    region = torch.from_numpy(number[labels.reshape(-1)])
    sizes = torch.bincount(region[region >= 0]).double()
    return NullSpace(region, sizes)


def _connected_regions(fluid: npt.NDArray[np.bool_], periodic: tuple[bool, bool, bool]) -> Labels:
    """Labels of the connected regions, 0 in solid cells; regions that meet across a periodic end are one."""
    labels, count = ndimage.label(fluid)
    joined = [np.empty((2, 0), dtype=np.int64)]
    for axis in range(3):
        if periodic[axis]:
            pairs = np.stack([labels.take(0, axis=axis).ravel(), labels.take(-1, axis=axis).ravel()])
            joined.append(pairs[:, (pairs > 0).all(axis=0)])
    first, second = np.concatenate(joined, axis=1)
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(count + 1, count + 1))
    # Solid cells, label 0, are joined to nothing and come first.
    _, merged = connected_components(graph, directed=False)
    result: Labels = merged.astype(np.int32)[labels]
    return result
