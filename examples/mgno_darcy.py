"""Darcy flow by a multigrid neural operator: `python examples/mgno_darcy.py [epochs]`.

Solves -div(a grad u) = 1 on the unit square for 400 random coefficients a, trains MgNO on 340 of the pairs (a, u), and
predicts u for the 60 others. Prints the mean relative L2 error of these beside that of always telling the mean of the
training solutions. Writes mgno_darcy.png: the sample of median error, the worst one, and the training.
"""

import sys
import time

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from torch import Tensor

from fastsciml.data import DarcyFlow, OperatorData
from fastsciml.operators import MgNO, RelativeL2, Trainer, TrainingSettings

TRAINING, TEST, POINTS = 340, 60, 33


def errors_by_sample(prediction: Tensor, truth: Tensor) -> Tensor:
    return torch.stack([RelativeL2()(*pair) for pair in zip(prediction.split(1), truth.split(1), strict=True)])


def draw_field(axes, field, title, ticks=None, **style):
    """A field [x, y] on the unit square, with a bar as high as itself."""
    image = axes.imshow(field.T, origin="lower", extent=(0, 1, 0, 1), **style)
    axes.figure.colorbar(image, cax=axes.inset_axes((1.04, 0, 0.05, 1)), ticks=ticks)
    axes.set(xticks=(), yticks=())
    axes.set_title(title, fontsize="medium")


def draw_sample(row, name, a, u, guess, error):
    """Coefficient; truth and prediction on one scale; their difference. Of u hundredfold, for short numbers."""
    u, guess = 100 * u, 100 * guess
    end = float((guess - u).abs().max())
    scale = {"vmin": 0, "vmax": float(max(u.max(), guess.max())), "cmap": "viridis"}
    draw_field(row[0], a, "coefficient a", ticks=a.unique(), cmap="cividis")
    draw_field(row[1], u, "solution 100 u", **scale)
    draw_field(row[2], guess, "MgNO's prediction of 100 u", **scale)
    draw_field(row[3], guess - u, f"prediction − solution: {error:.1%}", cmap="RdBu_r", vmin=-end, vmax=end)
    row[0].set_ylabel(name, fontsize="large")


def draw_training(axes, records, of_mean):
    epochs = [record.epoch for record in records]
    axes.semilogy(epochs, [record.train_loss for record in records], color="0.6", label="samples trained on")
    axes.semilogy(epochs, [record.test_l2 for record in records], "o-", color="#1f4e79", markersize=3, label="unseen")
    axes.axhline(of_mean, color="#c05020", linestyle="--", label="mean training solution")
    axes.set(title="Relative L2 error", xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5])
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_minor_formatter("")
    axes.grid(color="0.9")
    axes.legend(fontsize="small")


epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 24
started = time.perf_counter()
data = DarcyFlow(POINTS, "rough", refine=3).sample(TRAINING + TEST, generator=torch.Generator().manual_seed(0))
print(f"{len(data)} solutions on {POINTS} x {POINTS} points: {time.perf_counter() - started:.1f} s", flush=True)
train, test = OperatorData(data.x[:TRAINING], data.y[:TRAINING]), OperatorData(data.x[TRAINING:], data.y[TRAINING:])

torch.manual_seed(0)
model = MgNO.preset("darcy-rough", width=16, levels=4)
trainer = Trainer(model, TrainingSettings(epochs=epochs, rate=3e-3, batch=10, loss="l2"), train, test)
trainer.run()
parameters = sum(parameter.numel() for parameter in model.parameters())
print(f"MgNO with {parameters:,} parameters, trained for {trainer.seconds:.0f} s")

with torch.no_grad():
    prediction = trainer.operator.eval()(test.x)
errors = errors_by_sample(prediction, test.y)
of_mean = float(errors_by_sample(train.y.mean(0, keepdim=True).expand_as(test.y), test.y).mean())
print(f"relative L2 error of {TEST} unseen samples: mean {errors.mean():.2%}, worst {errors.max():.2%}")
print(f"that of the mean training solution: {of_mean:.2%}")

figure = Figure(figsize=(15.5, 5.4), layout="constrained")
fields, training = figure.subfigures(1, 2, width_ratios=(3.2, 1))
by_error = errors.argsort()
chosen = {"median error": by_error[TEST // 2], "largest error": by_error[-1]}
for row, (name, i) in zip(fields.subplots(2, 4), chosen.items(), strict=True):
    draw_sample(row, name, test.x[i, 0], test.y[i, 0], prediction[i, 0], errors[i])
draw_training(training.subplots(), trainer.records, of_mean)
figure.suptitle(f"Darcy flow −div(a grad u) = 1: two of {TEST} unseen samples, and {epochs} epochs of training")
figure.savefig("mgno_darcy.png", dpi=110)
