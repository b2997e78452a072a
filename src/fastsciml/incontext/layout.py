"""What stands where in tokens: names for their rows, and for the positions of examples and queries."""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import Tensor, nn

NULL = 0  # the first token's position


class Layout:
    """Names for the rows of tokens: first their position, one-hot, then rows for each name in turn.

    The first token is null: zero but for its position. Primitives keep it so, and let attention rest on it.

    Args:
        length: how many tokens there are, the null token among them.
        rows: how many rows each name has.

    Raises:
        ValueError: a number is not positive, or the name "position" is given.
    """

    def __init__(self, length: int, **rows: int) -> None:
        if "position" in rows:
            raise ValueError("rows must leave the name 'position' to the layout")
        for name, count in (("length", length), *rows.items()):
            if count < 1:
                raise ValueError(f"{name} must be positive, got {count}")
        counts = {"position": length, **rows}
        stops = accumulate(counts.values())
        self._rows = {
            name: slice(stop - count, stop) for (name, count), stop in zip(counts.items(), stops, strict=True)
        }
        self.length, self.width = length, sum(counts.values())

    def __getitem__(self, name: str) -> slice:
        """The rows of a name, to index tokens [..., width] with.

        Raises:
            ValueError: there is no such name.
        """
        if name not in self._rows:
            raise ValueError(f"rows must be one of {', '.join(self._rows)}, got {name!r}")
        return self._rows[name]

    def count(self, name: str) -> int:
        """How many rows a name has."""
        rows = self[name]
        return int(rows.stop - rows.start)

    def select(self, name: str) -> Tensor:
        """The matrix [rows, width] that reads the rows of a name from a token; transposed, it writes them."""
        return torch.eye(self.width, dtype=torch.float64)[self[name]]

    def tokens(self, **rows: Tensor) -> Tensor:
        """Tokens with the null token and the positions, and zero in all rows that are not given.

        Args:
            rows: [B, length - 1, rows] for a name, of any dtype: what stands there after the null token.

        Returns:
            [B, length, width].

        Raises:
            ValueError: no rows are given, or a shape does not fit.
        """
        if not rows:
            raise ValueError("rows must be given for at least one name")
        first = next(iter(rows.values()))
        tokens = first.new_zeros(first.shape[0], self.length, self.width)
        tokens[..., self["position"]] = torch.eye(self.length, dtype=first.dtype, device=first.device)
        for name, values in rows.items():
            _check_shape(name, values, first.shape[0], self.length - 1, self.count(name))
            tokens[:, NULL + 1 :, self[name]] = values
        return tokens


class AlternatingLayout(Layout):
    """Tokens null, x_1, y_1, ..., x_N, y_N, x_q1, ..., x_qQ, as in Akyürek et al., ICLR 2023.

    Args:
        examples: how many pairs (x, y) there are, N.
        queries: how many queries follow, Q.
        x: how many rows the name "x" has, the width of x.
        y: how many rows the name "y" has, the width of y.
        rows: how many rows each further name has.

    Raises:
        ValueError: a number is not positive, or the name "position" is given.
    """

    def __init__(self, examples: int, queries: int = 1, *, x: int, y: int, **rows: int) -> None:
        for name, count in (("examples", examples), ("queries", queries)):
            if count < 1:
                raise ValueError(f"{name} must be positive, got {count}")
        super().__init__(1 + 2 * examples + queries, x=x, y=y, **rows)
        self.examples = examples
        self.queries = range(1 + 2 * examples, self.length)

    def x_token(self, example: int) -> int:
        """The token of x, for examples from 0 to N - 1.

        Raises:
            ValueError: there is no such example.
        """
        if not 0 <= example < self.examples:
            raise ValueError(f"example must be from 0 to {self.examples - 1}, got {example}")
        return 1 + 2 * example

    def y_token(self, example: int) -> int:
        """The token of y, the one after that of x.

        Raises:
            ValueError: there is no such example.
        """
        return self.x_token(example) + 1

    def alternate(self, x: Tensor, y: Tensor, x_query: Tensor) -> Tensor:
        """The tokens of examples and queries, zero in all rows but "x", "y" and "position".

        Args:
            x: [B, N, rows of x], of any floating dtype, like all.
            y: [B, N, rows of y].
            x_query: [B, Q, rows of x].

        Returns:
            [B, length, width].

        Raises:
            ValueError: a shape does not fit.
        """
        for name, values, length, rows in (
            ("x", x, self.examples, "x"),
            ("y", y, self.examples, "y"),
            ("x_query", x_query, len(self.queries), "x"),
        ):
            _check_shape(name, values, x.shape[0], length, self.count(rows))
        # A zero before each y and after each x: the other's rows.
        xs = torch.stack([x, torch.zeros_like(x)], 2).flatten(1, 2)
        ys = torch.stack([torch.zeros_like(y), y], 2).flatten(1, 2)
        return self.tokens(x=torch.cat([xs, x_query], 1), y=nn.functional.pad(ys, (0, 0, 0, len(self.queries))))


def _check_shape(name: str, values: Tensor, *shape: int) -> None:
    if values.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {tuple(values.shape)}")
