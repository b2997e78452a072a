"""The transformer that in-context learning is usually studied with: causal, predicting after every prefix.

Garg et al., "What Can Transformers Learn In-Context?", NeurIPS 2022, and Akyürek et al., "What learning algorithm is
in-context learning?", ICLR 2023: a sequence x_1, y_1, x_2, y_2, ... of which every x token predicts its y.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fastsciml.nn.in_context import InContextBlock, check_examples, gelu_mlp
from fastsciml.nn.self_attention import LinearSelfAttention, SoftmaxSelfAttention


class InContextTransformer(nn.Module):
    """Pre-norm blocks of causal self-attention and GELU MLPs over tokens of x and of y, with learned positions.

    Args:
        x_dim: the width of x.
        y_dim: the width of y.
        width: of the tokens.
        depth: blocks.
        num_heads: heads of each.
        max_examples: the longest context, of examples and the query.
        mlp_ratio: the MLPs' hidden width over `width`.
        linear: whether attention is without softmax.
        device: of the parameters.
        dtype: of the parameters, any floating one.

    Raises:
        ValueError: a size is not positive, or heads do not divide the width.

    Source: Garg et al., "What Can Transformers Learn In-Context?" (NeurIPS 2022); Akyürek et al., "What learning
    algorithm is in-context learning?" (ICLR 2023).
    """

    def __init__(
        self,
        x_dim: int,
        y_dim: int = 1,
        *,
        width: int = 64,
        depth: int = 4,
        num_heads: int = 2,
        max_examples: int = 64,
        mlp_ratio: int = 4,
        linear: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        sizes = {"x_dim": x_dim, "y_dim": y_dim, "width": width, "depth": depth, "max_examples": max_examples}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} must be positive, got {size}")
        self.x_dim, self.y_dim, self.max_examples = x_dim, y_dim, max_examples
        layer = LinearSelfAttention if linear else SoftmaxSelfAttention

        def block() -> InContextBlock:
            attention = layer(width, num_heads, causal=True, device=device, dtype=dtype)
            norms = [nn.LayerNorm(width, device=device, dtype=dtype) for _ in range(2)]
            mlp = gelu_mlp(width, mlp_ratio * width, device, dtype)
            return InContextBlock(attention, mlp, attention_norm=norms[0], mlp_norm=norms[1])

        self.read = nn.Linear(x_dim + y_dim, width, device=device, dtype=dtype)
        self.position = nn.Parameter(0.02 * torch.randn(2 * max_examples, width, device=device, dtype=dtype))
        self.blocks = nn.ModuleList(block() for _ in range(depth))
        self.norm = nn.LayerNorm(width, device=device, dtype=dtype)
        self.write = nn.Linear(width, y_dim, device=device, dtype=dtype)

    def prefixes(self, x: Tensor, y: Tensor) -> Tensor:
        """Predictions of every y from the examples before it and its x.

        Args:
            x: [B, N, x_dim], of the parameters' dtype, like all.
            y: [B, N, y_dim]; the last one is not looked at.

        Returns:
            [B, N, y_dim].

        Raises:
            ValueError: a shape does not fit, or there are more than max_examples.
        """
        check_examples(x, y, x, self.x_dim, self.y_dim)
        if x.shape[1] > self.max_examples:
            raise ValueError(f"x must have at most max_examples, {self.max_examples}, got {x.shape[1]}")
        of_x = nn.functional.pad(x, (0, self.y_dim))
        of_y = nn.functional.pad(y, (self.x_dim, 0))
        tokens = self.read(torch.stack([of_x, of_y], 2).flatten(1, 2))[:, :-1]
        tokens = tokens + self.position[: tokens.shape[1]]
        for block in self.blocks:
            tokens = block(tokens)
        out: Tensor = self.write(self.norm(tokens[:, ::2]))
        return out

    def forward(self, x: Tensor, y: Tensor, x_query: Tensor) -> Tensor:
        """Predict y at every query from all examples; the call of `InContextLearner`.

        Args:
            x: [B, N, x_dim], of the parameters' dtype, like all.
            y: [B, N, y_dim].
            x_query: [B, Q, x_dim]; each is asked in a sequence of its own.

        Returns:
            [B, Q, y_dim].

        Raises:
            ValueError: a shape does not fit, or there are max_examples or more.
        """
        check_examples(x, y, x_query, self.x_dim, self.y_dim)
        queries = x_query.shape[1]
        asked = torch.cat([x.repeat_interleave(queries, 0), x_query.flatten(0, 1)[:, None]], 1)
        known = nn.functional.pad(y.repeat_interleave(queries, 0), (0, 0, 0, 1))
        return self.prefixes(asked, known)[:, -1].view(x.shape[0], queries, self.y_dim)
