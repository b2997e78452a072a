"""Weights with which linear self-attention is gradient descent (von Oswald et al., ICML 2023, propositions 1 and 2).

Tokens are e_i = (x_i, y_i) and, for the query, (x_q, 0). One head with

    K = Q = [[I, 0], [0, 0]]    V = [[0, 0], [0, -I]]    P = rate / N I

moves every y-part by -dW x, where dW is a step of gradient descent on 1/(2N) sum_i |W x_i - y_i|^2: examples keep what
is left to learn, and the query's y-part is minus the prediction. Layer after layer is step after step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fastsciml.nn import InContextBlock, InContextLearner, LinearSelfAttention


def gradient_descent_learner(
    x_dim: int,
    y_dim: int,
    examples: int,
    rate: float,
    steps: int = 1,
    *,
    weights: Tensor | None = None,
    features: nn.Module | None = None,
    dtype: torch.dtype | None = None,
) -> InContextLearner:
    """`steps` layers that are as many steps of gradient descent.

    Args:
        x_dim: the width of x, or of what `features` give.
        y_dim: the width of y.
        examples: N.
        rate: eta.
        steps: layers.
        weights: W_0 [y_dim, x_dim], floating, where descent begins. None: 0.
        features: an MLP before the attention: gradient descent on deep features (proposition 2).
        dtype: of the parameters, any floating one. None: torch's default.

    Returns:
        A learner equal to `algorithms.gradient_descent`.

    Raises:
        ValueError: a size is not positive, or `weights` has another shape.

    Source: von Oswald et al., "Transformers Learn In-Context by Gradient Descent" (ICML 2023), propositions 1 and 2.
    """
    return gradient_descent_plus_plus_learner(
        x_dim, y_dim, examples, [rate] * steps, [0.0] * steps, weights=weights, features=features, dtype=dtype
    )


def gradient_descent_plus_plus_learner(
    x_dim: int,
    y_dim: int,
    examples: int,
    rates: Sequence[float],
    gammas: Sequence[float],
    *,
    weights: Tensor | None = None,
    features: nn.Module | None = None,
    dtype: torch.dtype | None = None,
) -> InContextLearner:
    """Layers of GD++: a second head turns x into (I - gamma X X^T) x.

    Args:
        x_dim: the width of x, or of what `features` give.
        y_dim: the width of y.
        examples: N.
        rates: eta of each layer.
        gammas: gamma of each layer; where all are 0 there is no second head.
        weights: W_0 [y_dim, x_dim], floating, where descent begins. None: 0.
        features: an MLP before the attention.
        dtype: of the parameters, any floating one. None: torch's default.

    Returns:
        A learner equal to `algorithms.gradient_descent_plus_plus`.

    Raises:
        ValueError: a size is not positive, numbers of rates and gammas differ, or `weights` has another shape.

    Source: von Oswald et al., "Transformers Learn In-Context by Gradient Descent" (ICML 2023).
    """
    if examples < 1:
        raise ValueError(f"examples must be positive, got {examples}")
    if len(rates) != len(gammas) or not rates:
        raise ValueError(f"rates and gammas must be as many, at least one, got {len(rates)} and {len(gammas)}")
    of_y = [_y_head(x_dim, y_dim, rate / examples) for rate in rates]
    of_x = [_x_head(x_dim, y_dim, gamma) for gamma in gammas]
    layers = [[head] for head in of_y] if not any(gammas) else [list(pair) for pair in zip(of_y, of_x, strict=True)]
    blocks: list[nn.Module] = [InContextBlock(_attention(heads, dtype)) for heads in layers]
    if weights is not None:
        blocks.insert(0, _start_at(weights, x_dim, y_dim, dtype))
    return InContextLearner(x_dim, y_dim, blocks, features=features)


Head = tuple[Tensor, Tensor, Tensor, Tensor]


def _y_head(x_dim: int, y_dim: int, factor: float) -> Head:
    """Query, key, value and projection [T, T] of a step of gradient descent."""
    of_x, of_y = _parts(x_dim, y_dim)
    return of_x, of_x, -of_y, factor * torch.eye(x_dim + y_dim, dtype=torch.float64)


def _x_head(x_dim: int, y_dim: int, gamma: float) -> Head:
    of_x, _ = _parts(x_dim, y_dim)
    return of_x, of_x, of_x, -gamma * torch.eye(x_dim + y_dim, dtype=torch.float64)


def _parts(x_dim: int, y_dim: int) -> tuple[Tensor, Tensor]:
    """The projections [T, T] to a token's x and y."""
    is_x = (torch.arange(x_dim + y_dim) < x_dim).to(torch.float64)
    return is_x.diag(), (1 - is_x).diag()


def _attention(heads: Sequence[Head], dtype: torch.dtype | None) -> LinearSelfAttention:
    width = len(heads[0][0])
    attention = LinearSelfAttention(width, len(heads), head_dim=width, dtype=dtype)
    with torch.no_grad():
        for name, of_heads in zip(("query", "key", "value", "projection"), zip(*heads, strict=True), strict=True):
            getattr(attention, name).copy_(torch.stack(of_heads))
    return attention


def _start_at(weights: Tensor, x_dim: int, y_dim: int, dtype: torch.dtype | None) -> InContextBlock:
    """Every y-part less W_0 x: what is left to learn, and minus the first prediction."""
    if weights.shape != (y_dim, x_dim):
        raise ValueError(f"weights must have shape {(y_dim, x_dim)}, got {tuple(weights.shape)}")
    shift = nn.Linear(x_dim + y_dim, x_dim + y_dim, bias=False, dtype=dtype)
    with torch.no_grad():
        shift.weight.zero_()[x_dim:, :x_dim] = -weights
    return InContextBlock(None, shift)
