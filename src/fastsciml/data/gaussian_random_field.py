"""Gaussian random fields on the unit box by their eigenfunctions, as neural operators' problems draw them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

FieldBoundary = Literal["neumann", "periodic", "dirichlet"]


@dataclass(frozen=True)
class GaussianRandomField:
    """A centred field on the unit box with covariance sigma^2 (-Laplace + tau^2 I)^-alpha.

    Its points include the boundary: x_i = i / (n - 1) on an axis of n points, and i / n on a periodic axis, whose end
    is its start. So grids are nested, a solver with vertices on the boundary takes the field as it is, and every mode
    is exact at the points. (MATLAB's `idct2`, which the data sets of Darcy flow were drawn with, has cell centres.)

    The field is a sum of orthonormal eigenfunctions times independent normal numbers, mode by mode from the lowest:
    cos(pi k x) with zero slope at the ends, sin(pi k x) with zero value, or both of 2 pi k x. A finer grid with the
    same seed and batch draws the same numbers first, so that it shows the same field with more modes.

    Attributes:
        shape: points along 1 to 3 axes, at least 2 each (Dirichlet: 3).
        tau: inverse length; 0 only where sigma is given and no mode is constant.
        alpha: smoothness; the field has a pointwise variance as the grid is refined where alpha > d / 2.
        sigma: None: tau^((2 alpha - d) / 2), with which the variance depends little on tau. It is that of the code
            published with the Fourier neural operator (Li et al., ICLR 2021), for Darcy's fields too (its
            tau^(alpha - 1) in 2D), where the sign alone matters.
        boundary: "neumann", "periodic" or "dirichlet", of all faces.
        zero_mean: leave the constant mode out, as the published code does.
        modes: basis functions along each axis at most, a sine and a cosine counting as two. None: all that the grid
            can tell apart.

    Raises:
        ValueError: a number or name does not fit.

    Example:
        >>> field = GaussianRandomField((85, 85), tau=3, alpha=2)
        >>> field.sample(4, generator=torch.Generator().manual_seed(0)).shape
        torch.Size([4, 85, 85])
    """

    shape: tuple[int, ...]
    tau: float
    alpha: float
    sigma: float | None = None
    boundary: FieldBoundary = "neumann"
    zero_mean: bool = False
    modes: int | None = None

    def __post_init__(self) -> None:
        if self.boundary not in get_args(FieldBoundary):
            raise ValueError(f"boundary must be 'neumann', 'periodic' or 'dirichlet', got {self.boundary!r}")
        least = 3 if self.boundary == "dirichlet" else 2
        if not 1 <= len(self.shape) <= 3 or min(self.shape) < least:
            raise ValueError(f"shape must be one to three extents of at least {least}, got {self.shape!r}")
        if not (self.tau >= 0 and math.isfinite(self.tau)):
            raise ValueError(f"tau must be finite and not negative, got {self.tau}")
        if self.tau == 0 and (self.sigma is None or (not self.zero_mean and self.boundary != "dirichlet")):
            raise ValueError("tau must be positive unless sigma is given and the field has no constant mode")
        if not (self.alpha > 0 and math.isfinite(self.alpha)):
            raise ValueError(f"alpha must be positive and finite, got {self.alpha}")
        if self.sigma is not None and not (self.sigma > 0 and math.isfinite(self.sigma)):
            raise ValueError(f"sigma must be positive and finite, got {self.sigma}")
        if self.modes is not None and self.modes < 1:
            raise ValueError(f"modes must be positive, got {self.modes}")

    @property
    def scale(self) -> float:
        """sigma, given or by default."""
        return self.tau ** (self.alpha - len(self.shape) / 2) if self.sigma is None else self.sigma

    def sample(
        self,
        batch: int,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Draw [batch, *shape].

        Args:
            batch: how many fields.
            generator: of the numbers, on `device`. None: torch's own.
            device: where to draw. None: torch's default.
            dtype: of the result, which is made in float64. None: torch's default.

        Raises:
            ValueError: batch is not positive.
        """
        if batch < 1:
            raise ValueError(f"batch must be positive, got {batch}")
        numbers = self._draw(batch, generator, device)
        field = numbers * self.deviations(device)
        # A dense product for each axis: at the sizes of data sets as fast as a fast transform, on every device, and
        # one code for the three boundaries.
        for axis, n in enumerate(self.shape):
            basis = self._basis(n, numbers.shape[axis + 1], device)
            field = torch.tensordot(field, basis, dims=([1], [1]))
        return field.to(torch.get_default_dtype() if dtype is None else dtype)

    def deviations(self, device: torch.device | str | None = None) -> Tensor:
        """Standard deviation of each mode, float64 [modes along axis 0, axis 1, ...]."""
        squares = torch.zeros((), dtype=torch.float64, device=device)
        for n in self.shape:
            squares = squares[..., None] + self._wavenumbers(self._count(n), device) ** 2
        spectrum = self.scale * (squares + self.tau**2) ** (-self.alpha / 2)
        if self.zero_mean and self.boundary != "dirichlet":
            spectrum.view(-1)[0] = 0.0
        return spectrum

    def _count(self, n: int) -> int:
        """Basis functions that n points tell apart; an even periodic grid sees only half of its last pair."""
        most = {"neumann": n, "periodic": n - 1 + n % 2, "dirichlet": n - 2}[self.boundary]
        return most if self.modes is None else min(most, self.modes)

    def _wavenumbers(self, count: int, device: torch.device | str | None) -> Tensor:
        index = torch.arange(count, dtype=torch.float64, device=device)
        if self.boundary == "periodic":
            return 2 * math.pi * torch.ceil(index / 2)
        return math.pi * (index + (self.boundary == "dirichlet"))

    def _basis(self, n: int, count: int, device: torch.device | str | None) -> Tensor:
        """Orthonormal eigenfunctions at the points, float64 [n, count]."""
        intervals = n if self.boundary == "periodic" else n - 1
        points = torch.arange(n, dtype=torch.float64, device=device) / intervals
        angles = points[:, None] * self._wavenumbers(count, device)
        if self.boundary == "dirichlet":
            basis = math.sqrt(2) * torch.sin(angles)
            basis[0], basis[-1] = 0.0, 0.0  # sin(pi k) has rounding
            return basis
        basis = math.sqrt(2) * torch.cos(angles)
        if self.boundary == "periodic":
            basis[:, 2::2] = math.sqrt(2) * torch.sin(angles[:, 2::2])
        basis[:, 0] = 1.0
        return basis

    def _draw(self, batch: int, generator: torch.Generator | None, device: torch.device | str | None) -> Tensor:
        """Normal numbers, float64 [batch, modes...], shell after shell of modes whose largest index is the same.

        Shells are those of a cube, so that grids of every shape share them; what a long box does not use is dropped.
        """
        counts = [self._count(n) for n in self.shape]
        numbers = torch.empty((batch, *counts), dtype=torch.float64, device=device)
        for shell in range(max(counts)):
            for axis in range(len(counts)):
                extents = [shell] * axis + [1] + [shell + 1] * (len(counts) - 1 - axis)
                if 0 in extents:
                    continue
                drawn = torch.randn((batch, *extents), generator=generator, dtype=torch.float64, device=device)
                if shell < counts[axis]:
                    kept = tuple(slice(min(m, count)) for m, count in zip(extents, counts, strict=True))
                    at = tuple(slice(shell, shell + 1) if a == axis else kept[a] for a in range(len(counts)))
                    numbers[(slice(None), *at)] = drawn[(slice(None), *kept)]
        return numbers
