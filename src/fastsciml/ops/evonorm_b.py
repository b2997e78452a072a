"""EvoNorm B0, B1, B2: activations normalised by the larger of a batch's statistic and a sample's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed import distributed_c10d
from torch.distributed.nn.functional import all_reduce

from fastsciml.kernels.dtypes import real_dtype
from fastsciml.ops.evonorm_inputs import (
    check_input,
    dense,
    laid_out_like,
    per_channel,
    real,
)
from fastsciml.ops.evonorm_s import differentiate_twice
from fastsciml.ops.triton_kernels import has_kernel

B0, B1, B2 = range(3)


def evonorm_b_definition(
    x: Tensor,
    v: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    variance: Tensor | None,
    variant: int,
    eps: float,
) -> Tensor:
    """Y = weight x / max(sqrt(variance + eps), right) + bias, in plain PyTorch; without a variance, the batch's own.

    Right: B0 v x + sqrt(plane variance + eps), B1 (x + 1) rms, B2 rms - x, with rms = sqrt(plane mean of x^2 + eps).
    """
    planes = x.reshape(*x.shape[:2], -1)
    batch = planes.var((0, 2), correction=0) if variance is None else variance
    if variant == B0:
        own = per_channel((planes.var(-1, correction=0) + eps).sqrt(), x)
        right = (x if v is None else per_channel(v, x) * x) + own
    else:
        rms = per_channel((planes.square().mean(-1) + eps).sqrt(), x)
        right = (x + 1) * rms if variant == B1 else rms - x
    y = x / torch.maximum(per_channel((batch + eps).sqrt(), x), right)
    y = y if weight is None else y * per_channel(weight, x)
    return y if bias is None else y + per_channel(bias, x)


def evonorm_b0(
    x: Tensor,
    v: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    variance: Tensor | None = None,
    eps: float = 1e-5,
    process_group: str | None = None,
) -> tuple[Tensor, Tensor]:
    """EvoNorm-B0, weight x / max(sqrt(batch variance + eps), v x + sqrt(plane variance + eps)) + bias.

    Source: Liu, Brock, Simonyan, Le, "Evolving Normalization-Activation Layers" (NeurIPS 2020), table 2.
    Differentiable twice. The backward pass keeps x and the statistics alone. At a tie of the maximum the gradient is
    that of its left side.

    Args:
        x: [N, C, ...], float32, float64, float16 or bfloat16, contiguous or channels_last; others are copied.
        v: [C], any floating dtype, as are the next three; used in float32 (float64 for float64 x).
        weight: [C]; None: 1.
        bias: [C]; None: 0.
        variance: [C], a constant, as in evaluation; None: that of this batch.
        eps: added to every variance.
        process_group: name of a torch.distributed group whose processes share one batch statistic, and its gradient.

    Returns:
        Tensor of x's shape, dtype and memory format; and [3, C], without gradient: the batch's mean, biased variance
        and number of elements per channel (0, the variance and 1 where that was given).

    Raises:
        TypeError: x is not floating.
        ValueError: a shape does not fit, or the batch's variance is over a single element.
    """
    return _evonorm_b(x, v, weight, bias, variance, B0, eps, process_group)


def evonorm_b1(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    variance: Tensor | None = None,
    eps: float = 1e-5,
    process_group: str | None = None,
) -> tuple[Tensor, Tensor]:
    """EvoNorm-B1, weight x / max(sqrt(batch variance + eps), (x + 1) rms) + bias, with the plane's rms.

    Args:
        x: [N, C, ...], float32, float64, float16 or bfloat16, as in `evonorm_b0`.
        weight: [C], any floating dtype; None: 1.
        bias: [C]; None: 0.
        variance: [C], a constant; None: that of this batch.
        eps: added to the variance and to the plane's mean of squares.
        process_group: as in `evonorm_b0`.

    Returns:
        As `evonorm_b0`.

    Raises:
        TypeError: x is not floating.
        ValueError: a shape does not fit, or the batch's variance is over a single element.

    Source: Liu, Brock, Simonyan, Le, "Evolving Normalization-Activation Layers" (NeurIPS 2020).
    """
    return _evonorm_b(x, None, weight, bias, variance, B1, eps, process_group)


def evonorm_b2(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    variance: Tensor | None = None,
    eps: float = 1e-5,
    process_group: str | None = None,
) -> tuple[Tensor, Tensor]:
    """EvoNorm-B2, weight x / max(sqrt(batch variance + eps), rms - x) + bias, with the plane's rms.

    Args:
        x: [N, C, ...], float32, float64, float16 or bfloat16, as in `evonorm_b0`.
        weight: [C], any floating dtype; None: 1.
        bias: [C]; None: 0.
        variance: [C], a constant; None: that of this batch.
        eps: added to the variance and to the plane's mean of squares.
        process_group: as in `evonorm_b0`.

    Returns:
        As `evonorm_b0`.

    Raises:
        TypeError: x is not floating.
        ValueError: a shape does not fit, or the batch's variance is over a single element.

    Source: Liu, Brock, Simonyan, Le, "Evolving Normalization-Activation Layers" (NeurIPS 2020).
    """
    return _evonorm_b(x, None, weight, bias, variance, B2, eps, process_group)


def _evonorm_b(
    x: Tensor,
    v: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    variance: Tensor | None,
    variant: int,
    eps: float,
    process_group: str | None,
) -> tuple[Tensor, Tensor]:
    check_input(x, {"v": v, "weight": weight, "bias": bias, "variance": variance})
    if variance is None and process_group is None and x.numel() <= x.shape[1]:
        raise ValueError(f"a batch's variance needs more than one element per channel, got x of shape {tuple(x.shape)}")
    if not has_kernel(x):
        y = evonorm_b_definition(x, v, weight, bias, variance, variant, eps)
        return y, _batch_of(_plane_moments(x), x) if variance is None else _given(variance)
    parameters = (real(v, x), real(weight, x), real(bias, x), real(variance, x))
    y, _, batch = torch.ops.fastsciml.evonorm_b(dense(x), *parameters, variant, eps, process_group)
    return y, batch


def _plane_moments(x: Tensor) -> Tensor:
    planes = x.detach().reshape(*x.shape[:2], -1)
    return torch.stack([planes.mean(-1), planes.var(-1, correction=0)], 1)


def _given(variance: Tensor) -> Tensor:
    return torch.stack([torch.zeros_like(variance), variance, torch.ones_like(variance)]).detach()


def _batch_of(planes: Tensor, x: Tensor) -> Tensor:
    """[3, C] mean, variance, count from the planes' [N, 2, C]."""
    mean, variance = planes.double().unbind(1)
    count = mean.new_full(mean.shape, x.numel() // (x.shape[0] * x.shape[1]))
    return _merged(mean, variance, count).to(planes.dtype)


def shared_batch(batch: Tensor, process_group: str) -> Tensor:
    """[3, C] mean, variance, count of the batches of all processes."""
    group = _group(process_group)
    parts = [torch.empty_like(batch) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, batch, group=group)
    return _merged(*torch.stack(parts, 1).double().unbind()).to(batch.dtype)


def shared_pull(pull: Tensor, process_group: str) -> Tensor:
    """[C], the sum over all processes."""
    pull = pull.clone()
    dist.all_reduce(pull, group=_group(process_group))
    return pull


def _merged(mean: Tensor, variance: Tensor, count: Tensor) -> Tensor:
    """[3, C] of the union of parts [P, C]."""
    whole = count.sum(0)
    share = count / whole
    centre = (share * mean).sum(0)
    return torch.stack([centre, (share * (variance + (mean - centre).square())).sum(0), whole])


def _shared_variance(x: Tensor, process_group: str) -> Tensor:
    """[C], that of the batches of all processes; its gradient goes to every one of them."""
    planes, group = x.reshape(*x.shape[:2], -1), _group(process_group)

    def over_processes(part: Tensor) -> Tensor:
        whole: Tensor = all_reduce(part, group=group)  # type: ignore[no-untyped-call]
        return whole

    count = over_processes(planes.new_tensor(float(planes.shape[0] * planes.shape[2])))
    mean = over_processes(planes.sum((0, 2))) / count
    return over_processes((planes - mean[:, None]).square().sum((0, 2))) / count


def _group(name: str) -> Any:
    return distributed_c10d._resolve_process_group(name)  # type: ignore[attr-defined, arg-type]


def _parameters(
    x: Tensor,
    v: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    planes: Tensor,
    batch: Tensor,
    variant: int,
    eps: float,
) -> Tensor:
    """[N, 5, C] as csrc/evonorm/operators.h has them."""
    mean, spread = planes.unbind(1)
    own = ((spread if variant == B0 else spread + mean.square()) + eps).sqrt()
    left = (batch[1] + eps).sqrt()
    # The kernel's choice of the larger passes a NaN on the right on, but not one on the left.
    own = torch.where(left.isnan(), left, own)
    one = torch.ones_like(left)
    rows = (one if weight is None else weight, one * 0 if bias is None else bias, left, own, one if v is None else v)
    return torch.stack([row.expand(own.shape) for row in rows], 1)


@torch.library.impl("fastsciml::evonorm_b", "cpu")
def _forward(
    x: Tensor,
    v: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    variance: Tensor | None,
    variant: int,
    eps: float,
    process_group: str | None,
) -> tuple[Tensor, Tensor, Tensor]:
    ops = torch.ops.fastsciml
    if process_group is None or variance is not None:
        local: tuple[Tensor, Tensor, Tensor] = ops.evonorm_b_local(x, v, weight, bias, variance, variant, eps)
        return local
    planes = ops.evonorm_moments(x, True)
    batch = shared_batch(_batch_of(planes, x), process_group)
    parameters = _parameters(x, v, weight, bias, planes, batch, variant, eps)
    return ops.evonorm_b_map(x, parameters, variant), planes, batch


@torch.library.impl("fastsciml::evonorm_b_backward", "cpu")
def _backward_kernel(
    dy: Tensor,
    x: Tensor,
    v: Tensor | None,
    weight: Tensor | None,
    planes: Tensor,
    batch: Tensor,
    training: bool,
    variant: int,
    eps: float,
    process_group: str | None,
) -> tuple[Tensor, Tensor]:
    ops = torch.ops.fastsciml
    if process_group is None or not training:
        arguments = (dy, x, v, weight, planes, batch, training, variant, eps)
        local: tuple[Tensor, Tensor] = ops.evonorm_b_local_backward(*arguments)
        return local
    parameters = _parameters(x, v, weight, None, planes, batch, variant, eps)
    scale, _, left, own, _ = parameters.unbind(1)
    sums = ops.evonorm_b_sums(dy, x, parameters, variant)
    totals = sums.sum(0)
    mean, _, count = batch
    space = x.numel() // (x.shape[0] * x.shape[1])
    linear = -scale * sums[:, 3] / (own * space)
    if variant == B0 and space == 1:
        linear = torch.zeros_like(linear)  # one position's variance is 0 whatever x; a x + b would leave its rounding
    constant = -linear * planes[:, 0] if variant == B0 else torch.zeros_like(linear)
    shared = -scale * shared_pull(totals[2], process_group) / (left * count)
    both = torch.cat([parameters, torch.stack([linear + shared, constant - shared * mean], 1)], 1)
    dx = ops.evonorm_b_slope(dy, x, both, variant)
    return dx, torch.stack([totals[0], totals[1], -scale[0] * totals[4]])


@torch.library.register_fake("fastsciml::evonorm_b")  # type: ignore[untyped-decorator]
def _fake(
    x: Tensor,
    v: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    variance: Tensor | None,
    variant: int,
    eps: float,
    process_group: str | None,
) -> tuple[Tensor, Tensor, Tensor]:
    n, channels = x.shape[:2]
    real_empty = x.new_empty((n, 2, channels), dtype=real_dtype(x))
    return torch.empty_like(x), real_empty, real_empty.new_empty((3, channels))


@torch.library.register_fake("fastsciml::evonorm_b_backward")  # type: ignore[untyped-decorator]
def _fake_backward(dy: Tensor, x: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), x.new_empty((3, x.shape[1]), dtype=real_dtype(x))


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    x, v, weight, bias, variance, *ctx.options = inputs
    ctx.training, ctx.has_bias = variance is None, bias is not None
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(x, v, weight, *output[1:])


def _backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    x, v, weight, planes, batch = ctx.saved_tensors
    dx, gradients = torch.ops.fastsciml.evonorm_b_backward(
        laid_out_like(dy, x), x, v, weight, planes, batch, ctx.training, *ctx.options
    )
    dbias, dweight, dv = gradients.unbind()
    by_input = (None if v is None else dv, None if weight is None else dweight, dbias if ctx.has_bias else None)
    return (dx, *by_input, None, None, None, None)


def _save_again(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    dy, x, v, weight, _, batch, ctx.training, *ctx.options = inputs
    ctx.save_for_backward(dy, x, v, weight, batch)


def _backward_again(ctx: Any, ddx: Tensor, dgradients: Tensor) -> tuple[Tensor | None, ...]:
    *saved, batch = ctx.saved_tensors
    variant, eps, process_group = ctx.options

    def definition(x: Tensor, v: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        variance = None if ctx.training else batch[1]
        if ctx.training and process_group is not None:
            variance = _shared_variance(x, process_group)
        return evonorm_b_definition(x, v, weight, bias, variance, variant, eps)

    gradients = differentiate_twice(
        definition,
        tuple(saved), ddx, dgradients,
    )  # fmt: skip
    return (*gradients, None, None, None, None, None, None)


torch.library.register_autograd("fastsciml::evonorm_b", _backward, setup_context=_save)
torch.library.register_autograd("fastsciml::evonorm_b_backward", _backward_again, setup_context=_save_again)
