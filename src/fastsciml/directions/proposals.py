"""What a direction network proposes for one problem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast, runtime_checkable

from torch import Tensor, nn

from fastsciml.directions.matrix import Matrix
from fastsciml.solvers import PoissonSolver

Proposal = Callable[[Tensor], Tensor]


@runtime_checkable
class Bindable(Protocol):
    """A network that looks at the problem: its mask, its boundary."""

    def bound_to(self, solver: PoissonSolver) -> Proposal:
        """The map for one problem, as the parameters are when it is called, and differentiable in them."""


def proposal_of(network: nn.Module, solver: PoissonSolver) -> Proposal:
    """The map from residuals [batch, 1, *shape], each of norm 1, to proposals of the same shape.

    A network that has `bound_to` gives it itself. Any other is used as it is, and its output is 0 where there is no
    unknown.

    Args:
        network: a direction network; residuals are in its dtype.
        solver: of the problem.

    Raises:
        ValueError: the solver is of a batch of problems, or A is not symmetric.

    Source: Kaneda et al., "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems" (ICML 2023).
    """
    matrix = Matrix(solver)
    if isinstance(network, Bindable):
        return network.bound_to(solver)

    def propose(residual: Tensor) -> Tensor:
        return matrix.masked(cast(Tensor, network(residual)))

    return propose
