"""The solution as a function of the right-hand side, the coefficient and alpha, with gradients of any order."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from fastsciml.solvers.result import NotConvergedWarning, StopReason

if TYPE_CHECKING:
    from fastsciml.solvers.run import Run


def inverse(b: Tensor, guess: Tensor | None, run: Run, parameters: list[Tensor]) -> Tensor:
    """A(parameters)^-1 b, [*batch, *shape], from a guess of the same shape; `run` does it and keeps what became of it.

    Differentiable in b and the parameters; under `torch.func.vmap`, all right-hand sides are one batch.
    """
    return cast(Tensor, Inverse.apply(b, guess, run, *parameters))  # type: ignore[no-untyped-call]


class Inverse(torch.autograd.Function):
    """u = A(parameters)^-1 b.

    The gradient of b is A^-T of u's, v, a solve like the first, since A is self-adjoint in the inner product weighted
    by volumes: memory does not grow with the iterations. That of a parameter is -<v, dA/dparameter u>, by the
    operator's own gradient. Both are differentiable again.
    """

    @staticmethod
    def forward(b: Tensor, guess: Tensor | None, run: Run, *parameters: Tensor) -> Tensor:
        return run.solve(b.detach(), guess)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, _, ctx.run, *parameters = inputs
        ctx.save_for_backward(output, *parameters)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        u, *parameters = ctx.saved_tensors
        run: Run = ctx.run.adjoint()
        volumes = run.solver._samples[0].placed.volumes
        shaped = None if volumes is None else volumes.reshape(run.solver.shape)
        v = inverse(grad if shaped is None else grad / shaped, None, run, parameters)
        if any(reason is not StopReason.CONVERGED for _, reason in run.histories):
            text = "solve_poisson: the solve for the gradient ended above the tolerance"
            warnings.warn(text, NotConvergedWarning, stacklevel=2)
        v = v if shaped is None else v * shaped
        needed = ctx.needs_input_grad[3:]
        of_parameters = _of_parameters(run, u, v, parameters, needed) if any(needed) else [None] * len(parameters)
        return v, None, None, *of_parameters

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], b: Tensor, guess: Tensor | None, run: Run, *parameters: Tensor
    ) -> Any:
        # Next to the axes of space, so that the samples of a solver's own batch stay together.
        place = -1 - len(run.solver.shape)

        def batched(tensor: Tensor, dim: int | None) -> Tensor:
            if dim is not None:
                return tensor.movedim(dim, place)
            return torch.stack([tensor] * info.batch_size, place)

        mapped = None if guess is None else batched(guess, in_dims[1])
        u = inverse(batched(b, in_dims[0]), mapped, run, list(parameters))
        return u, u.ndim + place


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
