from functools import partial

import pytest
import torch

from fastsciml.incontext import algorithms, comparison
from fastsciml.incontext.constructions import gradient_descent_learner
from fastsciml.incontext.tasks import LinearTasks
from fastsciml.nn import InContextLearner

DOUBLE = {"dtype": torch.float64}
DESCENT = partial(algorithms.gradient_descent, rate=0.6)


@pytest.fixture
def tasks():
    return LinearTasks(4, 2).sample(6, 9, 5, **DOUBLE)


def test_construction_differs_from_its_algorithm_in_nothing(tasks):
    learner = gradient_descent_learner(4, 2, 9, 0.6, **DOUBLE)
    predictions = learner(*tasks.given), DESCENT(*tasks.given)
    assert comparison.squared_prediction_difference(*predictions) < 1e-20
    assert comparison.prediction_difference(*predictions) < 1e-10
    slopes = (comparison.sensitivities(predictor, tasks) for predictor in (learner, DESCENT))
    cosine, distance = comparison.model_difference(*slopes)
    assert cosine == pytest.approx(1, abs=1e-12)
    assert distance < 1e-12
    assert comparison.implicit_weight_difference(*predictions, tasks.x_query) < 1e-20


def test_differences_are_those_of_known_weights(tasks):
    one, other = torch.randn(2, 2, 4, **DOUBLE)
    predictors = [lambda x, y, x_query, W=W: x_query @ W.T for W in (one, other)]
    difference = one - other
    predictions = [predictor(*tasks.given) for predictor in predictors]
    _, distance = comparison.model_difference(*(comparison.sensitivities(p, tasks) for p in predictors))
    assert distance == pytest.approx(float(difference.norm()))
    found = comparison.implicit_weight_difference(*predictions, tasks.x_query)
    assert found == pytest.approx(float(difference.norm() ** 2))
    expected = (tasks.x_query @ difference.T).square().sum(-1).mean()
    assert comparison.squared_prediction_difference(*predictions) == pytest.approx(float(expected))
    torch.testing.assert_close(comparison.sensitivities(predictors[0], tasks)[1, 2], one)


def test_interpolation_ends_at_both_learners(tasks):
    one, other = InContextLearner.of_depth(4, 2, 2, dtype=torch.float64), gradient_descent_learner(4, 2, 9, 0.6, 2)
    other = other.double()
    for share, learner in ((0.0, one), (1.0, other)):
        mixed = comparison.interpolated(one, other, share)
        torch.testing.assert_close(mixed(*tasks.given), learner(*tasks.given))


def test_interpolation_needs_learners_alike(tasks):
    one = InContextLearner.of_depth(4, 2, 2)
    with pytest.raises(ValueError, match="as many blocks"):
        comparison.interpolated(one, InContextLearner.of_depth(4, 2, 1), 0.5)
    with pytest.raises(ValueError, match="one head"):
        comparison.interpolated(one, InContextLearner.of_depth(4, 2, 2, num_heads=2), 0.5)
