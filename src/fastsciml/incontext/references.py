"""The algorithms that a trained learner is held against, tuned to its tasks, and how near it comes to each."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor, nn

from fastsciml.incontext import algorithms
from fastsciml.incontext.algorithms import Predictor
from fastsciml.incontext.comparison import (
    implicit_weight_difference,
    model_difference,
    prediction_difference,
    sensitivities,
    squared_prediction_difference,
)
from fastsciml.incontext.descent import DescentLearner
from fastsciml.incontext.experiment import Experiment
from fastsciml.incontext.tasks import Tasks

TUNING_TASKS, TUNING_SEED = 4096, 2**31 - 2
EVALUATION_TASKS, EVALUATION_SEED = 1024, 2**31 - 3
LOWEST, HIGHEST = 1e-5, 10.0  # rates and ridges looked at


@dataclass(frozen=True)
class Comparison:
    """A reference's loss, and a learner's differences from it.

    Attributes:
        name: of the reference.
        loss: half its mean squared error.
        prediction: mean norm of the difference of predictions.
        squared: mean square of it (SPD).
        cosine: of the sensitivities, mean.
        sensitivity: mean L2 norm of their difference.
        weights: mean squared difference of implied weights (ILWD).
    """

    name: str
    loss: float
    prediction: float
    squared: float
    cosine: float
    sensitivity: float
    weights: float


def tuning_tasks(experiment: Experiment) -> Tasks:
    """Tasks of the experiment that nobody trains or validates on."""
    generator = torch.Generator().manual_seed(TUNING_SEED)
    return experiment.tasks().sample(TUNING_TASKS, experiment.examples, generator=generator)


def evaluation_tasks(experiment: Experiment) -> Tasks:
    """Tasks with queries enough to see the weights that a prediction implies."""
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    queries = 2 * experiment.x_dim
    return experiment.tasks().sample(EVALUATION_TASKS, experiment.examples, queries, generator=generator)


def on_features(features: nn.Module | None, algorithm: Predictor) -> Predictor:
    """The algorithm on what the features make of x."""
    if features is None:
        return algorithm
    return lambda x, y, x_query: algorithm(features(x), y, features(x_query))


def fitted_descent(experiment: Experiment, learner: nn.Module, tasks: Tasks, plus_plus: bool) -> Predictor:
    """GD or GD++ of as many steps as the learner has layers, on its features if it has some."""
    features = getattr(learner, "features", None)
    if features is None:
        return copy.deepcopy(_fitted_to_x(experiment, plus_plus)).to(tasks.x.device)
    with torch.no_grad():
        seen = _featured(features, tasks)
    descent = DescentLearner(experiment.layers, plus_plus=plus_plus, shared=experiment.looped).fit(seen)
    return on_features(features, descent.to(seen.x.device).requires_grad_(False))


@lru_cache(maxsize=4)
def _fitted_to_x(experiment: Experiment, plus_plus: bool) -> DescentLearner:
    """On the CPU; a search of many steps takes seconds, and serves the log and the comparison."""
    descent = DescentLearner(experiment.layers, plus_plus=plus_plus, shared=experiment.looped)
    return descent.fit(tuning_tasks(experiment)).requires_grad_(False)


def nearest_descent(experiment: Experiment, learner: nn.Module, tasks: Tasks) -> Predictor:
    """What attention over joint tokens can be exactly: GD for one layer, GD++ for more."""
    return fitted_descent(experiment, learner, tasks, plus_plus=experiment.layers > 1)


def references(experiment: Experiment, learner: nn.Module, tasks: Tasks) -> dict[str, Predictor]:
    """By name, tuned to `tasks`; those that need a linear relation get the learner's features where it has some."""
    steps = experiment.layers
    found: dict[str, Predictor] = {}
    found[f"GD, {steps} step{'s' * (steps > 1)}"] = fitted_descent(experiment, learner, tasks, plus_plus=False)
    if steps > 1:
        found[f"GD++, {steps} steps"] = fitted_descent(experiment, learner, tasks, plus_plus=True)
    return found | regressions(experiment, tasks, getattr(learner, "features", None))


def regressions(experiment: Experiment, tasks: Tasks, features: nn.Module | None = None) -> dict[str, Predictor]:
    """What does not depend on the learner's depth."""
    with torch.no_grad():
        seen = _featured(features, tasks)
    found: dict[str, Predictor] = {}
    rate = algorithms.tuned(algorithms.stochastic_gradient_descent, seen, LOWEST, HIGHEST)
    found["one-pass SGD"] = partial(algorithms.stochastic_gradient_descent, rate=rate)
    if experiment.task == "linear" and experiment.noise:
        bayes = experiment.noise**2
        found[f"ridge, {bayes:.3g}"] = partial(algorithms.ridge_regression, ridge=bayes)
    elif experiment.task != "linear":
        ridge = algorithms.tuned(algorithms.ridge_regression, seen, LOWEST, HIGHEST)
        found[f"ridge, {ridge:.3g}"] = partial(algorithms.ridge_regression, ridge=ridge)
    found["least squares"] = algorithms.least_squares
    found = {name: on_features(features, algorithm) for name, algorithm in found.items()}
    return found | {"3 nearest": algorithms.nearest_neighbours}


def compare(learner: nn.Module, references: dict[str, Predictor], tasks: Tasks, validation: Tasks) -> list[Comparison]:
    """The learner against every reference on `tasks`, with x_dim queries at least; losses are those on `validation`."""
    with torch.no_grad():
        mine = learner(*tasks.given)
    my_sensitivities = sensitivities(learner, tasks)
    rows = []
    for name, reference in references.items():
        with torch.no_grad():
            loss = 0.5 * algorithms.mean_squared_error(reference(*validation.given), validation.y_query)
            its = reference(*tasks.given)
        cosine, sensitivity = model_difference(my_sensitivities, sensitivities(reference, tasks))
        weights = implicit_weight_difference(mine, its, tasks.x_query)
        by_prediction, squared = prediction_difference(mine, its), squared_prediction_difference(mine, its)
        rows.append(Comparison(name, loss, by_prediction, squared, cosine, sensitivity, weights))
    return rows


def _featured(features: nn.Module | None, tasks: Tasks) -> Tasks:
    if features is None:
        return tasks
    of: Callable[[Tensor], Tensor] = features
    return Tasks(of(tasks.x), tasks.y, of(tasks.x_query), tasks.y_query)
