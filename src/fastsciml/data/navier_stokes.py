"""Two-dimensional flow in vorticity form on the unit torus, as neural operators learn to carry it forward in time."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from .gaussian_random_field import GaussianRandomField
from .operator_data import OperatorData


@dataclass(frozen=True)
class NavierStokes:
    """Vorticity w of a random start and of later times: dw/dt + u . grad w = viscosity Laplace w + f on the unit torus.

    f = forcing (sin(2 pi (x + y)) + cos(2 pi (x + y))). The start has zero mean and is drawn from the Gaussian random
    field with tau = 7, alpha = 2.5 and sigma = 7^(3/2), on the points i / n, in the modes that dealiasing keeps.

    Source: Li et al., "Fourier Neural Operator for Parametric Partial Differential Equations" (ICLR 2021). The paper
    writes 7^(3/2) as the covariance's factor; the code published with it has it as the field's, and so it is here.
    Their time step is of first order and 1e-4 long, and they solve on 256 x 256 points and keep 64 x 64: refine=4.

    Attributes:
        resolution: points n along each axis of what is returned, at least 4.
        viscosity: at least 0.
        forcing: amplitude of f.
        time: of the last record.
        records: times that are kept, equally apart: time / records, ..., time.
        step: longest time step; well below 1 / (2 * largest speed * resolution * refine), or the flow blows up.
        refine: the equation is solved on resolution * refine points along each axis. With a viscosity of 1e-5 a flow
            of 64 points alone is not resolved.

    Raises:
        ValueError: a number does not fit.

    Example:
        >>> flow = NavierStokes(resolution=32, viscosity=1e-3, time=1.0, records=5, step=1e-2)
        >>> data = flow.sample(2, generator=torch.Generator().manual_seed(0))
        >>> data.x.shape, data.y.shape
        (torch.Size([2, 1, 32, 32]), torch.Size([2, 5, 32, 32]))
    """

    resolution: int = 64
    viscosity: float = 1e-5
    forcing: float = 0.1
    time: float = 20.0
    records: int = 20
    step: float = 1e-3
    refine: int = 1

    def __post_init__(self) -> None:
        if self.resolution < 4:
            raise ValueError(f"resolution must be at least 4, got {self.resolution}")
        if not 0 <= self.viscosity < math.inf:
            raise ValueError(f"viscosity must be finite and not negative, got {self.viscosity}")
        if not math.isfinite(self.forcing):
            raise ValueError(f"forcing must be finite, got {self.forcing}")
        _check_times(self.time, self.records, self.step)
        if self.refine < 1:
            raise ValueError(f"refine must be positive, got {self.refine}")

    @property
    def about(self) -> dict[str, Any]:
        """Name and parameters."""
        return {"name": "navier_stokes", **asdict(self)}

    def sample(
        self,
        batch: int,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> OperatorData:
        """Draw starts and solve, in float64, all at once.

        Args:
            batch: samples N.
            generator: of the random numbers, on `device`. None: torch's own.
            device: where to draw and to solve. None: torch's default.
            dtype: of the result, torch.float32 or torch.float64.

        Returns:
            x [N, 1, n, n], the vorticity at time 0, and y [N, records, n, n].

        Raises:
            ValueError: batch is not positive.
            RuntimeError: the flow blows up, as `step` is too long.
        """
        n = self.resolution * self.refine
        field = GaussianRandomField((n, n), 7.0, 2.5, None, "periodic", zero_mean=True, modes=2 * ((n - 1) // 3) + 1)
        start = field.sample(batch, generator=generator, device=device, dtype=torch.float64)
        ticks = torch.arange(n, dtype=torch.float64, device=start.device) / n
        angle = 2 * math.pi * (ticks[:, None] + ticks)
        f = self.forcing * (torch.sin(angle) + torch.cos(angle))
        later = solve_navier_stokes(start, f, self.viscosity, time=self.time, records=self.records, step=self.step)
        kept = (..., slice(None, None, self.refine), slice(None, None, self.refine))
        return OperatorData(start[:, None][kept].to(dtype), later[kept].to(dtype).contiguous(), self.about)


def solve_navier_stokes(
    start: Tensor, forcing: Tensor | None, viscosity: float, *, time: float, records: int = 1, step: float = 1e-3
) -> Tensor:
    """Carry vorticity forward: dw/dt + div(u w) = viscosity Laplace w + forcing, u = (d psi/dy, -d psi/dx),
    -Laplace psi = w, on the unit torus.

    Fourier modes below a third of the grid's points along either axis, with which products have no aliases (the 2/3
    rule, Orszag 1971); others are removed from start and forcing. In time Crank and Nicolson's rule for viscosity and
    Heun's for the rest: second order. The mean of w grows by forcing's alone.

    Args:
        start: w at time 0, float32 or float64, [N, n, n], indexed (x, y).
        forcing: [n, n] or [N, n, n], of any floating dtype. None: none.
        viscosity: at least 0, in units of the torus's side squared over that of time.
        time: of the last record, in that unit.
        records: how many times to keep, equally apart.
        step: longest time step; records are hit exactly.

    Returns:
        w [N, records, n, n].

    Raises:
        ValueError: a shape or number does not fit.
        RuntimeError: the flow blows up, as `step` is too long.
    """
    if start.ndim != 3 or start.shape[1] != start.shape[2] or start.shape[1] < 4 or not start.is_floating_point():
        raise ValueError(f"start must be floating-point [N, n, n] with n at least 4, got {tuple(start.shape)}")
    if forcing is not None and forcing.shape not in (start.shape, start.shape[1:]):
        raise ValueError(f"forcing must have the shape of start or of one of it, got {tuple(forcing.shape)}")
    if not 0 <= viscosity < math.inf:
        raise ValueError(f"viscosity must be finite and not negative, got {viscosity}")
    _check_times(time, records, step)
    modes = _Modes(start, forcing)
    steps = math.ceil(time / records / step * (1 - 1e-12))
    length = time / records / steps
    decay = 0.5 * length * viscosity * modes.squares
    w = torch.fft.rfft2(start) * modes.kept
    found = torch.empty((len(start), records, *start.shape[1:]), dtype=start.dtype, device=start.device)
    for record in range(records):
        for _ in range(steps):
            now = modes.tendency(w)
            explicit = (1 - decay) * w
            later = modes.tendency((explicit + length * now) / (1 + decay))
            w = (explicit + 0.5 * length * (now + later)) / (1 + decay)
        found[:, record] = torch.fft.irfft2(w, s=start.shape[1:])
        if not bool(found[:, record].isfinite().all()):
            raise RuntimeError(
                f"the flow blew up before time {(record + 1) * length * steps:g}: step, {step}, is too long"
            )
    return found


class _Modes:
    """What a grid's Fourier modes are multiplied with."""

    def __init__(self, like: Tensor, forcing: Tensor | None) -> None:
        n = like.shape[-1]
        whole = torch.fft.fftfreq(n, 1 / n, dtype=like.dtype, device=like.device)[:, None]
        half = torch.fft.rfftfreq(n, 1 / n, dtype=like.dtype, device=like.device)[None]
        self.kept = (3 * whole.abs() < n) & (3 * half < n)
        x, y = 2 * math.pi * whole, 2 * math.pi * half
        self.squares = x**2 + y**2
        inverse = 1 / self.squares
        inverse[0, 0] = 0.0  # no part of psi
        self.shape = (n, n)
        self.derivatives = torch.stack([-1j * x * self.kept, -1j * y * self.kept])[:, None]
        # Of w: velocity along x, along y, and w itself.
        fields = torch.stack([1j * y * inverse, -1j * x * inverse, torch.ones_like(self.squares) + 0j])
        self.fields = (fields * self.kept)[:, None]
        self.forcing = 0.0 if forcing is None else torch.fft.rfft2(forcing.to(like)) * self.kept

    def tendency(self, w: Tensor) -> Tensor:
        """-div(u w) + forcing: the flux' divergence instead of u . grad w, for it leaves the mean alone exactly."""
        u, v, vorticity = torch.fft.irfft2(self.fields * w, s=self.shape)
        fluxes = torch.fft.rfft2(torch.stack([u * vorticity, v * vorticity]))
        tendency: Tensor = (self.derivatives * fluxes).sum(0) + self.forcing
        return tendency


def _check_times(time: float, records: int, step: float) -> None:
    if not 0 < time < math.inf:
        raise ValueError(f"time must be positive and finite, got {time}")
    if records < 1:
        raise ValueError(f"records must be positive, got {records}")
    if not step > 0:
        raise ValueError(f"step must be positive, got {step}")
