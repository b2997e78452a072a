"""Exact ridge regression as a transformer, one example at a time: Akyürek et al., ICLR 2023, theorem 2."""

from __future__ import annotations

import torch
from torch import nn

from fastsciml.incontext.alternating_learner import AlternatingLearner, read_example
from fastsciml.incontext.layout import AlternatingLayout
from fastsciml.incontext.primitives import aff, div, mul


def sherman_morrison_layout(x_dim: int, examples: int, queries: int = 1) -> AlternatingLayout:
    """Tokens of O(x_dim^2) rows beside the position's: theorem 2's width.

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
        inverse=x_dim**2,  # A^-1, with A = lambda I + X^T X of the examples so far
        image=x_dim,  # A^-1 x
        divisor=1,  # 1 + x^T A^-1 x
        square=x_dim**2,  # A^-1 x (A^-1 x)^T
        change=x_dim**2,
        term=x_dim,  # y x
        moments=x_dim,  # X^T y
        weights=x_dim,
        prediction=1,
    )


def sherman_morrison_step(
    layout: AlternatingLayout, example: int, ridge: float, *, bound: float = 8.0
) -> nn.Sequential:
    """Take one example into A^-1 and X^T y, rows "inverse" and "moments" of the queries.

    A^-1 <- A^-1 - A^-1 x x^T A^-1 / (1 + x^T A^-1 x), for a symmetric A^-1, and X^T y <- X^T y + y x: ten layers,
    whatever the widths, and MLPs of O(x_dim^2) hidden units. The queries change; other tokens only in their row
    "divisor", which becomes 1.

    Args:
        layout: as of `sherman_morrison_layout`.
        example: the number of the example, from 0.
        ridge: lambda; no eigenvalue of A is less.
        bound: of all entries of x and y, in absolute value; with ridge it bounds all that is multiplied.

    Raises:
        ValueError: there is no such example, or ridge or bound is not positive.

    Source: Akyürek et al., "What learning algorithm is in-context learning?" (ICLR 2023), theorem 2.
    """
    return nn.Sequential(*read_example(layout, example), *_update(layout, ridge, bound))


def ridge_learner(
    x_dim: int, examples: int, ridge: float, *, queries: int = 1, bound: float = 8.0
) -> AlternatingLearner:
    """Predict x_query^T (lambda I + X^T X)^-1 X^T y, exactly: 10 N + 3 layers.

    The steps share the layers that come after reading. The GELUs' rounding is relative to the greatest A^-1, which is
    I / lambda: for normal x and y the relative error is about 3e-12 / lambda in float64, 1e-3 / lambda in float32.

    Args:
        x_dim: the width of x.
        examples: their number N.
        ridge: lambda.
        queries: how many there are.
        bound: of all entries of x and y, in absolute value.

    Raises:
        ValueError: a number is not positive.

    Source: Akyürek et al., "What learning algorithm is in-context learning?" (ICLR 2023), theorem 2.
    """
    layout = sherman_morrison_layout(x_dim, examples, queries)
    update = _update(layout, ridge, bound)
    in_queries = torch.zeros(layout.length, dtype=torch.float64)
    in_queries[layout.queries.start :] = 1
    start = torch.eye(x_dim, dtype=torch.float64).flatten() / ridge
    d, largest = x_dim, bound * examples**0.5 / (2 * ridge**0.5)  # of |w|, by the singular values of X
    return AlternatingLearner(
        layout,
        [
            aff(layout, {"position": torch.outer(start, in_queries)}, "inverse"),
            *(block for example in range(examples) for block in (*read_example(layout, example), *update)),
            mul(layout, "inverse", "moments", "weights", (d, d, 1), (1 / ridge, examples * bound**2)),
            mul(layout, "weights", "x", "prediction", (1, d, 1), (largest, bound)),
        ],
    )


def _update(layout: AlternatingLayout, ridge: float, bound: float) -> list[nn.Module]:
    for name, value in (("ridge", ridge), ("bound", bound)):
        if value <= 0:
            raise ValueError(f"{name} must be positive, got {value}")
    d = layout.count("x")
    longest = d**0.5 * bound / ridge  # of |A^-1 x|
    return [
        mul(layout, "inverse", "example_x", "image", (d, d, 1), (1 / ridge, bound)),
        mul(layout, "image", "example_x", "divisor", (1, d, 1), (longest, bound)),
        aff(layout, {"divisor": 1.0}, "divisor", bias=1.0),
        mul(layout, "image", "image", "square", (d, 1, d), (longest, longest)),
        div(layout, "square", "divisor", "change"),
        aff(layout, {"inverse": 1.0, "change": -1.0}, "inverse"),
        mul(layout, "example_x", "example_y", "term", (d, 1, 1), (bound, bound)),
        aff(layout, {"moments": 1.0, "term": 1.0}, "moments"),
    ]
