"""Learners in context: stacks of attention that read examples (x, y) and predict y for a query, without training.

The tokens are those of von Oswald et al., "Transformers Learn In-Context by Gradient Descent", ICML 2023: (x_i, y_i)
for an example, (x_q, 0) for a query, whose y-part the blocks move to minus the prediction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from fastsciml.nn.self_attention import LinearSelfAttention, SoftmaxSelfAttention


class InContextBlock(nn.Module):
    """Tokens plus their attention, then plus an MLP of each; either with a LayerNorm before it.

    Args:
        attention: `LinearSelfAttention`, `SoftmaxSelfAttention` or any module of (tokens, context); None: no attention.
        mlp: from tokens to tokens; None: none.
        attention_norm: before the attention, as `nn.LayerNorm(embed_dim)`; None: none.
        mlp_norm: before the MLP; None: none.

    Source: von Oswald et al., "Transformers Learn In-Context by Gradient Descent" (ICML 2023).
    """

    def __init__(
        self,
        attention: nn.Module | None,
        mlp: nn.Module | None = None,
        *,
        attention_norm: nn.Module | None = None,
        mlp_norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.attention_norm, self.attention = attention_norm, attention
        self.mlp_norm, self.mlp = mlp_norm, mlp

    def forward(self, tokens: Tensor, context: int | None = None) -> Tensor:
        """[B, N, T] -> [B, N, T], of the parameters' dtype.

        Args:
            tokens: [B, N, T].
            context: how many of the first tokens are seen. None: all, or those before.

        Raises:
            ValueError: the attention refuses the tokens' shape or the context.
        """
        if self.attention is not None:
            normed = tokens if self.attention_norm is None else self.attention_norm(tokens)
            tokens = tokens + self.attention(normed, context)
        if self.mlp is not None:
            tokens = tokens + self.mlp(tokens if self.mlp_norm is None else self.mlp_norm(tokens))
        return tokens


class InContextLearner(nn.Module):
    """Blocks over tokens (x_i, y_i) and queries (x_q, 0); predicts minus the queries' y-part.

    Args:
        x_dim: the width of x, or, with `features`, of what they give.
        y_dim: the width of y.
        blocks: one for each layer, of tokens of x_dim + y_dim, or with `repeats` one for all.
        repeats: how often the blocks are gone through: a looped learner has one block and as many repeats as layers.
        features: from x to what stands in the tokens, as the MLP in front of gradient descent on deep features.

    Raises:
        ValueError: a size is not positive, or there are no blocks.

    Source: von Oswald et al., "Transformers Learn In-Context by Gradient Descent" (ICML 2023).
    """

    def __init__(
        self,
        x_dim: int,
        y_dim: int,
        blocks: Iterable[nn.Module],
        *,
        repeats: int = 1,
        features: nn.Module | None = None,
    ) -> None:
        super().__init__()
        for name, size in (("x_dim", x_dim), ("y_dim", y_dim), ("repeats", repeats)):
            if size < 1:
                raise ValueError(f"{name} must be positive, got {size}")
        self.x_dim, self.y_dim, self.repeats = x_dim, y_dim, repeats
        self.features = features
        self.blocks = nn.ModuleList(blocks)
        if not self.blocks:
            raise ValueError("blocks must be at least one")

    @classmethod
    def of_depth(
        cls,
        x_dim: int,
        y_dim: int,
        depth: int = 1,
        *,
        looped: bool = False,
        attention: Literal["linear", "softmax"] = "linear",
        num_heads: int = 1,
        head_dim: int | None = None,
        mlp_width: int | None = None,
        layer_norm: bool = False,
        features: nn.Module | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> InContextLearner:
        """A learner to be trained: `depth` layers of attention.

        Args:
            x_dim: the width of x, or of what `features` give.
            y_dim: the width of y.
            depth: layers.
            looped: whether all layers are one, with shared weights.
            attention: "linear" or "softmax".
            num_heads: heads of each layer.
            head_dim: width of queries, keys and values. None: the tokens' width.
            mlp_width: of an MLP with GELU after each attention. None: none.
            layer_norm: whether a LayerNorm stands before each attention and MLP.
            features: from x to what stands in the tokens.
            device: of the parameters.
            dtype: of the parameters, any floating one.

        Raises:
            ValueError: a size is not positive, or there is no such attention.
        """
        if depth < 1:
            raise ValueError(f"depth must be positive, got {depth}")
        if attention not in ("linear", "softmax"):
            raise ValueError(f"attention must be 'linear' or 'softmax', got {attention!r}")
        width = x_dim + y_dim
        layer = LinearSelfAttention if attention == "linear" else SoftmaxSelfAttention

        def block() -> InContextBlock:
            norms = [nn.LayerNorm(width, device=device, dtype=dtype) if layer_norm else None for _ in range(2)]
            mlp = None if mlp_width is None else gelu_mlp(width, mlp_width, device, dtype)
            heads = layer(width, num_heads, head_dim=head_dim or width, device=device, dtype=dtype)
            return InContextBlock(heads, mlp, attention_norm=norms[0], mlp_norm=norms[1] if mlp_width else None)

        blocks = [block() for _ in range(1 if looped else depth)]
        return cls(x_dim, y_dim, blocks, repeats=depth if looped else 1, features=features)

    def tokens(self, x: Tensor, y: Tensor, x_query: Tensor) -> Tensor:
        """[B, N, x_dim], [B, N, y_dim], [B, Q, x_dim] of one dtype -> [B, N + Q, x_dim + y_dim]."""
        return torch.cat([torch.cat([x, x_query], 1), nn.functional.pad(y, (0, 0, 0, x_query.shape[1]))], 2)

    def forward(self, x: Tensor, y: Tensor, x_query: Tensor) -> Tensor:
        """Predict y at x_query from the examples (x, y), each batch element a task of its own.

        Args:
            x: [B, N, ...] as the features take it, [B, N, x_dim] without features; of the parameters' dtype, like all.
            y: [B, N, y_dim].
            x_query: [B, Q, ...].

        Returns:
            [B, Q, y_dim].

        Raises:
            ValueError: a shape does not fit.
        """
        check_examples(x, y, x_query, None if self.features is not None else self.x_dim, self.y_dim)
        if self.features is not None:
            x, x_query = self.features(x), self.features(x_query)
        tokens = self.tokens(x, y, x_query)
        for _ in range(self.repeats):
            for block in self.blocks:
                tokens = block(tokens, x.shape[1])
        return -tokens[:, x.shape[1] :, self.x_dim :]

    def extra_repr(self) -> str:
        return f"x_dim={self.x_dim}, y_dim={self.y_dim}, repeats={self.repeats}"


def gelu_mlp(
    width: int, hidden: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> nn.Sequential:
    """The MLP of a transformer: width -> hidden -> width with GELU between."""
    return nn.Sequential(
        nn.Linear(width, hidden, device=device, dtype=dtype),
        nn.GELU(),
        nn.Linear(hidden, width, device=device, dtype=dtype),
    )


def check_examples(x: Tensor, y: Tensor, x_query: Tensor, x_dim: int | None, y_dim: int) -> None:
    for name, tensor, width in (("x", x, x_dim), ("y", y, y_dim), ("x_query", x_query, x_dim)):
        if tensor.dim() != 3:
            raise ValueError(f"{name} must be [batch, examples, width], got {tensor.dim()} dimensions")
        if width is not None and tensor.shape[-1] != width:
            raise ValueError(f"{name} must have width {width}, got {tensor.shape[-1]}")
        if tensor.shape[0] != x.shape[0]:
            raise ValueError(f"{name} must have the batch of x, {x.shape[0]}, got {tensor.shape[0]}")
    if y.shape[1] != x.shape[1]:
        raise ValueError(f"y must have the {x.shape[1]} examples of x, got {y.shape[1]}")
