import pytest
import torch
from torch import nn

from fastsciml.incontext import algorithms
from fastsciml.incontext.constructions import gradient_descent_learner, gradient_descent_plus_plus_learner
from fastsciml.incontext.tasks import LinearTasks, SineTasks

DOUBLE = {"dtype": torch.float64}
SIZES = [(10, 1, 10, 1), (5, 2, 7, 3), (1, 1, 1, 2), (3, 4, 50, 1)]


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("x_dim", "y_dim", "examples", "queries"), SIZES)
@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("start", [False, True])
def test_layers_are_steps_of_gradient_descent(x_dim, y_dim, examples, queries, steps, start):
    given = LinearTasks(x_dim, y_dim).sample(17, examples, queries, **DOUBLE).given
    W0 = torch.randn(y_dim, x_dim, **DOUBLE) if start else None
    learner = gradient_descent_learner(x_dim, y_dim, examples, 0.6, steps, weights=W0, **DOUBLE)
    close(learner(*given), algorithms.gradient_descent(*given, 0.6, steps, W0))


@pytest.mark.parametrize(("x_dim", "y_dim", "examples", "queries"), SIZES)
def test_second_head_turns_x(x_dim, y_dim, examples, queries):
    given = LinearTasks(x_dim, y_dim).sample(17, examples, queries, **DOUBLE).given
    rates, gammas = [0.9, 0.7, 0.5], [0.03, 0.02, 0.0]
    learner = gradient_descent_plus_plus_learner(x_dim, y_dim, examples, rates, gammas, **DOUBLE)
    close(learner(*given), algorithms.gradient_descent_plus_plus(*given, rates, gammas))


def test_features_make_it_descent_on_deep_features():
    features = nn.Sequential(nn.Linear(1, 12), nn.GELU(), nn.Linear(12, 6)).double().requires_grad_(False)
    x, y, x_query = SineTasks().sample(17, 10, 3, **DOUBLE).given
    learner = gradient_descent_learner(6, 1, 10, 0.6, 2, features=features, **DOUBLE)
    close(learner(x, y, x_query), algorithms.gradient_descent(features(x), y, features(x_query), 0.6, 2))


def test_examples_keep_what_is_left_to_learn():
    x, y, x_query = LinearTasks(4).sample(3, 6, **DOUBLE).given
    learner = gradient_descent_learner(4, 1, 6, 0.6, **DOUBLE)
    (block,) = learner.blocks
    tokens = block(learner.tokens(x, y, x_query), 6)
    close(tokens[:, :6, 4:], y - algorithms.gradient_descent(x, y, x, 0.6))
    close(tokens[..., :4], torch.cat([x, x_query], 1))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: gradient_descent_learner(4, 1, 0, 0.1), "examples must be positive"),
        (lambda: gradient_descent_learner(4, 1, 5, 0.1, 0), "at least one"),
        (lambda: gradient_descent_plus_plus_learner(4, 1, 5, [0.1], []), "rates and gammas must be as many"),
        (
            lambda: gradient_descent_learner(4, 1, 5, 0.1, weights=torch.zeros(4, 1)),
            r"weights must have shape \(1, 4\)",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
