"""Self-attention without and with softmax, with the same weights and the same call.

Per head h, in the letters of von Oswald et al., "Transformers Learn In-Context by Gradient Descent", ICML 2023: queries
Q_h e_j, keys K_h e_i, values V_h e_i of tokens e, and a projection P_h back to the tokens' width. The residual
connection is the block's affair (`InContextBlock`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from inspect import cleandoc

import torch
from torch import Tensor, nn

from fastsciml import ops

# Above this width the state of a head is small beside a Gram matrix, and so is what the projections cost.
WIDEST_GRAM = 32


class _SelfAttention(nn.Module, ABC):
    """Queries, keys, values and the projection of every head, and what is seen.

    Args:
        embed_dim: the width T of tokens [B, N, T].
        num_heads: heads H.
        head_dim: the width D of queries, keys and values. None: embed_dim / num_heads.
        causal: whether a token sees itself and those before it, or all.
        scale: a factor of every product of a query and a key. None: {scale}
        device: of the parameters.
        dtype: of the parameters, any floating one.

    Raises:
        ValueError: a size is not positive, or heads do not divide embed_dim and head_dim is not given.

    Source of the heads and their letters: von Oswald et al., "Transformers Learn In-Context by Gradient Descent" (ICML
    2023).
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int = 1,
        *,
        head_dim: int | None = None,
        causal: bool = False,
        scale: float | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if embed_dim < 1:
            raise ValueError(f"embed_dim must be positive, got {embed_dim}")
        if num_heads < 1:
            raise ValueError(f"num_heads must be positive, got {num_heads}")
        if head_dim is None and embed_dim % num_heads:
            raise ValueError(f"num_heads must divide embed_dim, {embed_dim}, or head_dim be given, got {num_heads}")
        head_dim = embed_dim // num_heads if head_dim is None else head_dim
        if head_dim < 1:
            raise ValueError(f"head_dim must be positive, got {head_dim}")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, head_dim
        self.causal, self.scale = causal, scale
        inwards, outwards = (num_heads, head_dim, embed_dim), (num_heads, embed_dim, head_dim)
        for name, shape in (("query", inwards), ("key", inwards), ("value", inwards), ("projection", outwards)):
            self.register_parameter(name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    query: nn.Parameter
    key: nn.Parameter
    value: nn.Parameter
    projection: nn.Parameter

    def reset_parameters(self, std: float | None = None) -> None:
        """Normal of standard deviation `std`; None: Xavier's, which keeps the tokens' variance."""
        heads = self.num_heads * self.head_dim
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=(2 / (self.embed_dim + heads)) ** 0.5 if std is None else std)

    def heads(self, tokens: Tensor, weight: Tensor) -> Tensor:
        """[B, N, T] -> [B, H, N, D], by a weight [H, D, T]."""
        joint = tokens @ weight.flatten(0, 1).mT
        return joint.view(*tokens.shape[:2], *weight.shape[:2]).transpose(1, 2)

    def joined(self, heads: Tensor) -> Tensor:
        """[B, H, N, D] -> [B, N, T], by the projections."""
        return heads.transpose(1, 2).flatten(2) @ self.projection.transpose(1, 2).flatten(0, 1)

    def check(self, tokens: Tensor, context: int | None) -> None:
        """Raise ValueError unless tokens are [B, N, T] and the context is one of theirs."""
        if tokens.dim() != 3 or tokens.shape[-1] != self.embed_dim:
            raise ValueError(f"tokens must be [batch, length, {self.embed_dim}], got shape {tuple(tokens.shape)}")
        if context is None:
            return
        if self.causal:
            raise ValueError("context needs causal=False: causal attention sees what came before")
        if not 0 <= context <= tokens.shape[1]:
            raise ValueError(f"context must be from 0 to the length {tokens.shape[1]}, got {context}")

    @abstractmethod
    def forward(self, tokens: Tensor, context: int | None = None) -> Tensor: ...

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, num_heads={self.num_heads}, head_dim={self.head_dim}, causal={self.causal}"


class LinearSelfAttention(_SelfAttention):
    __doc__ = "sum_h P_h (V_h E^T) (K_h E^T)^T Q_h e_j for tokens e_j, the rows of E: no softmax.\n\n" + cleandoc(
        _SelfAttention.__doc__ or ""
    ).format(scale="1.")

    def forward(self, tokens: Tensor, context: int | None = None) -> Tensor:
        """The sum over heads, without a residual connection.

        Narrow tokens go by `ops.gram_attention`, all others by `ops.linear_attention`: the same function, in the order
        of products that is cheap.

        Args:
            tokens: [B, N, T], of the parameters' dtype.
            context: how many of the first tokens are seen, if not causal. None: all.

        Returns:
            [B, N, T].

        Raises:
            ValueError: a shape or the context does not fit.
        """
        self.check(tokens, context)
        if self._by_gram(tokens):
            left, right = self.projection @ self.value, self.key.mT @ self.query
            return ops.gram_attention(tokens, left if self.scale is None else self.scale * left, right, context)
        q, k, v = (self.heads(tokens, weight) for weight in (self.query, self.key, self.value))
        if context is not None:
            v = nn.functional.pad(v[:, :, :context], (0, 0, 0, tokens.shape[1] - context))
        out = ops.linear_attention(q, k, v, causal=self.causal, scale=1.0 if self.scale is None else self.scale)
        assert isinstance(out, Tensor)
        return self.joined(out)

    def _by_gram(self, tokens: Tensor) -> bool:
        """Whether the Gram matrix costs fewer multiplications than queries, keys, values and states."""
        length, T, D, H = tokens.shape[1], self.embed_dim, self.head_dim, self.num_heads
        by_gram = 2 * length * T**2 + 2 * H * T**3
        return not self.causal and T <= WIDEST_GRAM and by_gram <= H * length * (4 * T * D + 2 * D**2)

    def stream(self, tokens: Tensor, state: Tensor | None = None, decay: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """A piece of a sequence, and the state that the next one begins with: causal attention only.

        Args:
            tokens: [B, N, T], of the parameters' dtype.
            state: [B, H, D, D], float32 (float64 for float64), as the piece before gave it; None at the beginning.
            decay: as of `ops.linear_attention`.

        Returns:
            [B, N, T] and the state; pieces in turn equal the whole.

        Raises:
            ValueError: attention is not causal, or a shape does not fit.
        """
        if not self.causal:
            raise ValueError("stream needs causal=True: otherwise every token sees those to come")
        self.check(tokens, None)
        q, k, v = (self.heads(tokens, weight) for weight in (self.query, self.key, self.value))
        scale = 1.0 if self.scale is None else self.scale
        out, last = ops.linear_attention(q, k, v, causal=True, decay=decay, state=state, return_state=True, scale=scale)
        return self.joined(out), last


class SoftmaxSelfAttention(_SelfAttention):
    __doc__ = "Attention with softmax, by torch's scaled_dot_product_attention.\n\n" + cleandoc(
        _SelfAttention.__doc__ or ""
    ).format(scale="1 / sqrt(head_dim).")

    def forward(self, tokens: Tensor, context: int | None = None) -> Tensor:
        """The sum over heads, without a residual connection.

        Args:
            tokens: [B, N, T], of the parameters' dtype.
            context: how many of the first tokens are seen, if not causal: at least 1. None: all.

        Returns:
            [B, N, T].

        Raises:
            ValueError: a shape or the context does not fit.
        """
        self.check(tokens, context)
        if context == 0:
            raise ValueError("context must be positive: softmax has no weights for no tokens")
        seen = tokens if context is None else tokens[:, :context]
        q, k, v = self.heads(tokens, self.query), self.heads(seen, self.key), self.heads(seen, self.value)
        out = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal, scale=self.scale)
        return self.joined(out)
