"""MgNO, the multigrid neural operator.

He, Liu, Xu, "MgNO: Efficient Parameterization of Linear Operators via Multigrid", ICLR 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastsciml.nn import MgConv1d, MgConv2d, MgConv3d
from fastsciml.ops.multigrid_conv import GridBoundary

CYCLES = (MgConv1d, MgConv2d, MgConv3d)
POINTWISE: Sequence[Any] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU}

# As published for Darcy flow; the paper's other problems need a norm or growing channels, which are not there yet.
PRESETS: dict[str, dict[str, Any]] = {
    "darcy-smooth": {"layers": 5},
    "darcy-rough": {"layers": 4},
    "darcy-multiscale": {"layers": 4},
}


class MgNO(nn.Module):
    """Layers u <- act(W u + B u + b), W a V-cycle with learned stencils, B pointwise, and a pointwise end without bias.

    No lifting: the first layer takes the input's channels. The number of points is free, so that a trained model takes
    other grids; the stencils know nothing of the spacing.

    Args:
        in_channels: of the input [B, in_channels, n, ...].
        out_channels: of the output.
        width: channels of every layer.
        layers: how many.
        levels: of every V-cycle.
        pre: iterations of each level on the way down, a number or one for each; None: one, and two on the coarsest.
        post: iterations on the way up likewise.
        boundary: "dirichlet", "neumann" or "periodic".
        use_residual: whether V-cycles restrict the residual instead of the data.
        activation: "gelu", "relu", "silu" or "tanh".
        dims: axes of the grid, 1 to 3.
        device: of the parameters.
        dtype: of the parameters.

    Raises:
        ValueError: a number or a name does not fit.
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
        activation: str = "gelu",
        dims: int = 2,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, number in (("out_channels", out_channels), ("width", width), ("layers", layers), ("levels", levels)):
            if number < 1:
                raise ValueError(f"{name} must be positive, got {number}")
        if dims not in (1, 2, 3):
            raise ValueError(f"dims must be 1, 2 or 3, got {dims}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        cycle, pointwise = CYCLES[dims - 1], POINTWISE[dims - 1]
        channels = [in_channels] + [width] * layers
        options: dict[str, Any] = {"device": device, "dtype": dtype}
        of_cycle: dict[str, Any] = {"pre": [1] * (levels - 1) + [2] if pre is None else pre, "post": post}
        of_cycle |= {"boundary": boundary, "use_residual": use_residual, **options}
        self.cycles = nn.ModuleList(cycle(before, width, levels, **of_cycle) for before in channels[:-1])
        self.pointwise = nn.ModuleList(pointwise(before, width, 1, **options) for before in channels[:-1])
        self.activation = ACTIVATIONS[activation]()
        self.end = pointwise(width, out_channels, 1, bias=False, **options)

    @classmethod
    def preset(cls, name: str, **changes: Any) -> MgNO:
        """A model with published settings: "darcy-smooth", "darcy-rough" or "darcy-multiscale".

        Args:
            name: of the problem.
            changes: arguments that are to differ.

        Raises:
            ValueError: there is no such preset.
        """
        if name not in PRESETS:
            raise ValueError(f"name must be one of {', '.join(PRESETS)}, got {name!r}")
        return cls(**{**PRESETS[name], **changes})

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, n, ...] -> [B, out_channels, n, ...].

        Raises:
            ValueError: a shape does not fit, or the grid is too small for so many levels.
        """
        for cycle, pointwise in zip(self.cycles, self.pointwise, strict=True):
            x = self.activation(cycle(x) + pointwise(x))
        out: Tensor = self.end(x)
        return out
