"""Pictures of a training run, and of runs side by side. Without pyplot, so that nothing depends on a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from fastsciml.incontext.algorithms import Predictor, mean_squared_error, tuned_rate
from fastsciml.incontext.comparison import interpolated
from fastsciml.incontext.constructions import gradient_descent_learner
from fastsciml.incontext.experiment import Experiment
from fastsciml.incontext.references import Comparison
from fastsciml.incontext.tasks import Tasks
from fastsciml.incontext.training import Record
from fastsciml.nn import InContextLearner

LEARNER, REFERENCE = "#1f4e79", "#c05020"
SHADES = ("#c05020", "#3a7d44", "#7b4fa0", "#808080", "#b8860b", "#20808d")
FARTHEST = 0.03  # references below this share of the loss would flatten its curve
SHARES = torch.linspace(0, 1, 11).tolist()


def draw_run(
    experiment: Experiment,
    learner: nn.Module,
    records: Sequence[Record],
    comparisons: Sequence[Comparison],
    references: Mapping[str, Predictor],
    tasks: Tasks,
) -> Figure:
    """Loss over training, likeness to descent over training, and what the learner predicts."""
    figure = Figure(figsize=(14, 4.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    draw_losses(left, records, comparisons)
    if np.isnan(records[-1].cosine):
        _draw_differences(middle, comparisons)
    else:
        draw_likeness(middle, records)
    if experiment.task == "sine":
        _draw_curves(right, learner, references, tasks)
    elif can_be_interpolated(experiment):
        assert isinstance(learner, InContextLearner)
        draw_interpolation(right, experiment, learner, records[-1], tasks)
    else:
        _draw_predictions(right, learner, references, tasks)
    figure.suptitle(describe(experiment))
    return figure


def describe(experiment: Experiment) -> str:
    """The experiment in a line."""
    e = experiment
    layers = f"{e.layers} {'looped ' * e.looped}layer{'s' * (e.layers > 1)}"
    kind = "transformer" if e.learner == "transformer" else f"{e.learner} attention"
    noise = f", noise {e.noise:g}" if e.noise else ""
    return f"{kind}, {layers}: {e.task} regression, {e.x_dim} → {e.y_dim}, {e.examples} examples{noise}"


def can_be_interpolated(experiment: Experiment) -> bool:
    """Whether the learner and gradient descent are points of one space of weights, with a line between them."""
    e = experiment
    return e.learner == "linear" and e.layers == 1 and e.heads == 1 and not e.features and not e.mlp_width


def draw_losses(axes: Axes, records: Sequence[Record], comparisons: Sequence[Comparison]) -> None:
    axes.semilogy([r.step for r in records], [r.validation_loss for r in records], color=LEARNER, label="trained")
    for comparison, colour in zip(comparisons, SHADES, strict=False):
        axes.axhline(max(comparison.loss, 1e-6), color=colour, linestyle="--", linewidth=1, label=comparison.name)
    last = records[-1].validation_loss
    shown = [c.loss for c in comparisons if c.loss > FARTHEST * last]
    axes.set(title="Loss, tasks not trained on", xlabel="step", ylim=(0.7 * min(last, *shown), None))
    axes.legend(fontsize="small")
    axes.grid(which="major", color="0.9")


def draw_likeness(axes: Axes, records: Sequence[Record]) -> None:
    """Differences from descent on the left axis, the cosine on the right one."""
    steps = [r.step for r in records]
    axes.semilogy(steps, [r.prediction for r in records], color=LEARNER, label="predictions, mean norm")
    axes.semilogy(steps, [r.sensitivity for r in records], color=REFERENCE, label="sensitivities, L2")
    axes.set(title="Difference from descent", xlabel="step")
    beside: Any = axes.twinx()
    beside.plot(steps, [r.cosine for r in records], color="#3a7d44", linestyle=":", label="cosine (right)")
    beside.set_ylim(min(0.0, *(r.cosine for r in records)), 1.02)
    lines = [*axes.get_lines(), *beside.get_lines()]
    axes.legend(lines, [str(line.get_label()) for line in lines], fontsize="small", loc="center right")
    axes.grid(which="major", color="0.9")


def draw_interpolation(
    axes: Axes, experiment: Experiment, learner: InContextLearner, last: Record, tasks: Tasks
) -> None:
    """The loss on the line between the trained weights and those of gradient descent."""
    losses = interpolation_losses(experiment, learner, tasks)
    axes.plot(SHARES, losses, "o-", color=LEARNER, markersize=4)
    axes.set(title="Between trained and GD weights", xlabel="trained → constructed", ylabel="loss")
    axes.set_ylim(0.9 * min(losses), 1.1 * max(losses))
    axes.grid(color="0.9")


def interpolation_losses(experiment: Experiment, learner: InContextLearner, tasks: Tasks) -> list[float]:
    """At `SHARES`."""
    e = experiment
    rate = tuned_rate(tasks)
    construction = gradient_descent_learner(e.x_dim, e.y_dim, e.examples, rate).to(tasks.x.device)
    with torch.no_grad():
        mixed = [interpolated(learner, construction, share) for share in SHARES]
        return [0.5 * mean_squared_error(m(*tasks.given), tasks.y_query) for m in mixed]


def _draw_differences(axes: Axes, comparisons: Sequence[Comparison]) -> None:
    names = [c.name for c in comparisons]
    axes.barh(names, [c.squared for c in comparisons], color=LEARNER)
    axes.set(title="Squared prediction difference", xscale="log")
    axes.invert_yaxis()
    axes.grid(axis="x", color="0.9")


def _draw_curves(axes: Axes, learner: nn.Module, references: Mapping[str, Predictor], tasks: Tasks) -> None:
    """Three tasks: examples, the learner's function, and descent's on its features."""
    name, descent = next(iter(references.items()))
    x_query = torch.linspace(-5, 5, 200, device=tasks.x.device)[None, :, None]
    for i, colour in enumerate(SHADES[:3]):
        x, y = tasks.x[i : i + 1], tasks.y[i : i + 1]
        with torch.no_grad():
            curves = [predictor(x, y, x_query)[0].cpu() for predictor in (learner, descent)]
        across = x_query[0].cpu()
        axes.plot(x[0].cpu(), y[0].cpu(), "o", color=colour, markersize=4)
        axes.plot(across, curves[0], color=colour, label="trained" if i == 0 else None)
        axes.plot(across, curves[1], ":", color=colour, label=f"{name}, on its features" if i == 0 else None)
    axes.set(title="Three waves, their examples, predictions", xlabel="x", ylabel="y")
    axes.legend(fontsize="small")
    axes.grid(color="0.9")


def _draw_predictions(axes: Axes, learner: nn.Module, references: Mapping[str, Predictor], tasks: Tasks) -> None:
    name, reference = list(references.items())[min(1, len(references) - 1)]
    with torch.no_grad():
        its, mine = (p(*tasks.given)[:, 0, 0].cpu() for p in (reference, learner))
    axes.plot(its, mine, ".", color=LEARNER, markersize=3, alpha=0.5)
    limit = float(its.abs().max())
    axes.plot([-limit, limit], [-limit, limit], color="0.4", linewidth=1)
    axes.set(title="Predictions", xlabel=name, ylabel="trained")
    axes.set_box_aspect(1)
    axes.grid(color="0.9")
