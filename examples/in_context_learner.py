"""Trained attention that is gradient descent: `python examples/in_context_learner.py [steps]`.

Linear self-attention reads ten examples (x, y) of a linear task that it has never met, and predicts y for another x.
Trained on fresh tasks, one layer becomes a step of gradient descent, and two layers with the same weights become two
steps of GD++ (von Oswald et al., ICML 2023). Prints losses and cosines, writes in_context_learner.png.
"""

import sys
from dataclasses import replace
from functools import partial

import torch
from matplotlib.figure import Figure

from fastsciml.incontext import DescentLearner, Experiment, Tasks, Trainer
from fastsciml.incontext.algorithms import gradient_descent, mean_squared_error, ridge_regression, tuned_rate
from fastsciml.incontext.comparison import model_difference, sensitivities

ONE, TWO, BEST = "#1f4e79", "#c05020", "#3a7d44"
NOISE, COUNTS = 0.3, (1, 2, 3, 5, 7, 10, 14, 20, 28, 40)
one = Experiment(
    x_dim=10,
    examples=10,
    noise=NOISE,
    steps=int(sys.argv[1]) if len(sys.argv) > 1 else 3000,
    rate=2e-3,
    schedule="cosine",
    init_std=0.05,
)
two = replace(one, layers=2, looped=True)


def drawn(seed, examples, batch=4096) -> Tasks:
    return one.tasks().sample(batch, examples, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def loss(predictor, tasks):
    return mean_squared_error(predictor(*tasks.given), tasks.y_query) / 2


def trained(experiment):
    trainer = Trainer(experiment)
    trainer.run(log_every=max(1, experiment.steps // 30))
    print(f"{experiment.layers} layer{'s' * (experiment.layers > 1)}: {trainer.seconds:.0f} s of training", flush=True)
    return trainer


def draw_training(axes, records):
    """Loss of both learners; dashed what they are held against."""
    for name, colour in (("one layer", ONE), ("two looped layers", TWO)):
        axes.plot([r.step for r in records[name]], [r.validation_loss for r in records[name]], color=colour, label=name)
    for name, colour in (("tuned GD, one step", ONE), ("tuned GD++, two steps", TWO), ("ridge regression", BEST)):
        axes.axhline(losses[name], color=colour, linestyle="--", linewidth=1, label=name)
    axes.set(title="Loss of tasks not trained on", xlabel="step", ylabel="half the mean squared error", ylim=(0, None))
    axes.legend(fontsize="small")


def draw_likeness(axes, records):
    for name, colour in (("one layer", ONE), ("two looped layers", TWO)):
        distance = [1 - r.cosine for r in records[name]]
        label = f"{name} and {'GD' if name == 'one layer' else 'GD++'}"
        axes.semilogy([r.step for r in records[name]], distance, color=colour, label=label)
    axes.set(title="1 − cosine of d prediction / d x", xlabel="step")
    axes.legend(fontsize="small")


def draw_counts(axes, learner, step, ridge):
    """Loss by number of examples. The step's size for each example stays what it was for ten, as in attention."""
    many = [drawn(3, count) for count in COUNTS]
    again = [partial(gradient_descent, rate=step * count / one.examples) for count in COUNTS]
    axes.plot(COUNTS, [loss(learner, tasks) for tasks in many], "o", color=ONE, label="one layer")
    by_step = [loss(descent, tasks) for descent, tasks in zip(again, many, strict=True)]
    axes.plot(COUNTS, by_step, color=ONE, linewidth=1, label="GD, the same step")
    axes.plot(COUNTS, [loss(ridge, tasks) for tasks in many], "--", color=BEST, label="ridge regression")
    axes.axvline(one.examples, color="0.8", zorder=0)
    axes.set(title="Loss by number of examples, trained with 10", xlabel="examples", xscale="log", yscale="log")
    axes.set_xticks(COUNTS, COUNTS, minor=False)
    axes.minorticks_off()
    axes.set_yticks([0.1, 0.3, 1, 3], ["0.1", "0.3", "1", "3"])
    axes.legend(fontsize="small", loc="lower left")


def draw_predictions(axes, learner, descent, tasks):
    with torch.no_grad():
        its, mine = (predictor(*tasks.given)[:600].flatten() for predictor in (descent, learner))
    axes.plot(its, mine, ".", color=ONE, markersize=3)
    end = float(its.abs().max())
    axes.plot([-end, end], [-end, end], color="0.6", linewidth=1, zorder=0)
    axes.set(title="600 predictions", xlabel="tuned GD, one step", ylabel="one layer", aspect="equal")


def draw_weights(axes, matrix, title):
    end = float(matrix.abs().max())
    image = axes.imshow(matrix, cmap="RdBu_r", vmin=-end, vmax=end)
    axes.figure.colorbar(image, cax=axes.inset_axes((1.04, 0, 0.05, 1)))
    axes.set(title=title, xticks=(4.5, 10), yticks=(4.5, 10), xticklabels="xy", yticklabels="xy")
    axes.tick_params(length=0)


trainers = {"one layer": trained(one), "two looped layers": trained(two)}
layer, looped = (trainer.learner for trainer in trainers.values())
records = {name: trainer.records for name, trainer in trainers.items()}
tuning, tasks = drawn(1, one.examples), trainers["one layer"].validation
step = tuned_rate(tuning)
references = {
    "tuned GD, one step": partial(gradient_descent, rate=step),
    "tuned GD++, two steps": DescentLearner(2, plus_plus=True, shared=True).fit(tuning),
    "ridge regression": partial(ridge_regression, ridge=NOISE**2),
}
predictors = {"one layer": layer, "two looped layers": looped, **references}
losses = {name: loss(predictor, tasks) for name, predictor in predictors.items()}
for mine, its in (("one layer", "tuned GD, one step"), ("two looped layers", "tuned GD++, two steps")):
    cosine, _ = model_difference(*(sensitivities(predictors[name], tasks) for name in (mine, its)))
    print(f"{mine}: loss {losses[mine]:.4f}, that of {its}, {losses[its]:.4f}; cosine {cosine:.4f}")
print(f"ridge regression, the best there is: loss {losses['ridge regression']:.4f}")

figure = Figure(figsize=(14.5, 8), layout="constrained")
axes = figure.subplots(2, 3)
draw_training(axes[0, 0], records)
draw_likeness(axes[0, 1], records)
draw_counts(axes[0, 2], layer, step, references["ridge regression"])
draw_predictions(axes[1, 0], layer, references["tuned GD, one step"], tasks)
with torch.no_grad():
    attention = layer.blocks[0].attention
    KQ, PV = (attention.key.mT @ attention.query)[0], (attention.projection @ attention.value)[0]
    size = KQ.diagonal()[:-1].mean()  # only the product of both matters
    print(
        f"one layer's P V ends in {PV[-1, -1] * size:.4f}; minus the tuned rate by examples: {-step / one.examples:.4f}"
    )
draw_weights(axes[1, 1], KQ / size, "one layer's Kᵀ Q: GD's is 1 on the diagonal of x")
draw_weights(axes[1, 2], size * PV, f"one layer's P V: GD's is {-step / one.examples:.3f} at y, y")
figure.suptitle("Linear attention, trained on linear tasks y = W x + noise with ten examples each")
figure.savefig("in_context_learner.png", dpi=110)
