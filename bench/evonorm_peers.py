"""What a user would write in the place of an EvoNorm layer: the formula itself, and the pairs that EvoNorm replaces."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch import _dynamo as dynamo
from torch.nn import functional

from fastsciml import ops
from fastsciml.ops.evonorm_b import evonorm_b_definition
from fastsciml.ops.evonorm_s import evonorm_s_definition

from .measure import DisagreementError

GROUPS, EPS = 32, 1e-5
AGREEMENT = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
MOST_COMPILED = 256
Function = Callable[..., Tensor]


def s_formula(x: Tensor, v: Tensor, weight: Tensor, bias: Tensor, name: str) -> Tensor:
    """S0, S1 or S2 in plain PyTorch."""
    return evonorm_s_definition(x, v if name == "S0" else None, weight, bias, GROUPS, name != "S2", EPS)


def b0_formula(x: Tensor, v: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return evonorm_b_definition(x, v, weight, bias, None, 0, EPS)


def ours(x: Tensor, v: Tensor, weight: Tensor, bias: Tensor, name: str) -> Tensor:
    if name == "S0":
        return ops.evonorm_s0(x, v, weight, bias, GROUPS, EPS)
    if name == "B0":
        return ops.evonorm_b0(x, v, weight, bias, eps=EPS)[0]
    function = {"S1": ops.evonorm_s1, "S2": ops.evonorm_s2}[name]
    return function(x, weight, bias, GROUPS, EPS)


def group_norm(x: Tensor, v: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional.silu(functional.group_norm(x, GROUPS, weight, bias, EPS))


def batch_norm(x: Tensor, v: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional.relu(functional.batch_norm(x, None, None, weight, bias, training=True, eps=EPS))


def compiled(function: Function) -> Function:
    """For one shape: what torch.compile makes of it is best where it may rely on the extents."""
    # All formulae count as one function there; past its limit it would quietly run them uncompiled.
    dynamo.config.recompile_limit = MOST_COMPILED
    dynamo.config.fail_on_recompile_limit_hit = True
    made: Function = torch.compile(function, dynamic=False)
    return made


def timm_layer(name: str, channels: int) -> nn.Module | None:
    """Timm's layer, or None without timm. Its package imports torchvision, which these layers do not use: left out."""
    spec = find_spec("timm")
    if spec is None or spec.origin is None:
        return None
    root, added = Path(spec.origin).parent, []
    for package, folder in (("timm", root), ("timm.layers", root / "layers")):
        if package not in sys.modules:
            module = ModuleType(package)
            module.__path__ = [str(folder)]
            sys.modules[package] = module
            added.append(package)
    try:
        layer: nn.Module = getattr(import_module("timm.layers.evo_norm"), f"EvoNorm2d{name}")(channels, eps=EPS)
    finally:
        for package in added:
            del sys.modules[package]
    return layer


@dataclass
class Case:
    """One shape with its tensors."""

    shape: tuple[int, ...]
    channels_last: bool = False
    dtype: torch.dtype = torch.float32
    device: str = "cpu"
    x: Tensor = field(init=False)
    dy: Tensor = field(init=False)
    parameters: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x, self.dy = (torch.randn(self.shape, generator=generator) for _ in range(2))
        if self.channels_last:
            self.x, self.dy = (t.to(memory_format=torch.channels_last) for t in (self.x, self.dy))
        self.x, self.dy = (t.to(self.device, self.dtype) for t in (self.x, self.dy))
        parameters = torch.rand(3, self.shape[1], generator=generator).add(0.5).to(self.device, self.dtype)
        self.parameters = [p.contiguous() for p in parameters]

    @property
    def name(self) -> str:
        low = "" if self.dtype == torch.float32 else f" {str(self.dtype).removeprefix('torch.')}"
        return "x".join(map(str, self.shape)) + (" last" if self.channels_last else "") + low

    def forward(self, function: Function) -> Callable[[], Sequence[Tensor]]:
        def run() -> Sequence[Tensor]:
            with torch.no_grad():
                return [function(self.x, *self.parameters)]

        return run

    def both(self, function: Function) -> Callable[[], Sequence[Tensor]]:
        """Forward and backward, to x and every parameter."""
        leaves = [t.detach().requires_grad_() for t in (self.x, *self.parameters)]

        def run() -> Sequence[Tensor]:
            y = function(*leaves)
            return [y.detach(), *torch.autograd.grad(y, leaves, self.dy, allow_unused=True)]

        return run

    def clone(self) -> Sequence[Tensor]:
        return [self.x.clone()]

    def check(self, name: str) -> None:
        """Compare the kernel's output and gradients with the formula's in float64.

        Raises:
            DisagreementError: they differ.
        """
        formula: Any = b0_formula if name == "B0" else partial(s_formula, name=name)
        leaves = [t.detach().double().requires_grad_() for t in (self.x, *self.parameters)]
        y = formula(*leaves)
        exact = [y.detach(), *torch.autograd.grad(y, leaves, self.dy.double(), allow_unused=True)]
        for out, reference in zip(self.both(partial(ours, name=name))(), exact, strict=True):
            if reference is None:
                continue
            error = float((out.double() - reference).norm() / reference.norm())
            if not error <= AGREEMENT[self.dtype]:
                raise DisagreementError(
                    f"{name} differs from its definition by {error:.1e} at {self.name}, so no time is reported"
                )
