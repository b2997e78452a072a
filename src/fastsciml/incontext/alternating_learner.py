"""A program that reads examples (x, y) one after another and predicts y for queries."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from fastsciml.incontext.layout import AlternatingLayout
from fastsciml.incontext.primitives import mov
from fastsciml.nn import InContextBlock


class AlternatingLearner(nn.Module):
    """Layers over alternating tokens x_1, y_1, x_2, y_2, ..., queries, which end with rows "prediction".

    Args:
        layout: of the tokens, with rows "prediction" beside "x" and "y".
        blocks: the layers in turn; one may stand at several places.

    Raises:
        ValueError: there are no rows "prediction".

    Source: Akyürek et al., "What learning algorithm is in-context learning?" (ICLR 2023).
    """

    def __init__(self, layout: AlternatingLayout, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        layout.count("prediction")
        self.layout = layout
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, y: Tensor, x_query: Tensor) -> Tensor:
        """Predict y at x_query from the examples, each batch element a task of its own.

        Args:
            x: [B, N, x_dim], of the parameters' dtype, like all.
            y: [B, N, 1].
            x_query: [B, Q, x_dim].

        Returns:
            [B, Q, 1].

        Raises:
            ValueError: a shape does not fit.
        """
        tokens = self.layout.alternate(x, y, x_query)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens[:, self.layout.queries.start :, self.layout["prediction"]]


def read_example(layout: AlternatingLayout, example: int) -> list[InContextBlock]:
    """Two layers: the queries get x and y of an example into rows "example_x" and "example_y".

    Raises:
        ValueError: there is no such example.
    """
    return [
        mov(layout, dict.fromkeys(layout.queries, layout.x_token(example)), "x", "example_x"),
        mov(layout, dict.fromkeys(layout.queries, layout.y_token(example)), "y", "example_y"),
    ]
