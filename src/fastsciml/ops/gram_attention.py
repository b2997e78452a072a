"""Linear attention of short sequences that all see the same tokens, by the tokens' Gram matrix."""

from __future__ import annotations

from torch import Tensor


def gram_attention_definition(tokens: Tensor, left: Tensor, right: Tensor, context: int) -> Tensor:
    """o_j = sum_h A_h G B_h e_j with G = sum_{i < context} e_i e_i^T, in plain PyTorch."""
    seen = tokens[:, :context]
    G = seen.mT @ seen
    M = (left @ G[:, None] @ right).sum(1)
    return tokens @ M.mT


def gram_attention(tokens: Tensor, left: Tensor, right: Tensor, context: int | None = None) -> Tensor:
    """Bidirectional linear attention of all heads at once, o_j = sum_h A_h G B_h e_j, G = sum_{i < context} e_i e_i^T.

    With A_h = P_h V_h and B_h = K_h^T Q_h this is sum_h P_h (V_h E^T) (K_h E^T)^T Q_h e_j: linear self-attention with
    its projections, whose order of products is the cheap one where a token is no wider than a head.

    Args:
        tokens: e [B, N, T], float32, float64, bfloat16 or float16; computed in float32 (float64 for float64).
        left: A [H, T, T], of the tokens' dtype.
        right: B [H, T, T], likewise.
        context: how many of the first tokens are seen, 0 to N. None: all.

    Returns:
        o [B, N, T] of the tokens' dtype.

    Raises:
        TypeError: a dtype does not fit.
        ValueError: a shape or the context does not fit; names the argument.
    """
    context = tokens.shape[1] if context is None else context
    return gram_attention_definition(tokens, left, right, context)
