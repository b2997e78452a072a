"""Starts the EvoNorm kernels: the implementations of the operators in csrc/operators.cpp for CUDA tensors."""

from __future__ import annotations

from typing import Any

import torch
import triton
from fastsciml.kernels import evonorm_b as b
from fastsciml.kernels import evonorm_s as s
from fastsciml.kernels.evonorm_tiles import MOST_HELD_BACKWARD, MOST_HELD_FORWARD, group_tiles, stage_tiles
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
    n, channels, space, strides = _extents(x)
    y, statistics = torch.empty_like(x), x.new_empty((n, groups, 2), dtype=_real(x))
    tiles = group_tiles(channels // groups, space, MOST_HELD_FORWARD)
    s.forward_kernel[(groups, n)](
        x, _or(v, 1, statistics, channels), _or(weight, 1, statistics, channels), _or(bias, 0, statistics, channels),
        y, statistics, channels, channels // groups, space, *strides, eps,
        CENTRED=centred, HELD=tiles.held, BLOCK_C=tiles.channels, BLOCK_S=tiles.positions, num_warps=tiles.warps,
    )  # fmt: skip
    return y, statistics


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
    n, channels, space, strides = _extents(x)
    dx, sums = torch.empty_like(x), statistics.new_empty((n, 3, channels))
    weight = _or(weight, 1, statistics, channels)
    tiles = group_tiles(channels // groups, space, MOST_HELD_BACKWARD)
    s.backward_kernel[(groups, n)](
        dy, x, _or(v, 1, statistics, channels), weight, statistics, dx, sums,
        channels, channels // groups, space, *strides,
        HELD=tiles.held, BLOCK_C=tiles.channels, BLOCK_S=tiles.positions, num_warps=tiles.warps,
    )  # fmt: skip
    bias_gradient, weight_gradient, v_gradient = sums.sum(0)
    return dx, torch.stack([bias_gradient, weight_gradient, v_gradient * weight])


def evonorm_moments(x: Tensor, centred: bool) -> Tensor:
    n, channels, _, _ = _extents(x)
    out = x.new_empty((n, 2, channels), dtype=_real(x))
    _reduce(b.moments_kernel, x, (x, out), CENTRED=centred)
    return out


def evonorm_b_map(x: Tensor, parameters: Tensor, variant: int) -> Tensor:
    y = torch.empty_like(x)
    _map(b.map_kernel, x, (x, parameters, y), variant)
    return y


def evonorm_b_sums(dy: Tensor, x: Tensor, parameters: Tensor, variant: int) -> Tensor:
    out = torch.empty_like(parameters)
    _reduce(b.sums_kernel, x, (dy, x, parameters, out), VARIANT=variant)
    return out


def evonorm_b_slope(dy: Tensor, x: Tensor, parameters: Tensor, variant: int) -> Tensor:
    dx = torch.empty_like(x)
    _map(b.slope_kernel, x, (dy, x, parameters, dx), variant)
    return dx


def _reduce(kernel: Any, x: Tensor, tensors: tuple[Tensor, ...], **constants: Any) -> None:
    n, channels, space, strides = _extents(x)
    tiles = stage_tiles(channels, space, strides[1] == 1)
    kernel[(triton.cdiv(channels, tiles.channels), n)](
        *tensors, channels, space, *strides,
        BLOCK_C=tiles.channels, BLOCK_S=tiles.positions, num_warps=tiles.warps, **constants,
    )  # fmt: skip


def _map(kernel: Any, x: Tensor, tensors: tuple[Tensor, ...], variant: int) -> None:
    n, channels, space, strides = _extents(x)
    tiles = stage_tiles(channels, space, strides[1] == 1)
    kernel[(triton.cdiv(space, tiles.positions), triton.cdiv(channels, tiles.channels), n)](
        *tensors, channels, space, *strides,
        VARIANT=variant, BLOCK_C=tiles.channels, BLOCK_S=tiles.positions, num_warps=tiles.warps,
    )  # fmt: skip


def _extents(x: Tensor) -> tuple[int, int, int, tuple[int, int, int]]:
    """N, C, positions, and the strides of the three, for a dense x (ops/evonorm_inputs.py)."""
    n, channels = x.shape[:2]
    space = x.numel() // (n * channels)
    if x.is_contiguous():
        return n, channels, space, (channels * space, space, 1)
    return n, channels, space, (channels * space, 1, channels)


def _real(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _or(values: Tensor | None, otherwise: float, like: Tensor, channels: int) -> Tensor:
    return like.new_full((channels,), otherwise) if values is None else values
