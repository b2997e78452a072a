"""A conjugate-direction step for any operator A whose images of directions are kept: inner products, and update.

The same algebra as ops/conjugate_direction.py (Notay, Flexible conjugate gradients, 2000), where A q cannot be worked
out on the way. The kernels are in csrc/directions/vectors_cpu.cpp; other devices and dtypes take the definitions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def direction_products_definition(
    q: Tensor, aq: Tensor, r: Tensor, directions: Sequence[Tensor], images: Sequence[Tensor]
) -> Tensor:
    """<q, A q>, <r, q>, then <q, A p> for every direction p, then <r, p> for every one, in plain PyTorch."""
    pairs = [(q, aq), (r, q), *((q, image) for image in images), *((r, p) for p in directions)]
    return torch.stack([(_wide(a) * _wide(b)).sum() for a, b in pairs])


def direction_update_definition(
    x: Tensor,
    r: Tensor,
    q: Tensor,
    aq: Tensor,
    directions: Sequence[Tensor],
    images: Sequence[Tensor],
    lengths: Tensor,
) -> Tensor:
    """Q += sum of beta p, aq += sum of beta A p, x += length q, r -= length aq, in place; |r|^2, in plain PyTorch."""
    length, *betas = lengths.tolist()
    for beta, p, image in zip(betas, directions, images, strict=True):
        if beta != 0:
            q.add_(p, alpha=beta)
            aq.add_(image, alpha=beta)
    x.add_(q, alpha=length)
    r.sub_(aq, alpha=length)
    return _wide(r).square().sum().reshape(1)


def direction_products(
    q: Tensor, aq: Tensor, r: Tensor, directions: Sequence[Tensor], images: Sequence[Tensor]
) -> Tensor:
    """The inner products of a step, in one pass, summed in float64.

    Args:
        q: the proposed direction, [...] of any shape, contiguous; float32 and float64 have a kernel on the CPU.
        aq: A q, of q's shape and dtype, like all that follow.
        r: the residual.
        directions: the last m ones, 8 at most.
        images: A p of each.

    Returns:
        float64 [2 + 2 m]: <q, A q>, <r, q>, then <q, A p> for every direction p, then <r, p> for every one.

    Raises:
        ValueError: there are not as many images as directions.
        RuntimeError: a shape, dtype or memory layout does not fit, or there are more than 8 directions; the sentence
            names the tensor.

    Source: Kaneda et al., "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems" (ICML 2023).
    """
    _check_pairs("direction_products", directions, images)
    if not _has_kernel(q):
        return direction_products_definition(q, aq, r, directions, images)
    products: Tensor = torch.ops.fastsciml.direction_products(q, aq, r, list(directions), list(images))
    return products


def direction_update(
    x: Tensor,
    r: Tensor,
    q: Tensor,
    aq: Tensor,
    directions: Sequence[Tensor],
    images: Sequence[Tensor],
    lengths: Sequence[float],
) -> float:
    """Q += sum of beta p, aq += sum of beta A p, x += length q, r -= length aq, in place, in one pass.

    Args:
        x: the solution, [...] of any shape, contiguous; float32 and float64 have a kernel on the CPU.
        r: the residual, of x's shape and dtype, like all that follow.
        q: the proposed direction, then the one that was taken.
        aq: A q, likewise.
        directions: the last m ones, 8 at most.
        images: A p of each.
        lengths: [1 + m], of the step, then the betas in the directions' order; a beta that is 0 leaves its direction
            and image unread.

    Returns:
        |r|^2, summed in float64.

    Raises:
        ValueError: there are not as many images as directions.
        RuntimeError: a shape, dtype or memory layout does not fit, or there are more than 8 directions; the sentence
            names the tensor.

    Source: Kaneda et al., "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems" (ICML 2023).
    """
    _check_pairs("direction_update", directions, images)
    steps = torch.tensor(lengths, dtype=torch.float64)
    if not _has_kernel(q):
        return float(direction_update_definition(x, r, q, aq, directions, images, steps))
    return float(torch.ops.fastsciml.direction_update(x, r, q, aq, list(directions), list(images), steps))


def _check_pairs(op: str, directions: Sequence[Tensor], images: Sequence[Tensor]) -> None:
    if len(directions) != len(images):
        raise ValueError(
            f"{op}: every direction must have its image, got {len(directions)} directions and {len(images)} images"
        )


def _has_kernel(q: Tensor) -> bool:
    return q.device.type == "cpu" and q.dtype in (torch.float32, torch.float64)


def _wide(values: Tensor) -> Tensor:
    """In the dtype of sums: float64 where the device has it."""
    return values.float() if values.device.type == "mps" else values.double()


@torch.library.register_fake("fastsciml::direction_products")  # type: ignore[untyped-decorator]
def _products_fake(q: Tensor, aq: Tensor, r: Tensor, directions: list[Tensor], images: list[Tensor]) -> Tensor:
    return q.new_empty(2 + 2 * len(directions), dtype=torch.float64)


@torch.library.register_fake("fastsciml::direction_update")  # type: ignore[untyped-decorator]
def _update_fake(
    x: Tensor, r: Tensor, q: Tensor, aq: Tensor, directions: list[Tensor], images: list[Tensor], lengths: Tensor
) -> Tensor:
    return q.new_empty(1, dtype=torch.float64)
