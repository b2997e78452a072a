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

HIGHEST_RATE = 5.0  # of several steps, over the best rate of one


class DescentLearner(nn.Module):
    """`steps` steps of GD or GD++ with a rate, and a gamma, of its own for each.

    Args:
        steps: of descent.
        plus_plus: whether x is turned as well.
        shared: whether all steps have one rate and one gamma.
        features: from x to what descent sees.
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
        """[B, N, ...], [B, N, y_dim], [B, Q, ...] -> [B, Q, y_dim]."""
        if self.features is not None:
            x, x_query = self.features(x), self.features(x_query)
        gammas = torch.zeros_like(self.rates) if self.gammas is None else self.gammas
        of_steps = (list(parameter.expand(self.steps)) for parameter in (self.rates, gammas))
        return gradient_descent_plus_plus(x, y, x_query, *of_steps)

    def fit(self, tasks: Tasks) -> DescentLearner:
        """Find the rates and gammas with the smallest error over these tasks, by L-BFGS-B from the best single step's.

        A gamma stays where no x grows by its turning, a rate below a few times the best single step's.
        """
        parameters = [self.rates] if self.gammas is None else [self.rates, self.gammas]
        count, gammas = self.rates.numel(), 0 if self.gammas is None else self.gammas.numel()
        largest = float(torch.linalg.matrix_norm(tasks.x, 2).max()) ** 2
        unit = np.array([tuned_rate(tasks)] * count + [1 / largest] * gammas)
        bounds = [(0.0, HIGHEST_RATE)] * count + [(0.0, 2.0)] * gammas

        def error(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            vector_to_parameters(torch.from_numpy(values * unit).to(self.rates), parameters)
            value = (self(*tasks.given) - tasks.y_query).square().sum(-1).mean()
            gradients = torch.autograd.grad(value, parameters)
            return float(value.detach()), torch.cat(gradients).double().cpu().numpy() * unit

        start = np.array([1.0] * count + [0.0] * gammas)
        found = minimize(error, start, jac=True, method="L-BFGS-B", bounds=bounds)
        vector_to_parameters(torch.from_numpy(found.x * unit).to(self.rates), parameters)
        return self
