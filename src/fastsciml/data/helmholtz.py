"""Waves of one frequency in a medium of random speed: the Helmholtz equation by a sparse direct solver."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import scipy.sparse as sparse
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import splu
from torch import Tensor

from .gaussian_random_field import GaussianRandomField
from .operator_data import OperatorData

WallKind = Literal["dirichlet", "neumann"]


@dataclass(frozen=True)
class Helmholtz:
    """-Laplace u - (omega / c)^2 u = f on the unit square; c is random, u or its slope is zero on the boundary.

    c = speed + contrast tanh(g), g being the Gaussian random field with zero slope at the boundary, tau = 3, alpha = 2;
    f is a bump of height 1 around `source`, exp(-r^2 / (2 width^2)). Grids have n x n points, those on the boundary
    included. Frequency and speeds are those of de Hoop, Huang, Qian and Stuart, "The cost-accuracy trade-off in
    operator learning with neural networks" (2022), whose waves come from a part of one wall instead.

    Nothing is absorbed, so that samples near a resonance have large solutions.

    Attributes:
        resolution: points n along each axis of what is returned, at least 4.
        omega: angular frequency, positive. A wave is 2 pi c / omega long.
        speed: mean of c, above contrast.
        contrast: how far c goes from it at most, at least 0.
        boundary: "dirichlet" or "neumann", of all walls.
        source: (x, y), the middle of the bump.
        width: its standard deviation, positive.
        refine: the equation is solved on (resolution - 1) * refine + 1 points along each axis.

    Raises:
        ValueError: a number or name does not fit.

    Example:
        >>> data = Helmholtz(resolution=33, omega=200.0).sample(2, generator=torch.Generator().manual_seed(0))
        >>> data.x.shape, data.y.shape
        (torch.Size([2, 1, 33, 33]), torch.Size([2, 1, 33, 33]))
    """

    resolution: int = 101
    omega: float = 1000.0
    speed: float = 20.0
    contrast: float = 1.0
    boundary: WallKind = "dirichlet"
    source: tuple[float, float] = (0.5, 0.5)
    width: float = 0.05
    refine: int = 2

    def __post_init__(self) -> None:
        if self.resolution < 4:
            raise ValueError(f"resolution must be at least 4, got {self.resolution}")
        if not 0 <= self.contrast < self.speed < math.inf:
            raise ValueError(f"contrast must be from 0 to below speed, got {self.contrast} and {self.speed}")
        if not (len(self.source) == 2 and all(map(math.isfinite, self.source))):
            raise ValueError(f"source must be two finite numbers, got {self.source!r}")
        if not 0 < self.width < math.inf:
            raise ValueError(f"width must be positive and finite, got {self.width}")
        if self.refine < 1:
            raise ValueError(f"refine must be positive, got {self.refine}")
        _check_problem(self.omega, self.boundary)

    @property
    def about(self) -> dict[str, Any]:
        """Name and parameters."""
        return {"name": "helmholtz", **asdict(self)}

    def sample(
        self,
        batch: int,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> OperatorData:
        """Draw speeds and solve, in float64, one by one on the CPU.

        Args:
            batch: samples N.
            generator: of the random numbers, on `device`. None: torch's own.
            device: where to draw. None: torch's default.
            dtype: of the result, torch.float32 or torch.float64.

        Returns:
            x [N, 1, n, n], the speed c, and y [N, 1, n, n], the solution.

        Raises:
            ValueError: batch is not positive.
            RuntimeError: a sample is at a resonance.
        """
        n = (self.resolution - 1) * self.refine + 1
        field = GaussianRandomField((n, n), 3.0, 2.0)
        drawn = field.sample(batch, generator=generator, device=device, dtype=torch.float64)
        c = self.speed + self.contrast * torch.tanh(drawn)
        ticks = torch.arange(n, dtype=torch.float64, device=c.device) / (n - 1)
        squares = (ticks[:, None] - self.source[0]) ** 2 + (ticks - self.source[1]) ** 2
        u = solve_helmholtz(c, torch.exp(-squares / (2 * self.width**2)), self.omega, self.boundary)
        x, y = (t[:, None, :: self.refine, :: self.refine].to(dtype).contiguous() for t in (c, u))
        return OperatorData(x, y, self.about)


def solve_helmholtz(c: Tensor, rhs: Tensor, omega: float, boundary: WallKind = "dirichlet") -> Tensor:
    """Solve -Laplace u - (omega / c)^2 u = rhs on the unit square by the 5-point scheme and sparse LU factors.

    Args:
        c: positive, [N, n, n], of any floating dtype, at points that include the boundary.
        rhs: [n, n] or [N, n, n], likewise.
        omega: angular frequency, positive, in c's unit over that of length: the square's side is 1.
        boundary: "dirichlet": u is zero on the boundary, where c and rhs are not read; "neumann": its slope is.

    Returns:
        u [N, n, n], worked out in float64 on the CPU, of c's dtype and on its device.

    Raises:
        ValueError: a shape, number or name does not fit.
        RuntimeError: a sample is at a resonance, where there is no solution.
    """
    _check_problem(omega, boundary)
    if c.ndim != 3 or c.shape[1] != c.shape[2] or c.shape[1] < 4:
        raise ValueError(f"c must be [N, n, n] with n at least 4, got {tuple(c.shape)}")
    if rhs.shape not in (c.shape, c.shape[1:]):
        raise ValueError(f"rhs must have the shape of c or of one of it, got {tuple(rhs.shape)}")
    if not bool((c > 0).all()):
        raise ValueError("c must be positive everywhere")
    n = c.shape[1]
    inner = slice(1, -1) if boundary == "dirichlet" else slice(None)
    speeds: NDArray[np.float64] = c.detach().cpu().double().numpy()[:, inner, inner]
    sources = rhs.detach().cpu().double().expand_as(c).numpy()[:, inner, inner]
    laplace = _minus_laplace(n, boundary)
    u = np.zeros(c.shape)
    for sample, (speed, source) in enumerate(zip(speeds, sources, strict=True)):
        matrix = (laplace - sparse.diags((omega / speed.ravel()) ** 2)).tocsc()
        # The pattern is symmetric: with its ordering, and pivots from the diagonal where they are not tiny, the
        # factors have about half of the entries.
        factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.01, options={"SymmetricMode": True})
        found = factors.solve(source.ravel())
        found += factors.solve(source.ravel() - matrix @ found)  # what the pivots have lost
        u[sample, inner, inner] = found.reshape(speed.shape)
    if not np.isfinite(u).all():
        raise RuntimeError("a sample is at a resonance, where there is no solution")
    return torch.from_numpy(u).to(c)


def _minus_laplace(n: int, boundary: WallKind) -> Any:
    """The 5-point matrix, CSR, of the inner points, or of all with the wall's outer neighbour mirrored."""
    m = n - 2 if boundary == "dirichlet" else n
    line = sparse.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(m, m)).tolil()
    if boundary == "neumann":
        line[0, 1] = line[-1, -2] = -2.0
    return sparse.kronsum(line, line, format="csr") * float((n - 1) ** 2)


def _check_problem(omega: float, boundary: str) -> None:
    if not 0 < omega < math.inf:
        raise ValueError(f"omega must be positive and finite, got {omega}")
    if boundary not in get_args(WallKind):
        raise ValueError(f"boundary must be 'dirichlet' or 'neumann', got {boundary!r}")
