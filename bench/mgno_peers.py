"""A layer of MgNO, act(V-cycle of f + B f + b), by our operator and by torch's modules, as published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastsciml import ops
from fastsciml.nn import MgConv1d, MgConv2d, MgConv3d

from .measure import DisagreementError

LAYERS: Sequence[Any] = (MgConv1d, MgConv2d, MgConv3d)
CONVOLUTIONS: Sequence[Any] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED: Sequence[Any] = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
TOLERANCE = 1e-5

Layer = Callable[[Tensor], Tensor]


class InModules(nn.Module):
    """The same layer, every stencil a module of torch, with the stencils of `cycle`; Dirichlet, any extents."""

    def __init__(self, cycle: Any, pointwise: nn.Module) -> None:
        super().__init__()
        levels = cycle.stencils()
        dims = levels[0].pre[0].S.dim() - 2
        kinds = CONVOLUTIONS[dims - 1], TRANSPOSED[dims - 1]

        def module(weight: Tensor, stride: int = 1, transposed: bool = False) -> nn.Module:
            a, b, k = weight.shape[:3]
            kind = kinds[transposed]
            made: nn.Module = kind(*((a, b) if transposed else (b, a)), k, stride=stride, padding=1, bias=False)
            made.weight = nn.Parameter(weight.detach().clone())
            return made

        self.smoothings = nn.ModuleList(
            nn.ModuleList(nn.ModuleList([module(w) for w in smoothing if w is not None]) for smoothing in level.pre)
            for level in levels
        )
        self.transfers = nn.ModuleList(
            nn.ModuleList([module(t.R, 2), module(t.Pi, 2), module(t.P, 2, transposed=True)])
            for t in (level.transfer for level in levels[:-1])
        )
        self.pointwise = pointwise

    def forward(self, f: Tensor) -> Tensor:
        data, fine = f, []
        u: Any = None
        every: Any = self.transfers
        smoothings: Any
        for level, smoothings in enumerate(self.smoothings):
            for smoothing in smoothings:
                u = smoothing[0](f) if u is None else u + smoothing[0](f - smoothing[1](u))
            if level < len(every):
                fine.append(u)
                f, u = every[level][0](f), every[level][1](u)
        for onto, transfers in zip(reversed(fine), reversed(every), strict=True):
            u = transfers[2](u)
            for axis, n in enumerate(onto.shape[2:]):
                u = u.narrow(axis + 2, 0, n)
            u = onto + u
        return functional.gelu(u + self.pointwise(data))


@dataclass
class Case:
    """A layer with as many channels in as out, and a batch of inputs; one iteration a level, two on the coarsest."""

    extents: tuple[int, ...]
    batch: int = 8
    channels: int = 24
    levels: int = 6

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        dims, c = len(self.extents), self.channels
        self.cycle = LAYERS[dims - 1](c, c, self.levels, pre=[1] * (self.levels - 1) + [2])
        self.pointwise = CONVOLUTIONS[dims - 1](c, c, 1)
        self.f = torch.randn(self.batch, c, *self.extents)

    @property
    def name(self) -> str:
        grid = " x ".join(map(str, self.extents))
        return f"{grid}, batch {self.batch}, {self.channels} channels, {self.levels} levels"

    def ours(self, checkpoint: bool = False) -> Layer:
        def layer(f: Tensor) -> Tensor:
            end = {"pointwise": self.pointwise.weight, "bias": self.pointwise.bias}
            stencils = self.cycle.stencils()
            return ops.multigrid_conv(f, stencils, **end, activation="gelu", checkpoint=checkpoint)

        return layer

    def modules(self, channels_last: bool = False) -> Layer:
        """Channels last is for two and three axes."""
        module = InModules(self.cycle, self.pointwise)
        if channels_last:
            module.to(memory_format=self._format(channels_last))  # type: ignore[call-overload]
        return module

    def _format(self, channels_last: bool) -> Any:
        if not channels_last:
            return torch.contiguous_format
        return torch.channels_last if len(self.extents) == 2 else torch.channels_last_3d

    def forward(self, layer: Layer, channels_last: bool = False) -> Callable[[], Tensor]:
        f = self.f.contiguous(memory_format=self._format(channels_last))

        def run() -> Tensor:
            with torch.no_grad():
                return layer(f)

        return run

    def both(self, layer: Layer, channels_last: bool = False) -> Callable[[], Sequence[Tensor]]:
        """Forward and backward, to f and every weight."""
        f = self.f.contiguous(memory_format=self._format(channels_last)).detach().requires_grad_()
        owner = [layer] if isinstance(layer, nn.Module) else [self.cycle, self.pointwise]
        leaves = [f, *(weight for module in owner for weight in module.parameters())]

        def run() -> Sequence[Tensor]:
            out = layer(f)
            return torch.autograd.grad(out, leaves, out.detach())

        return run

    def check(self) -> None:
        """Raises DisagreementError where outputs or gradients are not those of the modules in float64."""
        exact = InModules(self.cycle, self.pointwise).double()
        f = self.f[:1].double().requires_grad_()
        out = exact(f)
        (gradient,) = torch.autograd.grad(out, f, out.detach())
        exact.to(torch.float32)  # the pointwise module is shared
        for name, layer in (("ours", self.ours()), ("ours, made anew", self.ours(checkpoint=True))):
            x = self.f[:1].clone().requires_grad_()
            y = layer(x)
            (dx,) = torch.autograd.grad(y, x, y.detach())
            for what, a, b in (("output", y, out), ("gradient", dx, gradient)):
                error = float((a.detach().double() - b.detach()).norm() / b.detach().norm())
                if not error < TOLERANCE:
                    raise DisagreementError(f"{name}: the {what} differs by {error:.1e} from the modules in float64")

    @property
    def flops(self) -> float:
        """Of the forward pass, multiply and add counted, borders as if they saw whole stencils."""
        grids = [self.extents]
        for _ in range(self.levels - 1):
            grids.append(tuple(-(-n // 2) for n in grids[-1]))
        points = [float(prod(grid)) for grid in grids]
        dims = len(self.extents)
        stencils = points[0] + 2 * sum(points[1:]) + 2 * points[-1]
        transfers = sum(2 * coarse * 3**dims + fine * 2**dims for fine, coarse in pairwise(points))
        flops: float = 2.0 * self.channels**2 * self.batch * (3**dims * stencils + transfers + points[0])
        return flops
