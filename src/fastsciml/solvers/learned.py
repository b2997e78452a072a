"""Directions that a network proposes, with multigrid for where it fails.

The loop is that of deep conjugate directions: the network sees the residual, divided by its norm; its proposal is made
conjugate to the last directions, and the step along it is the one that minimises the error's energy. So a direction
cannot raise that, whatever the network says. Here the residual is recomputed in the caller's dtype after every step,
as everywhere in this package, and a direction that leaves too much of it hands over to multigrid.

Source: Kaneda, Akar, Chen, Kala, Hyde, Teran, A Deep Conjugate Direction Method for Iteratively Solving Linear Systems,
ICML 2023 (the loop, two last directions). The fallback is this package's own.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, sqrt
from time import perf_counter
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from fastsciml.ops.conjugate_direction import conjugate_direction_step, conjugate_line_search
from fastsciml.ops.multigrid_v_cycle import multigrid_workspace
from fastsciml.ops.split_rows import join_rows, split_rows
from fastsciml.solvers.captured import CapturedCycles
from fastsciml.solvers.hierarchy import Hierarchy
from fastsciml.solvers.iteration import PARALLEL, Iteration, Watch, Work
from fastsciml.solvers.result import StopReason
from fastsciml.solvers.scratch import give, take

if TYPE_CHECKING:
    from fastsciml.solvers.poisson_solver import PoissonSolver

Fallback = Literal["multigrid"]
# Fills the second array with the proposal for the first, both rows in halves; returns what is wrong with it, if so.
Propose = Callable[[Tensor, Tensor], str | None]
# A solve without a fallback ends where the best residual has not fallen to this share within so many directions, or
# twice the longest axis if that is more, as conjugate gradients wander.
PROGRESS, PATIENCE = 0.9, 64
# Directions are float32, so that a ten-millionth of what one was to take off stays, and whatever is conjugate to it
# cannot take that off. So a direction is forgotten once the residual is this share of what it was then.
FORGET = 1e-5


@dataclass(frozen=True)
class LearnedDirections:
    """How a network's directions are used: `solve_poisson(..., method=LearnedDirections(network))`.

    Args:
        network: maps residuals [batch, 1, *shape], float32, each of norm 1, to directions of that shape, of any length;
            or has a method `bound_to(solver)` that gives such a map for one problem (of a batch of masks,
            `bound_to(solver, sample)`), as `MultigridDirection` has, whose parameters a solver reads once.
        memory: to how many last directions each is made conjugate, 0 to 8. One is enough for a map that is symmetric.
        fallback: "multigrid": where a direction leaves more than `enough` of the residual, or is not finite, multigrid
            takes over for one iteration, after the next such direction for two, then four. None: nothing does.
        enough: a share between 0 and 1.

    Raises:
        TypeError, ValueError: an argument is none of these.

    Source: Kaneda et al., "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems" (ICML 2023), whose
    directions are conjugate to two before; handing over to multigrid is not in it.
    """

    network: nn.Module
    memory: int = 2
    fallback: Fallback | None = "multigrid"
    enough: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.network, nn.Module):
            raise TypeError(f"network must be a torch.nn.Module, got {type(self.network).__name__}")
        if not isinstance(self.memory, int) or not 0 <= self.memory <= 8:
            raise ValueError(f"memory must be 0 to 8 directions, got {self.memory!r}")
        if self.fallback not in ("multigrid", None):
            raise ValueError(f'fallback must be "multigrid" or None, got {self.fallback!r}')
        if not 0 < self.enough <= 1:
            raise ValueError(f"enough must be a share of the residual between 0 and 1, got {self.enough}")


@dataclass(frozen=True)
class Direction:
    """One of the last directions, rows in halves, its energy <p, A p>, and the relative residual before its step."""

    rows: Tensor
    energy: float
    residual: float


class LearnedIteration:
    """The iteration and its work arrays, made once for a sample and used for any number of right-hand sides.

    Args:
        learned: the network and how it is used.
        solver: of the problem.
        sample: which of its batch.
    """

    def __init__(self, learned: LearnedDirections, solver: PoissonSolver, sample: int) -> None:
        of = solver._samples[sample]
        self.learned, self.operator, self.device = learned, of.placed.operator, solver.device
        self.multigrid = Iteration(of.hierarchy().to(self.device), self.operator, of.placed.volumes)
        self.hierarchy = self.multigrid.hierarchy
        self.own = Work()
        self.residual = self.multigrid.residual
        self.proposal = take(*self.hierarchy.padded_shape, device=self.device)
        self.last: deque[Direction] = deque()
        self._from_zero, self._scale = False, 1.0
        self._propose = _proposal(learned, solver, sample)

    def __del__(self) -> None:
        give(self.proposal, *(direction.rows for direction in self.last))

    @property
    def arrays(self) -> list[Tensor]:
        """Its work arrays."""
        return [*self.multigrid.arrays, self.proposal, *(direction.rows for direction in self.last)]

    @property
    def work(self) -> Work:
        """The cost of learned directions and of multigrid's iterations together."""
        return self.own + self.multigrid.work

    @property
    def bytes_moved(self) -> int:
        """As `Iteration.bytes_moved`; a convolutional network's own traffic is not in it."""
        return self.multigrid.bytes_moved + self.multigrid.bytes_of(self.own)

    def solve(
        self, f: Tensor, u: Tensor, norm: float, tol: float, max_iterations: int, watch: Watch, *, from_zero: bool
    ) -> tuple[Tensor, list[float], StopReason]:
        """As `Iteration.solve`; an iteration of the history is a learned direction or one of multigrid's."""
        history = [self._first_residual(f, u, norm, from_zero)]
        failures, mark, since = 0, history[0], 0
        while True:
            if history[-1] <= tol:
                return u, history, StopReason.CONVERGED
            if len(history) > max_iterations:
                return u, history, StopReason.MAX_ITERATIONS
            reason = self._direction(f, u, norm, history)
            if reason is None:
                watch(len(history) - 1, history[-1], u)
                since += 1
                if history[-1] < PROGRESS * mark:
                    mark, since = history[-1], 0
            if self.learned.fallback is None:
                if reason is not None or since > max(PATIENCE, 2 * max(f.shape)):
                    return u, history, reason or StopReason.ROUNDING
            elif reason is not None or tol < history[-1] > self.learned.enough * history[-2]:
                failures += 1
                most = min(2 ** (failures - 1), max_iterations + 1 - len(history))
                reason = self._fall_back(f, u, norm, tol, most, watch, history) if most > 0 else None
                if reason not in (None, StopReason.MAX_ITERATIONS):
                    return u, history, reason

    def _direction(self, f: Tensor, u: Tensor, norm: float, history: list[float]) -> StopReason | None:
        """One learned direction; the reason where it cannot be taken."""
        start = perf_counter()
        fault = self._propose(self.residual, self.proposal)
        if fault is not None:
            return self._useless(len(history), fault)
        self.own.cycle_seconds += perf_counter() - start
        self.own.cycles += 1
        start = perf_counter()
        while self.last and history[-1] < FORGET * self.last[-1].residual:
            give(self.last.pop().rows)
        rows = [direction.rows for direction in self.last]
        products = conjugate_line_search(self.proposal, rows, self.residual, self.hierarchy).tolist()
        (z_az, r_z), m = products[:2], len(rows)
        betas = [-p_az / p.energy for p_az, p in zip(products[2 : 2 + m], self.last, strict=True)]
        conjugate = z_az + sum(beta * p_az for beta, p_az in zip(betas, products[2 : 2 + m], strict=True))
        if not all(map(isfinite, products)):
            return self._useless(len(history), "is not finite")
        if m and not conjugate > PARALLEL * z_az:
            betas, conjugate = [0.0] * m, z_az
        if not conjugate > 0:
            return StopReason.BREAKDOWN
        descent = r_z + sum(beta * r_p for beta, r_p in zip(betas, products[2 + m :], strict=True))
        length = descent / conjugate / self._scale
        history.append(self._go(length, betas, f, u, norm, history[-1]))
        self._keep(conjugate, history[-2])
        self.own.step_seconds += perf_counter() - start
        self.own.learned += 1
        return None

    def _useless(self, number: int, fault: str) -> StopReason:
        then = "the solve ends" if self.learned.fallback is None else "multigrid takes its place"
        warnings.warn(f"direction {number} of the network {fault}: {then}", stacklevel=2)
        return StopReason.BAD_PROPOSAL

    def _keep(self, energy: float, residual: float) -> None:
        """The proposal is the last direction now; the oldest one's array serves the next proposal."""
        if self.learned.memory == 0:
            return
        self.last.appendleft(Direction(self.proposal, energy, residual))
        if len(self.last) > self.learned.memory:
            self.proposal = self.last.pop().rows
        else:
            self.proposal = take(*self.proposal.shape, device=self.device)

    def _fall_back(
        self, f: Tensor, u: Tensor, norm: float, tol: float, most: int, watch: Watch, history: list[float]
    ) -> StopReason:
        """So many iterations of multigrid."""
        so_far = len(history) - 1

        def later(iteration: int, residual: float, u: Tensor) -> None:
            watch(so_far + iteration, residual, u)

        self.multigrid.start_from(history[-1], self._scale, self._from_zero)
        _, more, reason = self.multigrid.solve(f, u, norm, tol, most, later, from_zero=self._from_zero)
        self._from_zero = self._from_zero and len(more) == 1
        history += more[1:]
        # Its residual array is this one's, but in its own scale. Directions from before are no longer those that the
        # residual is orthogonal to.
        self._scale = self.multigrid.scale
        give(*(direction.rows for direction in self.last))
        self.last.clear()
        return reason

    def _first_residual(self, f: Tensor, u: Tensor, norm: float, from_zero: bool) -> float:
        give(*(direction.rows for direction in self.last))
        self.last.clear()
        self._from_zero = from_zero
        if from_zero:
            self._scale = sqrt(f.numel()) / norm
            split_rows(f, self._scale, out=self.residual)
            return 1.0
        self.proposal.zero_()
        return self._go(0.0, [], f, u, norm, 1.0)

    def _go(self, length: float, betas: list[float], f: Tensor, u: Tensor, norm: float, last: float) -> float:
        """One update; returns the relative residual it leaves. `last`, the one before, sets the new scale."""
        a = self.operator
        self._scale = sqrt(f.numel()) / (norm * max(last, torch.finfo(torch.float64).tiny))
        rows = [direction.rows for direction in self.last]
        absolute = conjugate_direction_step(
            u,
            self.proposal,
            rows,
            self.residual,
            f,
            a.couplings,
            a.periodic,
            a.faces,
            a.coefficient,
            a.alpha,
            length,
            betas,
            self._scale,
            self._from_zero,
        )
        self._from_zero = False
        self.own.steps += 1
        return absolute / norm


def _check(network: nn.Module, solver: PoissonSolver) -> None:
    """Raise ValueError for a network that cannot see this solver's residuals."""
    dims = getattr(network, "dims", len(solver.shape))
    if dims != len(solver.shape):
        raise ValueError(f"a network for {dims} dimensions does not fit a problem of shape {solver.shape}")
    for name, parameter in network.named_parameters():
        if parameter.dtype != torch.float32:
            raise ValueError(
                f"the network's weights must be float32, as residuals are, and {name} is {parameter.dtype}"
            )
        if parameter.device.type != solver.device.type and not hasattr(network, "bound_to"):
            raise ValueError(f"the network is on {parameter.device} and the problem on {solver.device}: move one there")


def _proposal(learned: LearnedDirections, solver: PoissonSolver, sample: int) -> Propose:
    _check(learned.network, solver)
    bound_to = getattr(learned.network, "bound_to", None)
    of = (solver, sample) if len(solver._samples) > 1 else (solver,)
    bound = None if bound_to is None else bound_to(*of)
    if bound is not None and hasattr(bound, "hierarchy"):
        with torch.no_grad():
            return _cycle(bound.hierarchy().to(solver.device))
    placed = solver._samples[sample].placed
    network: Callable[[Tensor], Tensor] = learned.network if bound is None else bound
    shape, extents = (1, 1, *solver.shape), solver._grid.extents

    @torch.no_grad()
    def propose(residual: Tensor, out: Tensor) -> str | None:
        r = join_rows(residual, extents[2]).reshape(shape)
        z = network(r / torch.linalg.vector_norm(r))
        if z.shape != r.shape or z.dtype != torch.float32:
            return f"is {z.dtype} of shape {tuple(z.shape)} and not {torch.float32} of {tuple(r.shape)}"
        z = z.reshape(extents)
        split_rows((z if placed.unknown is None else z * placed.unknown).contiguous(), out=out)
        return None

    return propose


def _cycle(hierarchy: Hierarchy) -> Propose:
    """A learned V-cycle, which stays in rows in halves."""
    cycle = CapturedCycles()
    workspace = torch.empty(0)

    def propose(residual: Tensor, out: Tensor) -> None:
        nonlocal workspace
        if workspace.numel() < (needed := multigrid_workspace(hierarchy)):
            workspace = take(needed, device=residual.device)
        cycle(residual, out, hierarchy, workspace, 1)

    return propose
