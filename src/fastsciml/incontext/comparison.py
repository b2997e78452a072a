"""How alike two learners in context are: in predictions, in sensitivities, in the weights they imply, in between.

Measures of von Oswald et al. (ICML 2023) and Akyürek et al. (ICLR 2023), of tensors of any floating dtype.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from fastsciml.incontext.algorithms import Predictor
from fastsciml.incontext.tasks import Tasks
from fastsciml.nn import InContextLearner, LinearSelfAttention


def squared_prediction_difference(one: Tensor, other: Tensor) -> float:
    """SPD: the mean over tasks and queries of |one - other|^2 for predictions [B, Q, y_dim].

    Source: Akyürek et al., "What learning algorithm is in-context learning?" (ICLR 2023).
    """
    return float((one - other).detach().square().sum(-1).mean())


def prediction_difference(one: Tensor, other: Tensor) -> float:
    """The mean over tasks and queries of |one - other| for predictions [B, Q, y_dim] (von Oswald et al., ICML 2023)."""
    return float((one - other).detach().norm(dim=-1).mean())


def sensitivities(predictor: Predictor, tasks: Tasks) -> Tensor:
    """The Jacobian of predictions by their queries, [B, Q, y_dim, x_dim]: the model that the examples made.

    Source: von Oswald et al., "Transformers Learn In-Context by Gradient Descent" (ICML 2023).
    """
    x_query = tasks.x_query.detach().clone().requires_grad_()
    with torch.enable_grad():
        prediction = predictor(tasks.x, tasks.y, x_query)
        rows = [
            torch.autograd.grad(prediction[..., i].sum(), x_query, retain_graph=True)[0]
            for i in range(prediction.shape[-1])
        ]
    return torch.stack(rows, 2)


def model_difference(one: Tensor, other: Tensor) -> tuple[float, float]:
    """Of sensitivities [B, Q, y_dim, x_dim]: the mean cosine, and the mean L2 norm of the difference.

    Source: von Oswald et al., "Transformers Learn In-Context by Gradient Descent" (ICML 2023).
    """
    a, b = one.flatten(2), other.flatten(2)
    return float(nn.functional.cosine_similarity(a, b, dim=-1).mean()), float((a - b).norm(dim=-1).mean())


def implied_weights(prediction: Tensor, queries: Tensor) -> Tensor:
    """W [B, y_dim, x_dim] that fits the predictions [B, Q, y_dim] at many queries [B, Q, x_dim] best.

    Source: Akyürek et al., "What learning algorithm is in-context learning?" (ICLR 2023).
    """
    W: Tensor = torch.linalg.pinv(queries) @ prediction
    return W.mT


def implicit_weight_difference(one: Tensor, other: Tensor, queries: Tensor) -> float:
    """ILWD: the mean over tasks of |W_one - W_other|^2, both as `implied_weights` of predictions [B, Q, y_dim].

    Source: Akyürek et al., "What learning algorithm is in-context learning?" (ICLR 2023).
    """
    return float(implied_weights((one - other).detach(), queries).square().sum((-2, -1)).mean())


def interpolated(one: InContextLearner, other: InContextLearner, share: float) -> InContextLearner:
    """A learner of linear attention whose weights lie between, `share` of the way from one to other.

    Only the products P V and K^T Q of a head act, and of those only the product of their sizes: both are averaged after
    K^T Q has been scaled to a mean of 1 on the diagonal of its x-part.

    Raises:
        ValueError: the learners are not stacks of linear attention with one head and of the same shape.

    Source: von Oswald et al., "Transformers Learn In-Context by Gradient Descent" (ICML 2023).
    """
    mixed = copy.deepcopy(one)
    if len(one.blocks) != len(other.blocks):
        raise ValueError(f"other must have as many blocks as one, {len(one.blocks)}, got {len(other.blocks)}")
    for block, mine, its in zip(mixed.blocks, one.blocks, other.blocks, strict=True):
        pairs = [_canonical(b.attention, one.x_dim) for b in (mine, its)]
        (value, query), (other_value, other_query) = pairs
        block.attention = _of_products(torch.lerp(value, other_value, share), torch.lerp(query, other_query, share))
    return mixed


def _canonical(attention: object, x_dim: int) -> tuple[Tensor, Tensor]:
    """P V and K^T Q [T, T] of the one head."""
    if not isinstance(attention, LinearSelfAttention) or attention.num_heads != 1:
        raise ValueError("interpolation needs linear attention with one head in every block")
    with torch.no_grad():
        value, query = (attention.projection @ attention.value)[0], (attention.key.mT @ attention.query)[0]
        size = query.diagonal()[:x_dim].mean()
        return value * size, query / size


def _of_products(value: Tensor, query: Tensor) -> LinearSelfAttention:
    width = len(value)
    attention = LinearSelfAttention(width, head_dim=width, device=value.device, dtype=value.dtype)
    identity = torch.eye(width, device=value.device, dtype=value.dtype)
    with torch.no_grad():
        for weight, its in (("query", query), ("key", identity), ("value", value), ("projection", identity)):
            getattr(attention, weight).copy_(its)
    return attention
