"""EvoNorm layers: normalisation and activation in one, in the place of a BatchNorm and the ReLU after it.

Liu, Brock, Simonyan, Le, "Evolving Normalization-Activation Layers", NeurIPS 2020. Parameters and buffers are named as
in timm's layers: weight, bias, v, running_var.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from inspect import cleandoc
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from fastsciml import ops
from fastsciml.ops.evonorm_inputs import check_input, per_channel


class _EvoNorm(nn.Module, ABC):
    """Weight, bias and, for variants that have it, v; subclasses give the normalised activation.

    With `nonlinear=False` a layer is weight x + bias, as where the paper's networks have no activation.
    """

    has_v = False
    weight: Tensor | None
    bias: Tensor | None
    v: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float,
        affine: bool,
        nonlinear: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"num_features must be positive, got {num_features}")
        self.num_features, self.eps, self.affine, self.nonlinear = num_features, eps, affine, nonlinear
        for name, there in (("weight", affine), ("bias", affine), ("v", nonlinear and self.has_v)):
            values = nn.Parameter(torch.empty(num_features, device=device, dtype=dtype)) if there else None
            self.register_parameter(name, values)

    def reset_parameters(self) -> None:
        """Weight and v 1, bias 0."""
        for name, value in (("weight", 1.0), ("bias", 0.0), ("v", 1.0)):
            parameter = getattr(self, name)
            if parameter is not None:
                nn.init.constant_(parameter, value)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, ...], floating -> the same, of x's dtype and memory format."""
        if self.nonlinear:
            return self._activated(x)
        check_input(x, {"weight": self.weight, "bias": self.bias})
        y = x if self.weight is None else x * per_channel(self.weight, x).to(x.dtype)
        return y if self.bias is None else y + per_channel(self.bias, x).to(x.dtype)

    @abstractmethod
    def _activated(self, x: Tensor) -> Tensor: ...

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, affine={self.affine}, nonlinear={self.nonlinear}"


class _EvoNormS(_EvoNorm):
    """Layers without batch statistics: the same in training and evaluation.

    Args:
        num_features: the channels C of x [N, C, ...], float32, float64, float16 or bfloat16; y is like x.
        groups: into how many groups the channels are divided.
        eps: added to the statistic.
        affine: whether there are a weight and a bias.
        nonlinear: False: weight x + bias.
        device: of the parameters.
        dtype: of the parameters, any floating one.

    Raises:
        ValueError: num_features is not positive, or not to be divided into the groups; when called, x has another
            shape.
        TypeError: when called, x is not floating.

    Source: Liu, Brock, Simonyan, Le, "Evolving Normalization-Activation Layers" (NeurIPS 2020).
    """

    def __init__(
        self,
        num_features: int,
        groups: int = 32,
        eps: float = 1e-5,
        affine: bool = True,
        nonlinear: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_features, eps, affine, nonlinear, device, dtype)
        if groups < 1 or num_features % groups:
            raise ValueError(f"{num_features} channels cannot be divided into {groups} groups")
        self.groups = groups
        self.reset_parameters()

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, groups={self.groups}"


class EvoNormS0(_EvoNormS):
    __doc__ = "Weight x sigmoid(v x) / sqrt(group variance + eps) + bias.\n\n" + cleandoc(_EvoNormS.__doc__ or "")
    has_v = True

    def _activated(self, x: Tensor) -> Tensor:
        assert self.v is not None
        return ops.evonorm_s0(x, self.v, self.weight, self.bias, self.groups, self.eps)


class EvoNormS1(_EvoNormS):
    __doc__ = "Weight x sigmoid(x) / sqrt(group variance + eps) + bias.\n\n" + cleandoc(_EvoNormS.__doc__ or "")

    def _activated(self, x: Tensor) -> Tensor:
        return ops.evonorm_s1(x, self.weight, self.bias, self.groups, self.eps)


class EvoNormS2(_EvoNormS):
    __doc__ = "Weight x sigmoid(x) / sqrt(group mean of x^2 + eps) + bias.\n\n" + cleandoc(_EvoNormS.__doc__ or "")

    def _activated(self, x: Tensor) -> Tensor:
        return ops.evonorm_s2(x, self.weight, self.bias, self.groups, self.eps)


class _EvoNormB(_EvoNorm):
    """Layers with batch statistics: the batch's variance in training, a running one in evaluation.

    Args:
        num_features: the channels C of x [N, C, ...], float32, float64, float16 or bfloat16; y is like x.
        eps: added to every variance.
        momentum: weight of a batch in the running variance, which takes the unbiased one; None: the plain average of
            all batches.
        affine: whether there are a weight and a bias.
        nonlinear: False: weight x + bias.
        process_group: torch.distributed processes that share one batch statistic; None: each has its own.
        device: of the parameters.
        dtype: of the parameters, any floating one.

    Raises:
        ValueError: num_features is not positive; when called, x has another shape, or in training one element a
            channel.
        TypeError: when called, x is not floating.

    Source: Liu, Brock, Simonyan, Le, "Evolving Normalization-Activation Layers" (NeurIPS 2020).
    """

    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        nonlinear: bool = True,
        process_group: ProcessGroup | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_features, eps, affine, nonlinear, device, dtype)
        self.momentum = momentum
        self.process_group = None if process_group is None else process_group.group_name
        self.register_buffer("running_var", torch.ones(num_features, device=device, dtype=dtype))
        self.register_buffer("num_batches_tracked", torch.tensor(0, device=device))
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Running variance 1, of no batches."""
        self.running_var.fill_(1)
        self.num_batches_tracked.zero_()

    def _activated(self, x: Tensor) -> Tensor:
        y, batch = self._normalised(x, None if self.training else self.running_var)
        if self.training:
            self._track(batch)
        return y

    @abstractmethod
    def _normalised(self, x: Tensor, variance: Tensor | None) -> tuple[Tensor, Tensor]: ...

    @torch.no_grad()
    def _track(self, batch: Tensor) -> None:
        _, variance, count = batch
        self.num_batches_tracked.add_(1)
        share = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        unbiased = (variance * count / (count - 1)).to(self.running_var.dtype)
        self.running_var.add_((unbiased - self.running_var) * share)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Other packages' layers do not count batches."""
        state_dict.setdefault(f"{prefix}num_batches_tracked", torch.tensor(0))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, momentum={self.momentum}"


class EvoNormB0(_EvoNormB):
    __doc__ = "Weight x / max(sqrt(batch var + eps), v x + sqrt(plane var + eps)) + bias.\n\n" + cleandoc(
        _EvoNormB.__doc__ or ""
    )
    has_v = True

    def _normalised(self, x: Tensor, variance: Tensor | None) -> tuple[Tensor, Tensor]:
        assert self.v is not None
        return ops.evonorm_b0(x, self.v, self.weight, self.bias, variance, self.eps, self.process_group)


class EvoNormB1(_EvoNormB):
    __doc__ = "Weight x / max(sqrt(batch variance + eps), (x + 1) rms of the plane) + bias.\n\n" + cleandoc(
        _EvoNormB.__doc__ or ""
    )

    def _normalised(self, x: Tensor, variance: Tensor | None) -> tuple[Tensor, Tensor]:
        return ops.evonorm_b1(x, self.weight, self.bias, variance, self.eps, self.process_group)


class EvoNormB2(_EvoNormB):
    __doc__ = "Weight x / max(sqrt(batch variance + eps), rms of the plane - x) + bias.\n\n" + cleandoc(
        _EvoNormB.__doc__ or ""
    )

    def _normalised(self, x: Tensor, variance: Tensor | None) -> tuple[Tensor, Tensor]:
        return ops.evonorm_b2(x, self.weight, self.bias, variance, self.eps, self.process_group)
