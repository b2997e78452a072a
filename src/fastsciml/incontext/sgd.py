"""Stochastic gradient descent on ridge regression as a transformer: Akyürek et al., ICLR 2023, theorem 1."""

from __future__ import annotations

from torch import nn

from fastsciml.incontext.alternating_learner import AlternatingLearner, read_example
from fastsciml.incontext.layout import AlternatingLayout
from fastsciml.incontext.primitives import aff, mul


def sgd_layout(x_dim: int, examples: int, queries: int = 1) -> AlternatingLayout:
    """Tokens of 4 x_dim + 4 rows beside the position's: theorem 1's width O(d).

    Args:
        x_dim: width of x.
        examples: how many there are.
        queries: likewise.

    Returns:
        The rows and tokens, by name.

    Source: Akyürek et al., "What learning algorithm is in-context learning?" (ICLR 2023).
    """
    return AlternatingLayout(
        examples,
        queries,
        x=x_dim,
        y=1,
        example_x=x_dim,
        example_y=1,
        weights=x_dim,
        error=1,
        gradient=x_dim,
        prediction=1,
    )


def sgd_step(
    layout: AlternatingLayout, example: int, learning_rate: float, ridge: float = 0.0, *, bound: float = 8.0
) -> nn.Sequential:
    """One step on one example: w' = w - 2 alpha (x (w.x) - y x + lambda w), with w in rows "weights" of the queries.

    Six layers, whatever the widths, and MLPs of O(x_dim) hidden units. The queries change, no other token.

    Args:
        layout: as of `sgd_layout`.
        example: the number of the example, from 0.
        learning_rate: alpha.
        ridge: lambda.
        bound: of all entries of x, y and w, in absolute value.

    Raises:
        ValueError: there is no such example, or learning_rate or bound is not positive, or ridge is negative.

    Source: Akyürek et al., "What learning algorithm is in-context learning?" (ICLR 2023), theorem 1.
    """
    return nn.Sequential(*read_example(layout, example), *_update(layout, learning_rate, ridge, bound))


def sgd_learner(
    x_dim: int,
    examples: int,
    learning_rate: float,
    ridge: float = 0.0,
    *,
    queries: int = 1,
    bound: float = 8.0,
) -> AlternatingLearner:
    """One pass of SGD over all examples, from w = 0, that predicts w.x for the queries: 6 N + 1 layers.

    The steps share the layers that come after reading. For normal x and y the relative error is less than 1e-12 in
    float64, 1e-3 in float32.

    Args:
        x_dim: the width of x.
        examples: their number N.
        learning_rate: alpha.
        ridge: lambda.
        queries: how many there are.
        bound: of all entries of x, y and w, in absolute value.

    Raises:
        ValueError: a number is not positive, or ridge is negative.

    Source: Akyürek et al., "What learning algorithm is in-context learning?" (ICLR 2023), theorem 1.
    """
    layout = sgd_layout(x_dim, examples, queries)
    update = _update(layout, learning_rate, ridge, bound)
    steps = [block for example in range(examples) for block in (*read_example(layout, example), *update)]
    return AlternatingLearner(layout, [*steps, _dot(layout, "x", "prediction", bound)])


def _update(layout: AlternatingLayout, learning_rate: float, ridge: float, bound: float) -> list[nn.Module]:
    for name, value in (("learning_rate", learning_rate), ("bound", bound)):
        if value <= 0:
            raise ValueError(f"{name} must be positive, got {value}")
    if ridge < 0:
        raise ValueError(f"ridge must not be negative, got {ridge}")
    d = layout.count("x")
    steepest = d * bound**2 + bound
    return [
        _dot(layout, "example_x", "error", bound),
        aff(layout, {"error": 1.0, "example_y": -1.0}, "error"),
        mul(layout, "example_x", "error", "gradient", (d, 1, 1), (bound, steepest)),
        aff(layout, {"weights": 1 - 2 * learning_rate * ridge, "gradient": -2 * learning_rate}, "weights"),
    ]


def _dot(layout: AlternatingLayout, x: str, target: str, bound: float) -> nn.Module:
    return mul(layout, "weights", x, target, (1, layout.count("x"), 1), (bound, bound))
