"""What a learner in context is compared with: regression algorithms, batched over tasks.

Every one is a function of examples x [B, N, x_dim], y [B, N, y_dim] and queries x_query [B, Q, x_dim], like a learner,
and gives [B, Q, y_dim]; any floating dtype, all of one. The loss is L(W) = 1/(2N) sum_i |W x_i - y_i|^2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from sys import float_info

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from fastsciml.incontext.tasks import Tasks

Predictor = Callable[[Tensor, Tensor, Tensor], Tensor]


def gradient_descent(
    x: Tensor, y: Tensor, x_query: Tensor, rate: float, steps: int = 1, weights: Tensor | None = None
) -> Tensor:
    """`steps` steps W <- W - rate dL/dW from `weights` [y_dim, x_dim], None: 0 (von Oswald et al., ICML 2023)."""
    W = x.new_zeros(x.shape[0], x.shape[2], y.shape[2]) if weights is None else weights.mT
    for _ in range(steps):
        W = W - rate / x.shape[1] * x.mT @ (x @ W - y)
    return x_query @ W


def gradient_descent_plus_plus(
    x: Tensor, y: Tensor, x_query: Tensor, rates: Sequence[float | Tensor], gammas: Sequence[float | Tensor]
) -> Tensor:
    """Steps that also turn x into (I - gamma X X^T) x, X X^T = sum_i x_i x_i^T (von Oswald et al., ICML 2023).

    One entry of `rates` and `gammas` for each step. A step is taken with the x that it begins with; what is left of y
    is learned by the next one.
    """
    prediction = y.new_zeros(x_query.shape[:2] + y.shape[2:])
    for rate, gamma in zip(rates, gammas, strict=True):
        W = rate / x.shape[1] * x.mT @ y
        y, prediction = y - x @ W, prediction + x_query @ W
        moment = gamma * x.mT @ x
        x, x_query = x - x @ moment, x_query - x_query @ moment
    return prediction


def stochastic_gradient_descent(x: Tensor, y: Tensor, x_query: Tensor, rate: float, ridge: float = 0.0) -> Tensor:
    """One pass, W <- W - 2 rate ((W x_i - y_i) x_i^T + ridge W), from 0 (Akyürek et al., ICLR 2023, theorem 1)."""
    W = x.new_zeros(x.shape[0], x.shape[2], y.shape[2])
    for i in range(x.shape[1]):
        x_i, y_i = x[:, i : i + 1], y[:, i : i + 1]
        W = W - 2 * rate * (x_i.mT @ (x_i @ W - y_i) + ridge * W)
    return x_query @ W


def ridge_regression(x: Tensor, y: Tensor, x_query: Tensor, ridge: float) -> Tensor:
    """W that minimises sum_i |W x_i - y_i|^2 + ridge |W|^2; with noise sigma and prior tau best at sigma^2 / tau^2.

    One of the algorithms of Akyürek et al. (ICLR 2023).
    """
    identity = torch.eye(x.shape[2], dtype=x.dtype, device=x.device)
    W: Tensor = torch.linalg.solve(x.mT @ x + ridge * identity, x.mT @ y)
    return x_query @ W


def least_squares(x: Tensor, y: Tensor, x_query: Tensor) -> Tensor:
    """Ordinary least squares; of many solutions the smallest W (Akyürek et al., ICLR 2023)."""
    W: Tensor = torch.linalg.pinv(x) @ y
    return x_query @ W


def nearest_neighbours(x: Tensor, y: Tensor, x_query: Tensor, k: int = 3, weighted: bool = True) -> Tensor:
    """The mean of y at the k nearest x, weighted by 1 / distance or not (Akyürek et al., ICLR 2023)."""
    distance, nearest = torch.cdist(x_query, x).topk(min(k, x.shape[1]), largest=False)
    weight = 1 / distance.clamp_min(torch.finfo(x.dtype).tiny ** 0.5) if weighted else torch.ones_like(distance)
    weight = weight / weight.sum(-1, keepdim=True)
    return torch.einsum("bqk,bqky->bqy", weight, _gathered(y, nearest))


def _gathered(y: Tensor, index: Tensor) -> Tensor:
    """[B, N, y_dim] at [B, Q, k] -> [B, Q, k, y_dim]."""
    return y[torch.arange(y.shape[0], device=y.device)[:, None, None], index]


def mean_squared_error(prediction: Tensor, truth: Tensor) -> float:
    """Over tasks and queries [B, Q, y_dim], of the norm over y: twice the loss that learners are trained with."""
    return float((prediction - truth).square().sum(-1).mean())


def tuned_rate(tasks: Tasks) -> float:
    """The rate at which one step of gradient descent has the smallest error over these tasks."""
    step = gradient_descent(*tasks.given, rate=1.0)
    return float((step * tasks.y_query).sum() / step.square().sum())


def tuned(algorithm: Callable[..., Tensor], tasks: Tasks, low: float, high: float) -> float:
    """The number after x, y, x_query, between low and high, with the smallest error over these tasks."""

    def error(logarithm: float) -> float:
        value = mean_squared_error(algorithm(*tasks.given, math.exp(logarithm)), tasks.y_query)
        return value if math.isfinite(value) else float_info.max

    return math.exp(minimize_scalar(error, bounds=(math.log(low), math.log(high)), method="bounded").x)
