"""Trained learners of linear tasks side by side: which algorithm each is nearest to, by examples, depth and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich import box
from rich.table import Table
from torch import Tensor, nn

from fastsciml.files import replacing
from fastsciml.incontext import algorithms
from fastsciml.incontext.algorithms import Predictor
from fastsciml.incontext.comparison import implicit_weight_difference, squared_prediction_difference
from fastsciml.incontext.experiment import Experiment
from fastsciml.incontext.picture import SHADES
from fastsciml.incontext.references import HIGHEST, LOWEST, evaluation_tasks, tuning_tasks
from fastsciml.incontext.run import load
from fastsciml.incontext.tasks import Tasks
from fastsciml.rows import write_rows

SLIGHT_RIDGE = 0.1  # where there is no noise
WEIGHED = 128  # tasks whose implied weights are compared: each takes a sequence per query
RIDGES = torch.logspace(-3, 1.5, 28).tolist()


@dataclass(frozen=True)
class Trained:
    """A run: its experiment, its learner, and tasks of its kind, all on one device."""

    experiment: Experiment
    learner: nn.Module
    tasks: Tasks
    tuning: Tasks
    predictions: dict[int, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, device: str) -> Trained:
        experiment, learner = load(folder)
        if experiment.task != "linear":
            raise ValueError(f"{folder} holds a run of {experiment.task} tasks: only linear ones are compared")
        tasks = (evaluation_tasks(experiment).to(device), tuning_tasks(experiment).to(device))
        return cls(experiment, learner.to(device).requires_grad_(False), *tasks)

    @property
    def name(self) -> str:
        e = self.experiment
        return f"{e.learner}, {e.layers} layer{'s' * (e.layers > 1)}, noise {e.noise:g}"

    def algorithms(self, examples: int) -> dict[str, Predictor]:
        """Tuned to so many examples, from the simplest to the best."""
        tuning = first(self.tuning, examples)
        rate = algorithms.tuned_rate(tuning)
        pass_rate = algorithms.tuned(algorithms.stochastic_gradient_descent, tuning, LOWEST, HIGHEST)
        ridge = self.experiment.noise**2 or SLIGHT_RIDGE
        return {
            "3 nearest": algorithms.nearest_neighbours,
            "GD, 1 step": partial(algorithms.gradient_descent, rate=rate),
            "one-pass SGD": partial(algorithms.stochastic_gradient_descent, rate=pass_rate),
            f"ridge, {'σ²/τ²' if self.experiment.noise else SLIGHT_RIDGE}": partial(
                algorithms.ridge_regression, ridge=ridge
            ),
            "least squares": algorithms.least_squares,
        }

    def prediction(self, examples: int) -> Tensor:
        """At each task's first query."""
        if examples not in self.predictions:
            self.predictions[examples] = self.learner(*first(self.tasks, examples).given)
        return self.predictions[examples]

    def difference(self, algorithm: Predictor, examples: int) -> float:
        """SPD from an algorithm."""
        its = algorithm(*first(self.tasks, examples).given)
        return squared_prediction_difference(self.prediction(examples), its)

    def differences(self, examples: int) -> dict[str, float]:
        """SPD from each algorithm."""
        return {name: self.difference(its, examples) for name, its in self.algorithms(examples).items()}

    def weight_differences(self) -> dict[str, float]:
        """ILWD from each algorithm that is linear in its query, with all examples of a few tasks."""
        few = Tasks(*(t[:WEIGHED] for t in (self.tasks.x, self.tasks.y, self.tasks.x_query, self.tasks.y_query)))
        mine = self.learner(*few.given)
        return {
            name: implicit_weight_difference(mine, its(*few.given), few.x_query)
            for name, its in self.algorithms(self.experiment.examples).items()
            if its is not algorithms.nearest_neighbours
        }

    def ridge_differences(self) -> list[float]:
        """SPD from ridge regression with every one of RIDGES, with all examples."""
        n = self.experiment.examples
        return [self.difference(partial(algorithms.ridge_regression, ridge=ridge), n) for ridge in RIDGES]

    def loss(self) -> float:
        n = self.experiment.examples
        return 0.5 * algorithms.mean_squared_error(self.prediction(n), first(self.tasks, n).y_query)


def first(tasks: Tasks, examples: int) -> Tasks:
    """The tasks with their first examples and their first query only."""
    return Tasks(tasks.x[:, :examples], tasks.y[:, :examples], tasks.x_query[:, :1], tasks.y_query[:, :1])


def side_by_side(folders: Sequence[Path], output: Path, device: str = "cpu") -> Table:
    """Draw the picture, write a .csv beside it, and give its table.

    Raises:
        ValueError: a folder holds no run, or one of other than linear tasks.
    """
    if output.suffix != ".png":
        raise ValueError(f"--output must end in .png, not {output}")
    runs = sorted((Trained.of(folder, device) for folder in folders), key=_order)
    with torch.no_grad():
        rows = [_row(run) for run in runs]
        figure = _draw(runs)
    write_rows(output.with_suffix(".csv"), list(rows[0]), rows)
    with replacing(output) as file:
        figure.savefig(file, format="png", dpi=130)
    return _table(rows)


def _order(run: Trained) -> tuple[float, int]:
    return run.experiment.noise, run.experiment.layers


def _row(run: Trained) -> dict[str, str | float]:
    spd, ilwd = run.differences(run.experiment.examples), run.weight_differences()
    ridges = run.ridge_differences()
    return {
        "learner": run.name,
        "loss": run.loss(),
        **{f"SPD {_short(name)}": value for name, value in spd.items()},
        **{f"ILWD {_short(name)}": value for name, value in ilwd.items()},
        "nearest": min(spd, key=lambda name: spd[name]),
        "nearest ridge": RIDGES[ridges.index(min(ridges))],
    }


def _short(name: str) -> str:
    return name.split(",")[0]


def _table(rows: Sequence[dict[str, str | float]]) -> Table:
    """Of loss and SPD; the .csv has ILWD as well."""
    table = Table(title="Squared prediction difference (SPD)", box=box.ROUNDED, title_justify="left")
    columns = [column for column in rows[0] if not column.startswith("ILWD")]
    for column in columns:
        table.add_column(column.removeprefix("SPD "), justify="left" if column in ("learner", "nearest") else "right")
    for row in rows:
        cells = (row[column] for column in columns)
        table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else cell for cell in cells))
    return table


def _draw(runs: Sequence[Trained]) -> Figure:
    """SPD by the number of examples, by depth, and by the ridge."""
    figure = Figure(figsize=(15, 4.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    quiet = [run for run in runs if run.experiment.noise == runs[0].experiment.noise]
    deepest = quiet[-1]
    counts = range(1, deepest.experiment.examples + 1)
    by_count = [deepest.differences(n) for n in counts]
    by_depth = [run.differences(run.experiment.examples) for run in quiet]
    depths = [run.experiment.layers for run in quiet]
    for name, colour in zip(by_count[0], SHADES, strict=False):
        left.semilogy(counts, [spd[name] for spd in by_count], color=colour, label=name)
        middle.semilogy(depths, [spd[name] for spd in by_depth], "o-", color=colour, label=name)
    left.axvline(deepest.experiment.x_dim, color="0.6", linestyle=":", linewidth=1)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set(title=deepest.name, xlabel="examples", ylabel="squared prediction difference")
    middle.set(title=f"With {quiet[0].experiment.examples} examples", xlabel="layers", xticks=depths)
    noisy = [run for run in runs if run.experiment.layers == deepest.experiment.layers]
    for run, colour in zip(noisy, SHADES, strict=False):
        noise = run.experiment.noise
        right.loglog(RIDGES, run.ridge_differences(), color=colour, label=f"trained with σ = {noise:g}")
        if noise:
            right.axvline(noise**2, color=colour, linestyle=":", linewidth=1)
    right.set(title="Difference from ridge regression", xlabel="ridge (dotted: σ²/τ²)")
    for axes in (left, middle, right):
        axes.legend(fontsize="small")
        axes.grid(which="major", color="0.9")
    return figure
