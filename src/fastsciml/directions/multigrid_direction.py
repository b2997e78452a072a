"""`MultigridDirection`: a learned V-cycle that proposes search directions.

The cycle is the symmetric one of `multigrid_v_cycle`, on the same kernels and of the same cost. What is learned is how
strongly each of its sweeps over-relaxes, what the coarse corrections are multiplied by, and what a coarse face
conducts of which only a part is open; all of them hold for any grid. Masks and boundaries are in the operator of every
level, and corrections are interpolated around solid cells.

So the map B from residuals to directions is linear, self-adjoint in the inner product weighted by the cells' volumes
and positive definite whatever the parameters are: sweeps after the correction mirror those before it, each with a
relaxation between 0 and 2, and restriction is the adjoint of prolongation. Conjugate gradients may use it as it is.

The idea of directions that are learned without solutions is from Kaneda, Akar, Chen, Kala, Hyde, Teran, A Deep
Conjugate Direction Method for Iteratively Solving Linear Systems, ICML 2023; theirs is a convolutional network.
"""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fastsciml.ops.multigrid_v_cycle import multigrid_v_cycle, multigrid_workspace, v_cycle_from
from fastsciml.ops.split_rows import join_rows, split_rows
from fastsciml.solvers.conductance import with_conductance
from fastsciml.solvers.geometry import RELAXATION
from fastsciml.solvers.hierarchy import SWEEPS, Hierarchy
from fastsciml.solvers.schedule import Schedule, mirrored

if TYPE_CHECKING:
    from fastsciml.solvers.poisson_solver import PoissonSolver


class MultigridDirection(nn.Module):
    """A symmetric V-cycle with learned relaxation, corrections and coarse conductances; untrained it is the plain one.

    Args:
        dims: 2 or 3, of the problems it is trained on: their best relaxation differs.

    Raises:
        ValueError: dims is another number.

    Source of directions learned without solutions: Kaneda et al., "A Deep Conjugate Direction Method for Iteratively
    Solving Linear Systems" (ICML 2023). The cycle's: Trottenberg, Oosterlee, Schueller, Multigrid (2001), ch. 2.
    """

    def __init__(self, dims: int = 3) -> None:
        super().__init__()
        if dims not in (2, 3):
            raise ValueError(f"dims must be 2 or 3, got {dims}")
        self.dims = dims
        start = log(RELAXATION[dims] / (2 - RELAXATION[dims]))
        self.finest_sweeps = nn.Parameter(torch.full((SWEEPS,), start))
        self.coarse_sweeps = nn.Parameter(torch.full((SWEEPS + 1,), start))
        self.corrections = nn.Parameter(torch.zeros(2))
        self.conductance = nn.Parameter(torch.zeros(2))

    def config(self) -> dict[str, int]:
        """The arguments that make it again."""
        return {"dims": self.dims}

    def schedule(self) -> Schedule:
        """Its sweeps and corrections, as tensors: relaxations are 2 sigmoid(parameter), corrections exp(parameter)."""
        own = RELAXATION[self.dims]
        finest, coarse = (2 * torch.sigmoid(p) / own for p in (self.finest_sweeps, self.coarse_sweeps))
        correction, coarser = self.corrections.exp()
        return mirrored(list(finest), correction, list(coarse), coarser)

    def bound_to(self, solver: PoissonSolver, sample: int = 0) -> MultigridProposal:
        """The map of residuals [batch, 1, *shape] to directions for one problem: in float32, if without gradients.

        Args:
            solver: of the problem.
            sample: which one of its batch of masks, coefficients or alphas.

        Raises:
            ValueError: the problem has another number of dimensions.
        """
        if len(solver.shape) != self.dims:
            raise ValueError(f"a direction for {self.dims} dimensions does not fit a problem of shape {solver.shape}")
        return MultigridProposal(self, solver, sample)

    def forward(self, residual: Tensor) -> Tensor:
        """Raise TypeError, whatever the shape [batch, 1, *shape] and dtype: call `bound_to`, and what it gives."""
        raise TypeError("a MultigridDirection needs the problem: call bound_to(solver) and then the result")


class MultigridProposal:
    """A `MultigridDirection` for one problem. On the kernels; where its parameters need gradients, in plain PyTorch."""

    def __init__(self, network: MultigridDirection, solver: PoissonSolver, sample: int) -> None:
        of = solver._samples[sample]
        self.network, self.unknown, self.extents = network, of.placed.unknown, of.grid.extents
        self._plain = of.hierarchy(symmetric=True)

    def hierarchy(self) -> Hierarchy:
        """The levels with what is learned in them, on the CPU; differentiable where gradients are enabled."""
        return with_conductance(replace(self._plain, learned=self.network.schedule()), self.network.conductance)

    def __call__(self, residual: Tensor) -> Tensor:
        """B r for r [batch, 1, *shape], in float32 on the kernels; 0 where there is no unknown."""
        r = residual.reshape(-1, *self.extents)
        if self.unknown is not None:
            r = r * self.unknown
        if torch.is_grad_enabled() and any(p.requires_grad for p in self.network.parameters()):
            z = v_cycle_from(self.hierarchy(), 0, None, r)
        else:
            z = self._on_kernels(r)
        return z.reshape(residual.shape)

    @torch.no_grad()
    def _on_kernels(self, residuals: Tensor) -> Tensor:
        hierarchy = self.hierarchy().to(residuals.device)
        workspace = torch.empty(multigrid_workspace(hierarchy), device=residuals.device)
        directions = []
        for r in residuals:
            out = torch.empty(hierarchy.padded_shape, device=r.device)
            multigrid_v_cycle(split_rows(r), out, hierarchy, workspace)
            directions.append(join_rows(out, r.shape[-1]).to(r.dtype))
        return torch.stack(directions)
