"""MgNO, the multigrid neural operator.

He, Liu, Xu, "MgNO: Efficient Parameterization of Linear Operators via Multigrid", ICLR 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastsciml.nn import MgConv1d, MgConv2d, MgConv3d
from fastsciml.nn.multigrid_conv import LevelNorm
from fastsciml.nn.published_transfers import Transfers
from fastsciml.operators.presets import PRESETS
from fastsciml.ops.multigrid_conv import GridBoundary

CYCLES = (MgConv1d, MgConv2d, MgConv3d)
POINTWISE: Sequence[Any] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
# The operator ends a layer with the first two itself.
ACTIVATIONS: dict[str, Any] = {
    "gelu": functional.gelu,
    "relu": functional.relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}
LayerEnd = Literal["pointwise", "cycle"]


class MgNO(nn.Module):
    """Layers u <- act(W u + B u + b), W a V-cycle with learned stencils, B pointwise, and a pointwise end without bias.

    No lifting: the first layer takes the input's channels. The number of points is free, so that a trained model takes
    other grids; the stencils know nothing of the spacing.

    Args:
        in_channels: of the input [B, in_channels, n, ...].
        out_channels: of the output.
        width: channels of every layer.
        layers: how many, without the end.
        levels: of every V-cycle.
        pre: iterations of each level on the way down, a number or one for each; None: one, and two on the coarsest.
        post: iterations on the way up likewise.
        boundary: "dirichlet", "neumann" or "periodic".
        use_residual: whether V-cycles restrict the residual instead of the data.
        growing: whether level l of a V-cycle, from 0, has l + 1 times as many channels as the finest.
        bias: whether the stencils of iterations have one.
        prolongation: points of the prolongation's stencils along each axis, 4 or 3, for all levels but the coarsest or
            for each. With 3, even points of a level see one coarse point and odd ones two, as in linear interpolation.
        norm: after prolongations: None or "layer", for all levels but the coarsest or for each.
        grid: extents, for norms with a weight and bias for each point; the model then takes this grid alone.
        transfers: what they see beyond the grid: "boundary", "zeros" or "inner"; see `fastsciml.nn.MgConv2d`.
        pointwise: whether layers have B and b.
        end: "pointwise" or "cycle", a V-cycle.
        add_input: whether the output is added to the input, which has as many channels.
        activation: "gelu", "relu", "silu" or "tanh".
        checkpoint: whether the backward pass makes the fields of the levels anew instead of keeping them.
        dims: axes of the grid, 1 to 3.
        device: of the parameters.
        dtype: of the parameters, any floating one; the input has it too, but for autocast.

    Raises:
        ValueError: a number or a name does not fit.

    Source: He, Liu, Xu, "MgNO: Efficient Parameterization of Linear Operators via Multigrid" (ICLR 2024).
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        *,
        width: int = 24,
        layers: int = 4,
        levels: int = 6,
        pre: int | Sequence[int] | None = None,
        post: int | Sequence[int] = 0,
        boundary: GridBoundary = "dirichlet",
        use_residual: bool = False,
        growing: bool = False,
        bias: bool = False,
        prolongation: int | Sequence[int] = 4,
        norm: LevelNorm | Sequence[LevelNorm | None] | None = None,
        grid: Sequence[int] | None = None,
        transfers: Transfers = "boundary",
        pointwise: bool = True,
        end: LayerEnd = "pointwise",
        add_input: bool = False,
        activation: str = "gelu",
        checkpoint: bool = False,
        dims: int = 2,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self._settings = {
            name: list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
            for name, value in locals().items()
            if name not in ("self", "device", "dtype", "__class__")
        }
        counts = {"in_channels": in_channels, "out_channels": out_channels, "width": width, "layers": layers}
        for name, number in (counts | {"levels": levels}).items():
            if number < 1:
                raise ValueError(f"{name} must be positive, got {number}")
        if dims not in (1, 2, 3):
            raise ValueError(f"dims must be 1, 2 or 3, got {dims}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        if end not in get_args(LayerEnd):
            raise ValueError(f"end must be one of {', '.join(get_args(LayerEnd))}, got {end!r}")
        if add_input and in_channels != out_channels:
            raise ValueError(f"add_input needs as many channels out as in, got {out_channels} and {in_channels}")
        cycle, point = CYCLES[dims - 1], POINTWISE[dims - 1]
        options: dict[str, Any] = {"device": device, "dtype": dtype}
        of_cycle: dict[str, Any] = {
            "pre": [1] * (levels - 1) + [2] if pre is None else pre,
            "post": post,
            "boundary": boundary,
            "use_residual": use_residual,
            "bias": bias,
            "prolongation": prolongation,
            "transfers": transfers,
            "checkpoint": checkpoint,
            **options,
        }

        def of_levels(finest: int) -> list[int]:
            return [finest * (l + 1) if growing else finest for l in range(levels)]

        before = [in_channels] + [width] * (layers - 1)
        self.cycles = nn.ModuleList(
            cycle(of_levels(f), of_levels(width), levels, norm=norm, grid=grid, **of_cycle) for f in before
        )
        self.pointwise = nn.ModuleList(point(f, width, 1, **options) for f in before if pointwise)
        self.activation, self.add_input = activation, add_input
        if end == "cycle":
            self.end = cycle(of_levels(width), of_levels(out_channels), levels, **of_cycle)
        else:
            self.end = point(width, out_channels, 1, bias=False, **options)

    @classmethod
    def preset(cls, name: str, **changes: Any) -> MgNO:
        """A model with the published settings of a problem.

        Args:
            name: "darcy-smooth", "darcy-rough", "darcy-multiscale", "navier-stokes" or "helmholtz".
            changes: arguments that are to differ.

        Raises:
            ValueError: there is no such preset.

        Source of the settings: the paper and the code published with it (ICLR 2024).
        """
        if name not in PRESETS:
            raise ValueError(f"name must be one of {', '.join(PRESETS)}, got {name!r}")
        return cls(**{**PRESETS[name], **changes})

    def settings(self) -> dict[str, Any]:
        """The arguments that the model was made with but for device and dtype, of types that JSON has."""
        return dict(self._settings)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """[B, in_channels, n, ...] -> [B, out_channels, n, ...].

        Args:
            x: the input, of the parameters' dtype.
            y: not read; the training loop of the library neuraloperator hands models the whole sample.

        Returns:
            The output, of x's dtype or autocast's.

        Raises:
            ValueError: a shape does not fit, or the grid is too small for so many levels.
        """
        fused = self.activation if self.activation in ("gelu", "relu") else "none"
        u = x
        for i, cycle in enumerate(self.cycles):
            u = cycle(u, pointwise=self.pointwise[i] if len(self.pointwise) else None, activation=fused)
            if fused == "none":
                u = ACTIVATIONS[self.activation](u)
        out: Tensor = self.end(u)
        return out + x if self.add_input else out
