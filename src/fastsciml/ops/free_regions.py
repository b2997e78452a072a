"""Regions of unknowns in which nothing holds the solution's constant, and their means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def free_regions_definition(
    unknown: Tensor, periodic: Sequence[int], holding: Sequence[int], holds: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The labels of scipy.ndimage, joined across periodic ends; those of held regions dropped."""
    labels = _connected_regions(unknown.numpy(), periodic)
    held = np.zeros(labels.max() + 1, dtype=bool)
    held[0] = True  # where there is no unknown
    for end, holds_there in enumerate(holding):
        if holds_there:
            held[np.unique(labels.take(-(end % 2), axis=end // 2))] = True
    if holds is not None:
        held[np.unique(labels[holds.numpy()])] = True
    if held.all():
        return torch.empty(0, dtype=torch.int32), torch.empty(0, dtype=torch.float64)
    present, first = np.unique(labels, return_index=True)
    order = [label for label in present[np.argsort(first)] if not held[label]]
    number = np.full(len(held), -1, dtype=np.int32)
    number[order] = np.arange(len(order))
    region = torch.from_numpy(number[labels.reshape(-1)])
    return region, torch.bincount(region[region >= 0]).double()


def free_regions(
    unknown: Tensor, periodic: Sequence[int], holding: Sequence[int], holds: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Regions of unknowns, connected by faces, that neither an end nor a cell holds.

    Args:
        unknown: bool [nx, ny, nz], contiguous.
        periodic: three flags.
        holding: six flags, whether the lower and upper end of x, y, z holds what touches it.
        holds: likewise bool, cells that hold their region: neighbours of fixed cells, or with a reaction. None: none.

    Returns:
        region: int32 [cells], the region of each cell in order of first cells, -1 outside; empty if none is free.
        sizes: float64 [regions], cells in each.

    Raises:
        RuntimeError: a mask has another dtype, shape or memory layout.
    """
    region, sizes = torch.ops.fastsciml.free_regions(unknown, periodic, holding, holds)
    return region, sizes


def subtract_region_means_definition(values: Tensor, region: Tensor, sizes: Tensor) -> Tensor:
    """Values -= means[region] in place, where there is a region."""
    flat = values.view(-1)
    inside = region >= 0
    regions = region[inside].long()
    means = torch.zeros_like(sizes).index_add_(0, regions, flat[inside].double()) / sizes
    flat[inside] -= means[regions].to(values.dtype)
    return means


def subtract_region_means(values: Tensor, region: Tensor, sizes: Tensor) -> Tensor:
    """Subtract each region's mean, in place.

    Args:
        values: float32 or float64, contiguous, changed.
        region: int32 [values.numel()], as of `free_regions`.
        sizes: float64 [regions], likewise.

    Returns:
        The means, float64 [regions].

    Raises:
        RuntimeError: a shape, dtype or memory layout does not fit, or a region has no size. On CUDA, where to look
            for such a region would be to wait for the device, its values stay as they are.
    """
    means: Tensor = torch.ops.fastsciml.subtract_region_means(values, region, sizes)
    return means


def _connected_regions(unknown: npt.NDArray[np.bool_], periodic: Sequence[int]) -> npt.NDArray[np.int32]:
    """Labels of the connected regions, 0 elsewhere; regions that meet across a periodic end are one."""
    from scipy import ndimage
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    labels, count = ndimage.label(unknown)
    joined = [np.empty((2, 0), dtype=np.int64)]
    for axis in range(3):
        if periodic[axis]:
            pairs = np.stack([labels.take(0, axis=axis).ravel(), labels.take(-1, axis=axis).ravel()])
            joined.append(pairs[:, (pairs > 0).all(axis=0)])
    first, second = np.concatenate(joined, axis=1)
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(count + 1, count + 1))
    # Label 0 is joined to nothing and comes first.
    _, merged = connected_components(graph, directed=False)
    result: npt.NDArray[np.int32] = merged.astype(np.int32)[labels]
    return result


@torch.library.register_fake("fastsciml::free_regions")  # type: ignore[untyped-decorator]
def _fake(unknown: Tensor, periodic: list[int], holding: list[int], holds: Tensor | None) -> tuple[Tensor, Tensor]:
    context = torch.library.get_ctx()
    region = unknown.new_empty(context.new_dynamic_size(), dtype=torch.int32)
    return region, unknown.new_empty(context.new_dynamic_size(), dtype=torch.float64)


@torch.library.register_fake("fastsciml::subtract_region_means")  # type: ignore[untyped-decorator]
def _fake_means(values: Tensor, region: Tensor, sizes: Tensor) -> Tensor:
    return torch.empty_like(sizes)
