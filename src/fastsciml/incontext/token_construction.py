"""From tokens x_1, y_1, x_2, y_2, ... to tokens (x_j, y_j): what gradient descent by linear attention begins with.

von Oswald et al., "Transformers Learn In-Context by Gradient Descent", ICML 2023, section 5.
"""

from __future__ import annotations

from fastsciml.incontext.layout import NULL, AlternatingLayout
from fastsciml.incontext.primitives import mov
from fastsciml.nn import InContextBlock


def token_construction(layout: AlternatingLayout) -> InContextBlock:
    """One layer of softmax attention in which every y reads the x before it, as an induction head does.

    The tokens of y become (x_j, y_j). The tokens of x, read by now, are cleared, so that linear attention over all
    tokens before the queries sums over the examples alone, in every layer. The queries stay (x_q, 0).

    Args:
        layout: with rows "x" and "y", of any widths; linear attention after it takes tokens of layout.width.

    Source: von Oswald et al., "Transformers Learn In-Context by Gradient Descent" (ICML 2023), section 5.
    """
    examples = range(layout.examples)
    reads = {layout.y_token(j): layout.x_token(j) for j in examples} | {layout.x_token(j): NULL for j in examples}
    return mov(layout, reads, "x", "x")
