"""MgNO on finer grids than in training: `python examples/resolution_transfer.py [smooth | rough]`.

Trains it with 16 channels on 400 pairs of Darcy flow, at 17 x 17 vertices and again at 16 x 16 cell centres, all taken
from solutions on 129 x 129 points. Prints the relative L2 errors of 100 others on the training grid and on grids with
half and a quarter of its spacing. About four minutes on one core.
"""

import sys

import torch
from torch import Tensor, nn

from fastsciml.data import DarcyFlow
from fastsciml.operators import MgNO
from fastsciml.operators.resolution import AtTrainingResolution

FINEST = 128
TRAINING, TEST, BATCH, EPOCHS, RATE = 400, 100, 16, 60, 2e-3


def pairs(coefficient):
    """Coefficients and solutions on the finest grid, scaled to be of the order of 1."""
    problem, generator = DarcyFlow(FINEST + 1, coefficient, refine=1), torch.Generator().manual_seed(0)
    chunks = [problem.sample(50, generator=generator) for _ in range((TRAINING + TEST) // 50)]
    x, y = torch.cat([chunk.x for chunk in chunks]), torch.cat([chunk.y for chunk in chunks])
    return (x - x.mean()) / x.std(), y / y.std()


def on_grid(field: Tensor, points: str, spacings: int) -> Tensor:
    """Values at the vertices or the centres of so many intervals along each axis."""
    step = FINEST // spacings
    first = step // 2 if points == "cells" else 0
    return field[..., first::step, first::step].contiguous()


def relative_error(prediction: Tensor, solution: Tensor) -> Tensor:
    norms = [torch.linalg.vector_norm(t, dim=(1, 2, 3)) for t in (prediction - solution, solution)]
    return (norms[0] / norms[1]).mean()


def trained(x: Tensor, y: Tensor) -> nn.Module:
    torch.manual_seed(0)
    model = MgNO(width=16, layers=3, levels=4)
    optimiser = torch.optim.Adam(model.parameters())
    steps = EPOCHS * (len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH):
            optimiser.zero_grad()
            relative_error(model(x[batch]), y[batch]).backward()
            optimiser.step()
            schedule.step()
    return model


@torch.no_grad()
def main() -> None:
    x, y = pairs(sys.argv[1] if len(sys.argv) > 1 else "smooth")
    for points, extent in (("vertices", 17), ("cells", 16)):
        at = [on_grid(field, points, 16) for field in (x, y)]
        with torch.enable_grad():
            model = trained(*(field[:TRAINING] for field in at))
        error = relative_error(model(at[0][TRAINING:]), at[1][TRAINING:])
        print(f"{points}: {error:.4f} on the training grid, {extent} x {extent}", flush=True)
        ways = {
            "the model itself": model,
            "at the training grid's points": AtTrainingResolution(model, at[0].shape[2:], points=points),
            "the same, average=True": AtTrainingResolution(model, at[0].shape[2:], points=points, average=True),
        }
        for spacings in (32, 64):
            fine = [on_grid(field, points, spacings)[TRAINING:] for field in (x, y)]
            for name, way in ways.items():
                found = relative_error(way(fine[0]), fine[1])
                print(
                    f"  {fine[0].shape[-1]} x {fine[0].shape[-1]}  {name:30} {found:.4f}  x {found / error:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
