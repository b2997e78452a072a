"""Darcy flow: the coefficient of -div(a grad u) = 1 and its solution u, the first benchmark of neural operators."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ..solvers.poisson import solve_poisson
from .gaussian_random_field import GaussianRandomField
from .operator_data import OperatorData

DarcyCoefficient = Literal["smooth", "rough", "multiscale"]

# Inverse length tau of the fields whose sign the two-valued coefficients show; alpha is 2 for both.
TAU = {"smooth": 3.0, "rough": 5.0}
SCALES = 6


@dataclass(frozen=True)
class DarcyFlow:
    """-div(a grad u) = 1 on the unit square, u = 0 on its boundary; a is random.

    Grids have n x n points, those on the boundary included. The default is the problem of Li et al., "Fourier Neural
    Operator for Parametric Partial Differential Equations" (ICLR 2021): 421 points thinned to 85. (The code published
    with it draws a at cell centres, interpolates it to such points, solves there, and interpolates u back.)

    Coefficients:
        "smooth": values[0] where a Gaussian random field with zero slope at the boundary, tau = 3, alpha = 2, zero
            mean, is at least 0, values[1] elsewhere.
        "rough": likewise with tau = 5.
        "multiscale": prod_{k=1}^6 (1 + cos(a_k pi (s + t)) / 2) (1 + sin(a_k pi (t - 3 s)) / 2) with a_k uniform in
            [2^(k-1), 1.5 * 2^(k-1)] and (s, t) = 2 (x, y) - 1: Owhadi's coefficient (SIAM Review 59, 2017; there
            a_k = 2^k) with the random numbers of Liu, Xu, Cao and Zhang, "Mitigating spectral bias for
            the multiscale operator learning" (J. Comput. Phys. 506, 2024). They solve on [-1, 1]^2, where u is 4
            times as large. Its shortest waves are 0.0066 long and want fine grids.

    Attributes:
        resolution: points n along each axis of what is returned, at least 3.
        coefficient: "smooth", "rough" or "multiscale".
        values: (where the field is positive, where it is negative), of the two-valued coefficients.
        refine: the equation is solved on (resolution - 1) * refine + 1 points along each axis.
        tol: of the residual, relative to the right-hand side's.

    Raises:
        ValueError: a number or name does not fit.

    Example:
        >>> data = DarcyFlow(resolution=33, refine=2).sample(8, generator=torch.Generator().manual_seed(0))
        >>> data.x.shape, data.y.shape
        (torch.Size([8, 1, 33, 33]), torch.Size([8, 1, 33, 33]))
    """

    resolution: int = 85
    coefficient: DarcyCoefficient = "smooth"
    values: tuple[float, float] = (12.0, 3.0)
    refine: int = 5
    tol: float = 1e-9

    def __post_init__(self) -> None:
        if self.resolution < 3:
            raise ValueError(f"resolution must be at least 3, got {self.resolution}")
        if self.coefficient not in get_args(DarcyCoefficient):
            raise ValueError(f"coefficient must be 'smooth', 'rough' or 'multiscale', got {self.coefficient!r}")
        if len(self.values) != 2 or not all(0 < value < math.inf for value in self.values):
            raise ValueError(f"values must be two positive numbers, got {self.values!r}")
        if self.refine < 1:
            raise ValueError(f"refine must be positive, got {self.refine}")
        if not 0 < self.tol < 1:
            raise ValueError(f"tol must be between 0 and 1, got {self.tol}")

    @property
    def about(self) -> dict[str, Any]:
        """Name and parameters."""
        return {"name": "darcy", **asdict(self)}

    def sample(
        self,
        batch: int,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> OperatorData:
        """Draw coefficients and solve, in float64, all at once.

        Args:
            batch: samples N.
            generator: of the random numbers, on `device`. None: torch's own.
            device: where to draw and to solve. None: torch's default.
            dtype: of the result, torch.float32 or torch.float64.

        Returns:
            x [N, 1, n, n], the coefficient, and y [N, 1, n, n], the solution.

        Raises:
            ValueError: batch is not positive.
            RuntimeError: the solver does not reach `tol`.
        """
        if batch < 1:
            raise ValueError(f"batch must be positive, got {batch}")
        a = self.draw_coefficient(batch, generator=generator, device=device)
        u = solve_darcy(a, tol=self.tol)
        x, y = (t[:, None, :: self.refine, :: self.refine].to(dtype).contiguous() for t in (a, u))
        return OperatorData(x, y, self.about)

    def draw_coefficient(
        self,
        batch: int,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """The coefficient on the grid that the equation is solved on, float64 [batch, m, m]."""
        points = (self.resolution - 1) * self.refine + 1
        if self.coefficient == "multiscale":
            uniform = torch.rand((batch, SCALES), generator=generator, dtype=torch.float64, device=device)
            return multiscale_coefficient(_frequencies(uniform), points)
        field = GaussianRandomField((points, points), TAU[self.coefficient], 2.0, zero_mean=True)
        drawn = field.sample(batch, generator=generator, device=device, dtype=torch.float64)
        positive, negative = (torch.full_like(drawn, value) for value in self.values)
        return torch.where(drawn >= 0, positive, negative)


def multiscale_coefficient(frequencies: Tensor, points: int) -> Tensor:
    """The coefficient "multiscale" of `DarcyFlow` for given a_k.

    Args:
        frequencies: a_k, [N, scales], of any floating dtype.
        points: along each axis.

    Returns:
        Tensor [N, points, points] of that dtype.

    Source: as told at `DarcyFlow`.
    """
    ticks = torch.linspace(-1, 1, points, dtype=frequencies.dtype, device=frequencies.device)
    s, t = torch.meshgrid(ticks, ticks, indexing="ij")
    a = torch.ones((len(frequencies), points, points), dtype=frequencies.dtype, device=frequencies.device)
    for frequency in frequencies.T[..., None, None]:
        a *= 1 + torch.cos(math.pi * frequency * (s + t)) / 2
        a *= 1 + torch.sin(math.pi * frequency * (t - 3 * s)) / 2
    return a


def solve_darcy(a: Tensor, rhs: Tensor | float = 1.0, *, tol: float = 1e-9) -> Tensor:
    """Solve -div(a grad u) = rhs on the unit square, u = 0 on its boundary, by the 5-point scheme.

    A face's coefficient is the mean of its two points', as in the code published with the Fourier neural operator.

    Args:
        a: positive, [N, n, n], float32 or float64, at points that include the boundary.
        rhs: a number or [N, n, n], taken in a's dtype; its values on the boundary are not read.
        tol: of the residual, relative to rhs.

    Returns:
        u [N, n, n], of a's dtype.

    Raises:
        ValueError: a's shape is another, or the solver refuses a or rhs.
        RuntimeError: the solver does not reach `tol`.
    """
    if a.ndim != 3 or a.shape[1] != a.shape[2] or a.shape[1] < 3:
        raise ValueError(f"a must be [N, n, n] with n at least 3, got {tuple(a.shape)}")
    across = (a[:, :-1, 1:-1] + a[:, 1:, 1:-1]) / 2
    along = (a[:, 1:-1, :-1] + a[:, 1:-1, 1:]) / 2
    f = torch.as_tensor(rhs, dtype=a.dtype, device=a.device).expand_as(a)[:, 1:-1, 1:-1].contiguous()
    result = solve_poisson(
        f, spacing=1 / (a.shape[1] - 1), centering="vertex", coefficient=[across, along], dims=2, tol=tol
    )
    if not result.converged:
        raise RuntimeError(f"the solver stopped at a residual of {np.max(result.residuals[-1]):.2e}, above tol, {tol}")
    return torch.nn.functional.pad(result.solution, (1, 1, 1, 1))


def _frequencies(uniform: Tensor) -> Tensor:
    """a_k in [2^(k-1), 1.5 * 2^(k-1)] from numbers in [0, 1)."""
    lowest = 2.0 ** torch.arange(uniform.shape[1], dtype=uniform.dtype, device=uniform.device)
    return lowest * (1 + uniform / 2)
