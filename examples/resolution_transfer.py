"""MgNO on finer grids than in training: `python examples/resolution_transfer.py [smooth | rough] [epochs]`.

Trains it with 16 channels on 400 pairs of Darcy flow, at 17 x 17 vertices and again at 16 x 16 cell centres, all taken
from solutions on 129 x 129 points. Prints the relative L2 errors of 100 others on the training grid and on grids with
half and a quarter of its spacing. Writes resolution_transfer.png: these, and one of the others on the finest grid.
"""

import sys

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from fastsciml.data import DarcyFlow
from fastsciml.operators import MgNO
from fastsciml.operators.resolution import AtTrainingResolution

FINEST = 128
TRAINING, TEST, BATCH, RATE = 400, 100, 16, 2e-3
COLOURS = ("#c05020", "#1f4e79", "#3a7d44")


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


def trained(x: Tensor, y: Tensor, epochs: int) -> nn.Module:
    torch.manual_seed(0)
    model = MgNO(width=16, layers=3, levels=4)
    optimiser = torch.optim.Adam(model.parameters())
    steps = epochs * (len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(BATCH):
            optimiser.zero_grad()
            relative_error(model(x[batch]), y[batch]).backward()
            optimiser.step()
            schedule.step()
    return model


def draw_errors(axes, points, grids, errors):
    for (name, values), colour in zip(errors.items(), COLOURS, strict=True):
        axes.loglog(grids, values, "o-", color=colour, label=name)
    axes.set(title=f"Unknowns at {points}, trained on {grids[0]} x {grids[0]}", xlabel="points along each axis")
    axes.set_xticks(grids, [str(n) for n in grids])
    axes.set_yticks([0.03, 0.1, 0.3, 1], ["3 %", "10 %", "30 %", "100 %"])
    axes.minorticks_off()
    axes.set(ylabel="relative L2 error, 100 unseen samples")
    axes.grid(color="0.9")
    axes.legend()


def draw_sample(row, fields):
    """Fields [n, n] beside each other, all but the first, the coefficient, on the truth's scale."""
    truth = fields["truth"]
    for axes, (name, field) in zip(row, fields.items(), strict=True):
        scale = {} if name.startswith("coefficient") else {"vmin": 0, "vmax": float(truth.max())}
        image = axes.imshow(field.T, origin="lower", cmap="viridis" if scale else "cividis", **scale)
        axes.set(title=name, xticks=(), yticks=())
    row[-1].figure.colorbar(image, cax=row[-1].inset_axes((1.04, 0, 0.05, 1)), extend="max")


@torch.no_grad()
def main() -> None:
    coefficient = sys.argv[1] if len(sys.argv) > 1 else "smooth"
    epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    torch.set_num_threads(1)  # these grids are too little work for more
    x, y = pairs(coefficient)
    figure = Figure(figsize=(14, 7.4), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.25, 1))
    for axes, (points, extent) in zip(above.subplots(1, 2), (("vertices", 17), ("cells", 16)), strict=True):
        at = [on_grid(field, points, 16) for field in (x, y)]
        with torch.enable_grad():
            model = trained(*(field[:TRAINING] for field in at), epochs)
        error = relative_error(model(at[0][TRAINING:]), at[1][TRAINING:])
        print(f"{points}: {error:.4f} on the training grid, {extent} x {extent}", flush=True)
        ways = {
            "the model itself": model,
            "at the training grid's points": AtTrainingResolution(model, at[0].shape[2:], points=points),
            "the same, average=True": AtTrainingResolution(model, at[0].shape[2:], points=points, average=True),
        }
        grids, errors = [extent], {name: [error] for name in ways}
        for spacings in (32, 64):
            fine = [on_grid(field, points, spacings)[TRAINING:] for field in (x, y)]
            grids.append(fine[0].shape[-1])
            for name, way in ways.items():
                found = relative_error(way(fine[0]), fine[1])
                errors[name].append(found)
                print(f"  {grids[-1]} x {grids[-1]}  {name:30} {found:.4f}  x {found / error:.2f}", flush=True)
        draw_errors(axes, points, grids, errors)
        if points == "vertices":
            fields = {f"coefficient, {grids[-1]} x {grids[-1]}": fine[0][0, 0], "truth": fine[1][0, 0]}
            draw_sample(below.subplots(1, 5), fields | {name: way(fine[0][:1])[0, 0] for name, way in ways.items()})
    figure.suptitle(f"MgNO on finer grids than in training: Darcy flow, {coefficient} coefficient")
    figure.savefig("resolution_transfer.png", dpi=110)


if __name__ == "__main__":
    main()
