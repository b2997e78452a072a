"""Gradient descent itself as a learner in context, with the rates, and the features in front of it, to be learned.

What trained attention is held against: the best that the algorithm can do.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fastsciml.incontext.algorithms import gradient_descent_plus_plus, tuned_rate
from fastsciml.incontext.tasks import Tasks

FIT_ITERATIONS = 60


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
        """Find the rates and gammas with the smallest error over these tasks, by L-BFGS from the best single step's."""
        with torch.no_grad():
            self.rates.fill_(tuned_rate(tasks))
        parameters = [self.rates] if self.gammas is None else [self.rates, self.gammas]
        optimizer = torch.optim.LBFGS(parameters, max_iter=FIT_ITERATIONS, line_search_fn="strong_wolfe")

        def error() -> Tensor:
            optimizer.zero_grad()
            value: Tensor = (self(*tasks.given) - tasks.y_query).square().sum(-1).mean()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimizer.step(error)  # type: ignore[no-untyped-call]
        return self
