"""Conjugate directions for any symmetric positive definite operator, proposed by whatever means.

Each proposal is made conjugate to the last few directions and searched along exactly. With the residual itself, that
is conjugate gradients; with a preconditioner's answer to it, preconditioned or flexible conjugate gradients (Notay,
Flexible conjugate gradients, SIAM J. Sci. Comput. 22, 2000); with a network's, the deep conjugate direction method
(Kaneda et al., A Deep Conjugate Direction Method for Iteratively Solving Linear Systems, ICML 2023).
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite, sqrt
from numbers import Integral
from typing import Any, Generic

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastsciml.ops.direction_vectors import direction_products, direction_update
from fastsciml.solvers.arrays import ArrayLike, like
from fastsciml.solvers.linear_maps import LinearMap, linear_map
from fastsciml.solvers.result import ArrayT, NotConvergedWarning, StopReason
from fastsciml.solvers.run import Callback, Stopping

# Takes the residual, of norm 1, and returns a direction.
Proposal = Callable[[Tensor], Tensor]

MOST_MEMORY = 8
# As SciPy's cg: times the number of unknowns.
MAX_ITERATIONS = 10
# A true residual that is above the tolerance though the updated one is not must fall by this factor until that happens
# again, or rounding keeps it there.
REPLACED = 0.5


@dataclass(frozen=True)
class DirectionsResult(Generic[ArrayT]):
    """The result of `conjugate_directions`.

    Attributes:
        solution: of the right-hand side's kind, shape and dtype.
        converged: whether the true relative residual, recomputed, is at most the tolerance.
        iterations: steps taken.
        residuals: float64 [iterations + 1], ||b - A x|| / ||b||, first entry before the first iteration. The last is
            the true one; those before it are of the updated residual.
        reason: why the solve ended.
        detail: what was wrong in which iteration, where something was; otherwise empty.
    """

    solution: ArrayT
    converged: bool
    iterations: int
    residuals: npt.NDArray[np.float64]
    reason: StopReason
    detail: str = ""

    def __str__(self) -> str:
        text = f"{self.iterations} iterations, true relative residual {self.residuals[-1]:.2e}: {self.reason}"
        return f"{text} ({self.detail})" if self.detail else text


def conjugate_directions(
    a: Any,
    b: ArrayT,
    propose: Proposal | None = None,
    *,
    memory: int = 2,
    x0: ArrayLike | None = None,
    tol: float = 1e-8,
    max_iterations: int | None = None,
    callback: Callback | None = None,
) -> DirectionsResult[ArrayT]:
    """Solve A x = b, A symmetric positive definite, along directions that `propose` makes of the residuals.

    A direction q = propose(r / |r|) is made conjugate to exactly the last `memory` ones, p: q -= <q, A p> / <p, A p> p,
    all coefficients from the q that was proposed. Then x += <r, q> / <q, A q> q. Nothing is differentiated.

    A solve that does not converge warns with `NotConvergedWarning` and returns how far it came; so does one whose
    proposal has NaN or Inf or is of another shape or dtype, or along whose direction A has no positive energy.

    Args:
        a: a dense or sparse (CSR, COO) tensor [n, n], a NumPy or SciPy sparse matrix, a SciPy `LinearOperator`, or a
            function from tensors of b's shape to tensors of b's shape and dtype.
        b: the right-hand side, float32 or float64, a tensor or a NumPy array: [n], or of any shape for a function.
        propose: takes a tensor of b's shape and dtype, of norm 1, and returns another. None: the residual, which with
            memory=1 is conjugate gradients.
        memory: the number of directions kept, 0 to 8. 1 is enough where proposals depend on the residual linearly and
            symmetrically; others gain by 2 or a few.
        x0: where to start, of b's shape and dtype; None: 0.
        tol: bound of ||b - A x|| / ||b||.
        max_iterations: None: ten times the number of unknowns.
        callback: called after every iteration with its number, the relative residual and x, which the next iteration
            overwrites.

    Raises:
        TypeError, ValueError: an argument does not fit; the sentence names it. Also where A, as a function, returns
            what is not like b.

    Source: Kaneda et al., "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems" (ICML 2023), with
    memory=2.
    """
    stopping = Stopping(tol, max_iterations)
    if not isinstance(memory, Integral):
        raise TypeError(f"memory must be a whole number, got {memory!r}")
    if not 0 <= memory <= MOST_MEMORY:
        raise ValueError(f"memory must be from 0 to {MOST_MEMORY}, got {memory}")
    if propose is not None and not callable(propose):
        raise TypeError(f"propose must be a function of tensors or None, got {type(propose).__name__}")
    rhs = _vector(b, "b")
    start = None if x0 is None else _vector(x0, "x0")
    if start is not None and (start.shape != rhs.shape or start.dtype != rhs.dtype or start.device != rhs.device):
        raise ValueError(
            f"x0 must have b's shape {tuple(rhs.shape)} and dtype {rhs.dtype} on {rhs.device}, "
            f"got {tuple(start.shape)} and {start.dtype} on {start.device}"
        )
    limit = MAX_ITERATIONS * rhs.numel() if stopping.max_iterations is None else stopping.max_iterations
    with torch.no_grad():
        search = _Search(linear_map(a, rhs), rhs, propose, int(memory), start)
        reason = search.run(stopping.tol, limit, callback)
    result = DirectionsResult(
        solution=like(b, search.x),
        converged=reason is StopReason.CONVERGED,
        iterations=len(search.history) - 1,
        residuals=np.array(search.history),
        reason=reason,
        detail=search.detail,
    )
    if not result.converged:
        warnings.warn(f"conjugate_directions: {result}", NotConvergedWarning, stacklevel=2)
    return result


def _vector(array: Any, name: str) -> Tensor:
    if isinstance(array, np.ndarray):
        array = torch.from_numpy(np.array(array, order="C"))
    if not isinstance(array, Tensor):
        raise TypeError(f"{name} must be a torch tensor or a NumPy array, got {type(array).__name__}")
    if array.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")
    if array.layout != torch.strided:
        raise TypeError(f"{name} must be dense, got {array.layout}")
    if not torch.isfinite(array).all():
        raise ValueError(f"{name} has NaN or Inf")
    return array.detach().contiguous()


def _norm(values: Tensor) -> float:
    return float(torch.linalg.vector_norm(values, dtype=None if values.device.type == "mps" else torch.float64))


class _Stop(Exception):  # noqa: N818
    """Ends the iteration before its step: why, and what was wrong."""

    def __init__(self, reason: StopReason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass
class _Direction:
    """One that was taken, its image A p and its energy <p, A p>."""

    p: Tensor
    image: Tensor
    energy: float


class _Search:
    """One solve: its vectors, the last directions, and the history of relative residuals."""

    def __init__(self, a: LinearMap, b: Tensor, propose: Proposal | None, memory: int, start: Tensor | None) -> None:
        self.a, self.b, self.propose = a, b, propose
        self.norm = _norm(b)
        self.x = torch.zeros_like(b) if start is None else start.clone()
        self.r = b.clone() if start is None else torch.empty_like(b)
        self.kept: deque[_Direction] = deque(maxlen=memory)
        self.history = [1.0]
        self.detail = ""
        if start is not None and self.norm > 0:
            self.history[0] = self._true_residual()

    def run(self, tol: float, limit: int, callback: Callback | None) -> StopReason:
        if self.norm == 0:
            self.x.zero_()
            self.history[0] = 0.0
            return StopReason.CONVERGED
        replaced = inf
        while True:
            if self.history[-1] <= tol:
                self.history[-1] = self._true_residual()
                if self.history[-1] <= tol:
                    return StopReason.CONVERGED
                if not self.history[-1] < REPLACED * replaced:
                    return StopReason.ROUNDING
                replaced = self.history[-1]
                self.kept.clear()
            if len(self.history) > limit:
                return self._ended(tol, StopReason.MAX_ITERATIONS)
            try:
                self.history.append(self._step())
            except _Stop as stop:
                self.detail = f"iteration {len(self.history)}: {stop.detail}"
                return self._ended(tol, stop.reason)
            if callback is not None:
                callback(len(self.history) - 1, self.history[-1], self.x)

    def _ended(self, tol: float, reason: StopReason) -> StopReason:
        """The last residual recomputed, for whoever uses a solution that has not converged."""
        self.history[-1] = self._true_residual()
        return StopReason.CONVERGED if self.history[-1] <= tol else reason

    def _true_residual(self) -> float:
        """Replaces r by b - A x; returns its relative norm."""
        torch.sub(self.b, self.a(self.x), out=self.r)
        return _norm(self.r) / self.norm

    def _step(self) -> float:
        """One iteration; returns the relative norm of the residual it leaves."""
        q = self._proposed()
        aq = self.a(q)
        betas, energy, along = self._conjugated(q, aq)
        length = along / energy
        squared = direction_update(self.x, self.r, q, aq, *self._last(), [length, *betas])
        self.kept.append(_Direction(q, aq, energy))
        return sqrt(squared) / self.norm

    def _proposed(self) -> Tensor:
        if self.propose is None:
            return self.r.clone()
        q: Any = self.propose(self.r / (self.history[-1] * self.norm))
        if not isinstance(q, Tensor):
            raise _Stop(StopReason.BAD_PROPOSAL, f"propose must return a tensor, got {type(q).__name__}")
        if q.shape != self.b.shape or q.dtype != self.b.dtype or q.device != self.b.device:
            raise _Stop(
                StopReason.BAD_PROPOSAL,
                f"propose must return b's shape {tuple(self.b.shape)} and dtype {self.b.dtype} on {self.b.device}, "
                f"got {tuple(q.shape)} and {q.dtype} on {q.device}",
            )
        # A sum is one pass and no memory; it may overflow where no entry does.
        if not isfinite(float(q.sum())) and not torch.isfinite(q).all():
            raise _Stop(StopReason.BAD_PROPOSAL, "propose returned NaN or Inf")
        return q.detach().clone(memory_format=torch.contiguous_format)

    def _conjugated(self, q: Tensor, aq: Tensor) -> tuple[list[float], float, float]:
        """The betas, and the energy <q', A q'> and <r, q'> of q' = q + sum of beta p."""
        betas, energy, along, before = self._orthogonalised(q, aq)
        if self.kept and energy < sqrt(torch.finfo(q.dtype).eps) * before:
            # What is left has lost its digits. From there, once more is enough (Parlett, The Symmetric Eigenvalue
            # Problem, 6.9).
            direction_update(self.x, self.r, q, aq, *self._last(), [0.0, *betas])
            betas, energy, along, _ = self._orthogonalised(q, aq)
        if 0 < energy < inf and isfinite(along):
            return betas, energy, along
        if not torch.isfinite(aq).all():
            raise _Stop(StopReason.BREAKDOWN, "A returned NaN or Inf")
        if not q.any():
            raise _Stop(StopReason.BAD_PROPOSAL, "the proposal is 0, or a sum of the last directions")
        if energy <= 0:
            raise _Stop(StopReason.INDEFINITE, f"<p, A p> is {energy:.3g} along the direction p")
        raise _Stop(StopReason.BREAKDOWN, "the inner products overflow")

    def _orthogonalised(self, q: Tensor, aq: Tensor) -> tuple[list[float], float, float, float]:
        """The betas, the energy and <r, q'> that they leave, and the energy before."""
        directions, images = self._last()
        products = direction_products(q, aq, self.r, directions, images).tolist()
        (before, along), count = products[:2], len(self.kept)
        of_images, of_directions = products[2 : 2 + count], products[2 + count :]
        betas = [-image / last.energy for image, last in zip(of_images, self.kept, strict=True)]
        energy = before + sum(beta * image for beta, image in zip(betas, of_images, strict=True))
        along += sum(beta * p for beta, p in zip(betas, of_directions, strict=True))
        return betas, energy, along, before

    def _last(self) -> tuple[list[Tensor], list[Tensor]]:
        return [last.p for last in self.kept], [last.image for last in self.kept]
