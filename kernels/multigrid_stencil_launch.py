"""Starts the kernels of learned stencils: the operators of csrc/operators.cpp for CUDA tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from fastsciml.kernels import multigrid_stencil as kernels
from fastsciml.kernels.dtypes import real_dtype
from torch import Tensor

from fastsciml.ops.multigrid_stencil import Activation, Boundary, Kind

ALONG, DOWN, UP = kernels.ALONG.value, kernels.DOWN.value, kernels.UP.value
TAPS = {Kind.SAME: 3, Kind.RESTRICT: 3, Kind.PROLONG: 4, Kind.POINT: 1}
# Programs that make parts of a weight's gradient side by side, at most: some for every multiprocessor of a GPU. And
# blocks of points that each of them walks, at least: more products than sums to write.
PROGRAMS = 1024
LEAST_SHARE = 8
# The smallest operand of a product in the tensor cores.
LEAST = 16
# On so many points a weight is first copied with its channels side by side; on fewer, that takes longer than to read it
# as it is. And these have smaller blocks, so that every multiprocessor gets some.
MANY = 1 << 15
# Elements of a sample from which its offsets are 64 bits wide.
WIDE = 1 << 31


def multigrid_stencil(
    x: Tensor,
    weight: Tensor,
    kind: int,
    boundary: int,
    extents: list[int],
    added: Tensor | None,
    subtract: bool,
    pointwise_x: Tensor | None,
    pointwise: Tensor | None,
    bias: Tensor | None,
    activation: int,
) -> Tensor:
    end = (pointwise_x, pointwise, bias, activation)
    return _apply(x, weight, kind, boundary, extents, added, subtract, end, adjoint=False)


def multigrid_stencil_adjoint(
    dout: Tensor, weight: Tensor, kind: int, boundary: int, extents: list[int], added: Tensor | None, subtract: bool
) -> Tensor:
    end = (None, None, None, Activation.NONE)
    return _apply(dout, weight, kind, boundary, extents, added, subtract, end, adjoint=True)


def multigrid_stencil_gradient(dout: Tensor, x: Tensor, kind: int, boundary: int, shape: list[int]) -> Tensor:
    walk = Walk.of(kind, False, x.shape[0], dout.shape[2:])
    tile = gradient_tile(walk, x.dtype, dout.shape[1], x.shape[1])
    blocks = walk.batch * walk.blocks(tile)
    parts = walk.rows * triton.cdiv(dout.shape[1], tile["BLOCK_O"]) * triton.cdiv(x.shape[1], tile["BLOCK_C"])
    share = max(triton.cdiv(blocks * parts, PROGRAMS), LEAST_SHARE)
    shares = triton.cdiv(blocks, share)
    sums = x.new_empty((shares, *shape), dtype=real_dtype(x))
    of_out, of_in = (2, 1) if kind == Kind.PROLONG else (1, 2)
    kernels.gradient_kernel[(parts * shares,)](
        dout, x, sums, blocks, share, x.shape[1], dout.shape[1], *sizes(x.shape[2:]), *sizes(dout.shape[2:]),
        sums.stride(of_out), sums.stride(of_in),
        BOUNDARY=int(boundary), **walk.constants, **tile, **arithmetic(x, dout),
    )  # fmt: skip
    return sums.sum(0).to(x.dtype)


def _apply(
    x: Tensor,
    weight: Tensor,
    kind: int,
    boundary: int,
    extents: Sequence[int],
    added: Tensor | None,
    subtract: bool,
    end: tuple[Tensor | None, Tensor | None, Tensor | None, int],
    *,
    adjoint: bool,
) -> Tensor:
    walk = Walk.of(kind, adjoint, x.shape[0], extents)
    of_out, of_in = (1, 0) if (kind == Kind.PROLONG) != adjoint else (0, 1)
    taps = weight.flatten(2).permute(2, of_out, of_in)
    if walk.is_long:
        taps = taps.contiguous()
    out = x.new_empty((x.shape[0], taps.shape[1], *extents))
    folds = adjoint and boundary != Boundary.DIRICHLET
    tile = tile_of(walk, x.dtype, taps.shape[1], taps.shape[2], folds)
    pointwise_x, pointwise, bias, activation = end
    programs = walk.parities * walk.batch * walk.blocks(tile) * triton.cdiv(taps.shape[1], tile["BLOCK_O"])
    kernels.stencil_kernel[(programs,)](
        x, taps, added, pointwise_x, pointwise, bias, out,
        taps.shape[2], taps.shape[1], 0 if pointwise_x is None else pointwise_x.shape[1],
        *sizes(x.shape[2:]), *sizes(extents), *taps.stride(),
        REVERSED=adjoint and kind == Kind.SAME, FOLDS=folds, BOUNDARY=int(boundary), SUBTRACT=subtract,
        ACTIVATION=int(activation),
        **walk.constants, **tile, **arithmetic(x, out),
    )  # fmt: skip
    return out


@dataclass(frozen=True)
class Walk:
    """From the points of out to those of x, along three axes."""

    batch: int
    extents: tuple[int, ...]  # of out
    paths: tuple[int, ...]
    taps: tuple[int, ...]

    @classmethod
    def of(cls, kind: int, adjoint: bool, batch: int, extents: Sequence[int]) -> Walk:
        path = ALONG
        if kind in (Kind.RESTRICT, Kind.PROLONG):
            path = UP if (kind == Kind.PROLONG) != adjoint else DOWN
        dims = len(extents)
        paths = (ALONG,) * (3 - dims) + (path,) * dims
        return cls(batch, sizes(extents)[1:], paths, (1,) * (3 - dims) + (TAPS[Kind(kind)],) * dims)

    @property
    def constants(self) -> dict[str, int]:
        of_path = {f"PATH{axis}": path for axis, path in enumerate(self.paths)}
        return of_path | {f"TAPS{axis}": taps for axis, taps in enumerate(self.taps)}

    @property
    def is_long(self) -> bool:
        return self.batch * math.prod(self.extents) >= MANY

    @property
    def parities(self) -> int:
        return 2 ** self.paths.count(UP)

    @property
    def rows(self) -> int:
        """Of taps along the last axis, each of those that the same points have."""
        return self.taps[0] * self.taps[1] * (2 if self.paths[2] == UP else 1)

    @property
    def points(self) -> list[int]:
        """Of a parity along every axis."""
        return [triton.cdiv(n, 2) if path == UP else n for n, path in zip(self.extents, self.paths, strict=True)]

    def blocks(self, tile: dict[str, Any]) -> int:
        """How many the points of a parity fill in a sample."""
        return math.prod(triton.cdiv(n, tile[f"BLOCK_{axis}"]) for axis, n in enumerate(self.points))

    def block_of(self, count: int) -> dict[str, int]:
        """A block of at most so many points: compact, yet with whole sectors along the last axis."""
        first, second, last = (triton.next_power_of_2(n) for n in self.points)
        last = min(last, count if second == 1 else 32, count)
        second = min(second, count // last)
        first = min(first, count // (last * second))
        return {"BLOCK_0": first, "BLOCK_1": second, "BLOCK_2": max(last, LEAST // (first * second))}


def sizes(extents: Sequence[int]) -> tuple[int, ...]:
    """How many points, and the extents of three axes."""
    return math.prod(extents), *[1] * (3 - len(extents)), *extents


def tile_of(walk: Walk, dtype: torch.dtype, out_channels: int, in_channels: int, folds: bool) -> dict[str, Any]:
    summed, points = min(power(in_channels), 32), 64 if dtype == torch.float64 else 128
    if not in_tensor_cores(dtype):
        # As few channels too many as can be; Triton 3.6 refuses less.
        summed = LEAST
    return {
        "BLOCK_O": min(power(out_channels), 32),
        "BLOCK_C": summed,
        **walk.block_of(points if walk.is_long else 32),
        # Exact products keep their operands in registers as well.
        "num_warps": 4 if in_tensor_cores(dtype) or not walk.is_long else 8,
        "num_stages": 2,
        # Left to itself ptxas spills some to fit one program more into a multiprocessor.
        "maxnreg": 128 if folds and UP not in walk.paths and not in_tensor_cores(dtype) else None,
    }


def gradient_tile(walk: Walk, dtype: torch.dtype, out_channels: int, in_channels: int) -> dict[str, Any]:
    return {
        "BLOCK_O": min(power(out_channels), 32),
        "BLOCK_C": min(power(in_channels), 32),
        **walk.block_of(64 if in_tensor_cores(dtype) else 16),
        "num_warps": 4,
        # So many that no register is spilled on sm_80, sm_90 and sm_100.
        "num_stages": 3 if dtype == torch.float32 and not in_tensor_cores(dtype) and UP not in walk.paths else 2,
    }


def power(channels: int) -> int:
    return max(triton.next_power_of_2(channels), LEAST)


def in_tensor_cores(dtype: torch.dtype) -> bool:
    """Of 16 bits, and float32 as TF32 where torch may do so; float64 is left to the compiler."""
    return dtype.itemsize == 2 or (dtype == torch.float32 and torch.backends.cuda.matmul.allow_tf32)


def arithmetic(x: Tensor, out: Tensor) -> dict[str, Any]:
    """What is multiplied and summed as what, and how wide offsets in a sample are."""
    return {
        "REAL": tl.float64 if x.dtype == torch.float64 else tl.float32,
        "DOT": _operand(x.dtype),
        "PRECISION": "tf32" if x.dtype == torch.float32 and in_tensor_cores(x.dtype) else "ieee",
        "OFFSET": tl.int64 if max(x[:1].numel(), out[:1].numel()) >= WIDE else tl.int32,
    }


def _operand(dtype: torch.dtype) -> Any:
    if dtype == torch.float64:
        return tl.float64
    # Triton's interpreter multiplies bfloat16's bits.
    if dtype == torch.float32 or triton.knobs.runtime.interpret:
        return tl.float32
    return tl.bfloat16 if dtype == torch.bfloat16 else tl.float16
