"""What a trained operator predicts, and how far off it is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fastsciml.data import OperatorData
from fastsciml.operators.distributed import Ranks
from fastsciml.operators.losses import RelativeNorm


@torch.no_grad()
def predictions(operator: nn.Module, x: Tensor, batch: int = 8) -> Tensor:
    """[N, in_channels, *grid] -> [N, out_channels, *grid], batch by batch, in evaluation mode."""
    operator.eval()
    return torch.cat([operator(x[first : first + batch]) for first in range(0, len(x), batch)])


def trajectory(operator: nn.Module, x: Tensor, steps: int, batch: int = 8) -> Tensor:
    """[N, 1, *grid] -> [N, steps, *grid]: states after x by an operator that takes each to the next."""
    states = [x]
    for _ in range(steps):
        states.append(predictions(operator, states[-1], batch))
    return torch.cat(states[1:], 1)


@torch.no_grad()
def mean_errors(
    operator: nn.Module, data: OperatorData, losses: Mapping[str, RelativeNorm], batch: int, ranks: Ranks
) -> dict[str, float]:
    """Mean over the samples of each of some relative errors, by name; every process looks at its share."""
    operator.eval()
    total = torch.zeros(len(losses), device=data.x.device, dtype=torch.float64)
    for indices in torch.split(torch.arange(len(data)), batch):
        share = ranks.share(indices).to(data.x.device)
        if len(share):
            prediction, y = operator(data.x[share]), data.y[share]
            total += torch.stack([loss(prediction, y) * len(share) for loss in losses.values()])
    return dict(zip(losses, (ranks.total(total) / len(data)).tolist(), strict=True))
