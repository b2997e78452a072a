"""Starts the Triton kernels of EvoNorm B, stage by stage: between them statistics may travel to other processes."""

from __future__ import annotations

import torch
import triton
from fastsciml.kernels import evonorm_b as stages
from fastsciml.kernels.evonorm_extents import Extents
from fastsciml.kernels.evonorm_s_launch import channel_moments
from fastsciml.kernels.evonorm_tiles import summed_block
from torch import Tensor


def statistics(x: Tensor, variance: Tensor | None, centred: bool) -> tuple[Tensor, Tensor]:
    """[N, 2, C] mean and variance of every plane; [3, C] those of the batch and its count, or what is given."""
    extents = Extents.of(x)
    cut = extents.stage()
    partials = channel_moments(x, extents, cut, centred)
    planes = partials.new_empty((extents.samples, 2, extents.channels))
    batch = partials.new_empty((3, extents.channels))
    block_samples, block_channels = summed_block(extents.samples, extents.channels)
    stages.batch_kernel[(triton.cdiv(extents.channels, block_channels),)](
        partials, variance, planes, batch, extents.samples, extents.channels, extents.space, cut.chunks,
        CHUNK=cut.chunk_positions, BLOCK_N=block_samples, BLOCK_C=block_channels,
    )  # fmt: skip
    return planes, batch


def normalise(
    x: Tensor,
    v: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    planes: Tensor,
    batch: Tensor,
    variant: int,
    eps: float,
) -> Tensor:
    extents, y = Extents.of(x), torch.empty_like(x)
    cut = extents.stage()
    stages.map_kernel[extents.grid(cut)](
        x, v, weight, bias, planes, batch, y, extents.channel_units, extents.space_units,
        EPS=eps, VARIANT=variant, **extents.constants(cut),
    )  # fmt: skip
    return y


def sums(
    dy: Tensor,
    x: Tensor,
    v: Tensor | None,
    weight: Tensor | None,
    planes: Tensor,
    batch: Tensor,
    variant: int,
    eps: float,
) -> tuple[Tensor, Tensor]:
    """[N, C] a plane's sum for the right side; [4, C] gradients of bias, weight, v, and the batch's for the left."""
    extents = Extents.of(x)
    cut = extents.stage()
    partials = planes.new_empty((extents.samples, cut.chunks, 5, extents.channels))
    stages.sums_kernel[extents.grid(cut)](
        dy, x, v, planes, batch, partials, extents.channel_units, extents.space_units,
        EPS=eps, VARIANT=variant, **extents.constants(cut),
    )  # fmt: skip
    own, totals = planes.new_empty((extents.samples, extents.channels)), planes.new_empty((4, extents.channels))
    block_samples, block_channels = summed_block(extents.samples, extents.channels)
    stages.totals_kernel[(triton.cdiv(extents.channels, block_channels), 5)](
        partials, weight, own, totals, extents.samples, extents.channels, cut.chunks,
        BLOCK_N=block_samples, BLOCK_C=block_channels,
    )  # fmt: skip
    return own, totals


def slope(
    dy: Tensor,
    x: Tensor,
    v: Tensor | None,
    weight: Tensor | None,
    planes: Tensor,
    batch: Tensor,
    own: Tensor,
    pull: Tensor | None,
    variant: int,
    eps: float,
) -> Tensor:
    """Dx; pull: the sum for the left side over the whole batch, or None where its variance is a constant."""
    extents, dx = Extents.of(x), torch.empty_like(x)
    cut = extents.stage()
    stages.slope_kernel[extents.grid(cut)](
        dy, x, v, weight, planes, batch, own, pull, dx, extents.channel_units, extents.space_units,
        EPS=eps, VARIANT=variant, **extents.constants(cut),
    )  # fmt: skip
    return dx
