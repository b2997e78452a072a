"""Gradient descent itself as a learner in context, with the rates, and the features in front of it, to be learned.

What trained attention is held against: the best that the algorithm can do.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.nn.utils import vector_to_parameters

from fastsciml.incontext.algorithms import gradient_descent_plus_plus, tuned_rate
from fastsciml.incontext.tasks import Tasks

FIRST_GAMMA = 0.4  # over the largest eigenvalue of all X X^T: a start that shrinks no x by more than half


class DescentLearner(nn.Module):
    """`steps` steps of GD or GD++ with a rate, and a gamma, of its own for each.

    Args:
        steps: of descent.
        plus_plus: whether x is turned as well.
        shared: whether all steps have one rate and one gamma.
        features: from x to what descent sees.

    Raises:
        ValueError: the number of steps is not positive.

    Source: von Oswald et al., "Transformers Learn In-Context by Gradient Descent" (ICML 2023).
    """

    def __init__(
        self,
        steps: int = 1,
        *,
        plus_plus: bool = False,
        shared: bool = False,
        features: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps must be positive, got {steps}")
        self.steps, self.features = steps, features
        count = 1 if shared else steps
        self.rates = nn.Parameter(torch.full((count,), 0.5))
        self.gammas = nn.Parameter(torch.zeros(count)) if plus_plus else None

    def forward(self, x: Tensor, y: Tensor, x_query: Tensor) -> Tensor:
        """[B, N, ...], [B, N, y_dim], [B, Q, ...], floating, of one dtype -> [B, Q, y_dim]."""
        if self.features is not None:
            x, x_query = self.features(x), self.features(x_query)
        gammas = torch.zeros_like(self.rates) if self.gammas is None else self.gammas
        of_steps = (list(parameter.expand(self.steps)) for parameter in (self.rates, gammas))
        return gradient_descent_plus_plus(x, y, x_query, *of_steps)

    def fit(self, tasks: Tasks) -> DescentLearner:
        """Find the rates and gammas with the smallest error over these tasks, by L-BFGS-B in float64.

        GD++ of many steps has many minima. Those of k steps begin the search for k + 1, which finds better ones than a
        search for all at once.
        """
        exact = tasks.to("cpu", torch.float64)
        gamma = FIRST_GAMMA / float(torch.linalg.matrix_norm(exact.x, 2).max()) ** 2
        rates, gammas = [tuned_rate(exact)], [gamma]
        if self.rates.numel() == self.steps:
            for steps in range(1, self.steps):
                rates, gammas = self._searched(steps, rates, gammas, exact)
                rates, gammas = [*rates, 2 * rates[-1]], [*gammas[:-1], max(gammas[-1], gamma), gamma]
        rates, gammas = self._searched(self.steps, rates, gammas, exact)
        with torch.no_grad():
            self.rates.copy_(torch.tensor(rates))
            if self.gammas is not None:
                self.gammas.copy_(torch.tensor(gammas))
        return self

    def _searched(
        self, steps: int, rates: list[float], gammas: list[float], tasks: Tasks
    ) -> tuple[list[float], list[float]]:
        """The minimum near these, of so many steps."""
        plus_plus = self.gammas is not None
        descent = DescentLearner(steps, plus_plus=plus_plus, shared=len(rates) < steps).double()
        parameters = list(descent.parameters())
        start = np.array([*rates, *gammas] if plus_plus else rates)

        def error(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            vector_to_parameters(torch.from_numpy(values * start), parameters)
            value = (descent(*tasks.given) - tasks.y_query).square().sum(-1).mean()
            gradients = torch.autograd.grad(value, parameters, materialize_grads=True)
            return float(value.detach()), torch.cat(gradients).numpy() * start

        found = minimize(error, np.ones_like(start), jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(start))
        best = (found.x * start).tolist()
        return best[: len(rates)], best[len(rates) :] or gammas
