import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor

from fastsciml.incontext import algorithms
from fastsciml.incontext.descent import DescentLearner
from fastsciml.incontext.tasks import LinearTasks


def tasks(examples=9, x_dim=4, y_dim=2, batch=5, noise=0.1):
    return LinearTasks(x_dim, y_dim, noise=noise).sample(batch, examples, 3, dtype=torch.float64)


PEERS = {
    "ridge": (lambda *given: algorithms.ridge_regression(*given, 0.3), Ridge(0.3, fit_intercept=False)),
    "least squares": (algorithms.least_squares, LinearRegression(fit_intercept=False)),
    "neighbours": (algorithms.nearest_neighbours, KNeighborsRegressor(3, weights="distance")),
    "plain neighbours": (
        lambda *given: algorithms.nearest_neighbours(*given, k=2, weighted=False),
        KNeighborsRegressor(2),
    ),
}


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("examples", [3, 9])
def test_regressions_are_scikit_learns(name, examples):
    algorithm, peer = PEERS[name]
    given = tasks(examples).given
    found = algorithm(*given)
    for x, y, x_query, prediction in zip(*given, found, strict=True):
        expected = peer.fit(x, y).predict(x_query)
        np.testing.assert_allclose(prediction, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("start", [False, True])
def test_gradient_descent_goes_down_the_loss(start):
    t = tasks()
    W0 = torch.randn(2, 4, dtype=torch.float64) if start else torch.zeros(2, 4, dtype=torch.float64)
    W = W0.expand(5, 2, 4).clone().requires_grad_()
    for _ in range(3):
        loss = (t.x @ W.mT - t.y).square().sum() / (2 * t.x.shape[1])
        W = (W - 0.7 * torch.autograd.grad(loss, W)[0]).detach().requires_grad_()
    found = algorithms.gradient_descent(*t.given, rate=0.7, steps=3, weights=W0 if start else None)
    torch.testing.assert_close(found, t.x_query @ W.detach().mT)


def test_gradient_descent_plus_plus_without_turning_is_gradient_descent():
    given = tasks().given
    expected = algorithms.gradient_descent(*given, rate=0.7, steps=3)
    torch.testing.assert_close(algorithms.gradient_descent_plus_plus(*given, [0.7] * 3, [0.0] * 3), expected)


def test_stochastic_gradient_descent_takes_one_example_after_another():
    t = tasks()
    W = torch.zeros(5, 2, 4, dtype=torch.float64, requires_grad=True)
    for i in range(t.x.shape[1]):
        loss = (t.x[:, i : i + 1] @ W.mT - t.y[:, i : i + 1]).square().sum() + 0.2 * W.square().sum()
        W = (W - 0.05 * torch.autograd.grad(loss, W)[0]).detach().requires_grad_()
    found = algorithms.stochastic_gradient_descent(*t.given, rate=0.05, ridge=0.2)
    torch.testing.assert_close(found, t.x_query @ W.detach().mT)


def test_neighbour_that_is_the_query_has_all_the_weight():
    t = tasks()
    torch.testing.assert_close(algorithms.nearest_neighbours(t.x, t.y, t.x[:, 2:3]), t.y[:, 2:3])


def test_tuned_rate_cannot_be_bettered():
    t = tasks(batch=500)

    def error(rate):
        return algorithms.mean_squared_error(algorithms.gradient_descent(*t.given, rate), t.y_query)

    best = algorithms.tuned_rate(t)
    assert error(best) < min(error(0.98 * best), error(1.02 * best))
    found = algorithms.tuned(algorithms.gradient_descent, t, 1e-3, 10)
    assert found == pytest.approx(best, rel=1e-3)


def test_ridge_at_noise_over_prior_is_best():
    t = LinearTasks(6, 1, noise=0.7).sample(4000, 8, dtype=torch.float64)
    assert algorithms.tuned(algorithms.ridge_regression, t, 1e-3, 10) == pytest.approx(0.7**2, rel=0.15)


@pytest.mark.parametrize("plus_plus", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_fitted_descent_is_at_least_as_good_as_its_start(plus_plus, shared):
    t = LinearTasks(6).sample(500, 8)
    one = algorithms.mean_squared_error(algorithms.gradient_descent(*t.given, algorithms.tuned_rate(t)), t.y_query)
    descent = DescentLearner(3, plus_plus=plus_plus, shared=shared).fit(t)
    fitted = algorithms.mean_squared_error(descent(*t.given).detach(), t.y_query)
    assert fitted < (0.3 if plus_plus else 0.6) * one
    for parameter in descent.parameters():
        before = parameter.detach().clone()
        for factor in (0.97, 1.03):
            parameter.data = before * factor
            assert algorithms.mean_squared_error(descent(*t.given).detach(), t.y_query) > fitted - 1e-4
        parameter.data = before
