"""Starts the Triton kernels of EvoNorm S: the operators in csrc/operators.cpp for CUDA tensors."""

from __future__ import annotations

import torch
import triton
from fastsciml.kernels import evonorm_s as held_groups
from fastsciml.kernels import evonorm_s_stages as stages
from fastsciml.kernels.dtypes import real_dtype
from fastsciml.kernels.evonorm_extents import Extents
from fastsciml.kernels.evonorm_moments import moments_kernel
from fastsciml.kernels.evonorm_tiles import Stage, held_group, merged_channels, next_power_of_2, summed_block
from torch import Tensor


def evonorm_s(
    x: Tensor,
    v: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    groups: int,
    centred: bool,
    eps: float,
) -> tuple[Tensor, Tensor]:
    extents = Extents.of(x, groups)
    each = extents.group_channels(groups)
    y, statistics = torch.empty_like(x), x.new_empty((extents.samples, groups, 2), dtype=real_dtype(x))
    tiles = held_group(each, extents.space, extents.interleaved, x.element_size(), backward=False)
    if tiles is not None:
        held_groups.forward_kernel[(groups, extents.samples)](
            x, v, weight, bias, y, statistics,
            extents.channel_units, each // extents.unit_channels, extents.space_units,
            EPS=eps, CENTRED=centred, **extents.constants(tiles),
        )  # fmt: skip
        return y, statistics
    cut = extents.stage()
    partials = channel_moments(x, extents, cut, centred)
    stages.statistics_kernel[(groups, extents.samples)](
        partials, statistics, extents.channels, each, extents.space, cut.chunks,
        EPS=eps, CHUNK=cut.chunk_positions, BLOCK_K=next_power_of_2(cut.chunks),
        BLOCK_C=merged_channels(each, cut.chunks),
    )  # fmt: skip
    stages.map_kernel[extents.grid(cut)](
        x, v, weight, bias, statistics, y, extents.channel_units, each, groups, extents.space_units,
        **extents.constants(cut),
    )  # fmt: skip
    return y, statistics


def channel_moments(x: Tensor, extents: Extents, cut: Stage, centred: bool) -> Tensor:
    """[N, chunks, 2, C], as moments_kernel writes them."""
    shape = (extents.samples, cut.chunks, 2, extents.channels)
    partials = x.new_empty(shape, dtype=real_dtype(x))
    moments_kernel[extents.grid(cut)](
        x, partials, extents.channel_units, extents.space_units, CENTRED=centred, **extents.constants(cut)
    )
    return partials


def evonorm_s_backward(
    dy: Tensor,
    x: Tensor,
    v: Tensor | None,
    weight: Tensor | None,
    statistics: Tensor,
    groups: int,
    centred: bool,
    eps: float,
) -> tuple[Tensor, Tensor]:
    extents = Extents.of(x, groups)
    each = extents.group_channels(groups)
    dx, sums = torch.empty_like(x), statistics.new_empty((extents.samples, 3, extents.channels))
    tiles = held_group(each, extents.space, extents.interleaved, x.element_size(), backward=True)
    if tiles is not None:
        held_groups.backward_kernel[(groups, extents.samples)](
            dy, x, v, weight, statistics, dx, sums,
            extents.channel_units, each // extents.unit_channels, extents.space_units, **extents.constants(tiles),
        )  # fmt: skip
    else:
        _backward_by_stages(dy, x, v, weight, statistics, dx, sums, extents)
    return dx, _gradients(sums, weight)


def _backward_by_stages(
    dy: Tensor,
    x: Tensor,
    v: Tensor | None,
    weight: Tensor | None,
    statistics: Tensor,
    dx: Tensor,
    sums: Tensor,
    extents: Extents,
) -> None:
    cut, groups = extents.stage(), statistics.shape[1]
    each = extents.group_channels(groups)
    partials = sums.new_empty((extents.samples, cut.chunks, 3, extents.channels))
    linear = sums.new_empty((extents.samples, groups))
    stages.sums_kernel[extents.grid(cut)](
        dy, x, v, partials, extents.channel_units, extents.space_units, **extents.constants(cut)
    )
    stages.pull_kernel[(groups, extents.samples)](
        partials, weight, statistics, sums, linear, extents.channels, each, extents.space, cut.chunks,
        BLOCK_K=next_power_of_2(cut.chunks), BLOCK_C=merged_channels(each, cut.chunks),
    )  # fmt: skip
    stages.slope_kernel[extents.grid(cut)](
        dy, x, v, weight, statistics, linear, dx, extents.channel_units, each, groups, extents.space_units,
        **extents.constants(cut),
    )  # fmt: skip


def _gradients(sums: Tensor, weight: Tensor | None) -> Tensor:
    samples, _, channels = sums.shape
    out = sums.new_empty((3, channels))
    block_samples, block_channels = summed_block(samples, channels)
    stages.gradients_kernel[(triton.cdiv(channels, block_channels), 3)](
        sums, weight, out, samples, channels, BLOCK_N=block_samples, BLOCK_C=block_channels
    )
    return out
