"""The solution as a function of the right-hand side, the coefficient and alpha, with gradients of any order."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from fastsciml.solvers.result import NotConvergedWarning, StopReason

if TYPE_CHECKING:
    from fastsciml.solvers.run import Run


class Inverse(torch.autograd.Function):
    """u = A(parameters)^-1 b.

    The gradient of b is A^-T of u's, v, a solve like the first, since A is self-adjoint in the inner product weighted
    by volumes: memory does not grow with the iterations. That of a parameter is -<v, dA/dparameter u>, by the
    operator's own gradient. Both are differentiable again.
    """

    @staticmethod
    def forward(ctx: Any, b: Tensor, run: Run, *parameters: Tensor) -> Tensor:
        u = run.solve(b.detach())
        ctx.run = run
        ctx.save_for_backward(u, *parameters)
        return u

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        u, *parameters = ctx.saved_tensors
        run: Run = ctx.run.adjoint()
        volumes = run.solver._samples[0].volumes
        shaped = None if volumes is None else volumes.reshape(run.solver.shape)
        weighted = grad if shaped is None else grad / shaped
        v = cast(Tensor, Inverse.apply(weighted, run, *parameters))  # type: ignore[no-untyped-call]
        if any(reason is not StopReason.CONVERGED for _, reason in run.histories):
            text = "solve_poisson: the solve for the gradient ended above the tolerance"
            warnings.warn(text, NotConvergedWarning, stacklevel=2)
        v = v if shaped is None else v * shaped
        needed = ctx.needs_input_grad[2:]
        return v, None, *(_of_parameters(run, u, v, parameters, needed) if any(needed) else [None] * len(parameters))


def _of_parameters(run: Run, u: Tensor, v: Tensor, parameters: list[Tensor], needed: list[bool]) -> list[Tensor | None]:
    """-<v, dA/dparameter u> for those needed."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # Partial derivatives: u and v depend on the parameters, but not on these views of them.
        views = [p.view_as(p) for p in parameters]
        energy = run.energy(v, u, views)
        wanted = [p for p, need in zip(views, needed, strict=True) if need]
        found = iter(torch.autograd.grad(energy, wanted, create_graph=again))
    return [-next(found) if need else None for need in needed]
