import pytest
import torch
from linear_regression import STANDARD, check_close, task, widest

from fastsciml.incontext.sgd import sgd_layout, sgd_learner, sgd_step


def stepped(w, x, y, learning_rate, ridge):
    """The step by its formula, with w [B, Q, d], x [B, d] and y [B, 1]."""
    x, y = x[:, None], y[:, None]
    return w - 2 * learning_rate * (x * (w * x).sum(-1, keepdim=True) - y * x + ridge * w)


def pass_of_sgd(x, y, x_query, learning_rate, ridge):
    w = torch.zeros_like(x_query)
    for i in range(x.shape[1]):
        w = stepped(w, x[:, i], y[:, i], learning_rate, ridge)
    return (w * x_query).sum(-1, keepdim=True)


@pytest.mark.parametrize("d", [1, 2, 4, 8])
@pytest.mark.parametrize(("learning_rate", "ridge"), [(0.02, 0.0), (0.1, 0.5)])
def test_a_step_is_that_of_sgd_and_of_the_queries_alone(d, learning_rate, ridge):
    layout = sgd_layout(d, examples=3, queries=2)
    x, y, x_query = task(d, examples=3, seed=d)
    before, w = layout.alternate(x, y, x_query), torch.randn(3, 2, d, dtype=torch.float64)
    before[:, layout.queries, layout["weights"]] = w
    after = sgd_step(layout, 1, learning_rate, ridge)(before)
    check_close(after[:, layout.queries, layout["weights"]], stepped(w, x[:, 1], y[:, 1], learning_rate, ridge))
    others = slice(layout.queries.start)
    assert torch.equal(after[:, others], before[:, others])


@pytest.mark.parametrize("d", [1, 2, 4, 8])
@pytest.mark.parametrize("examples", [1, 5, 12])
@pytest.mark.parametrize(("batch", "queries", "ridge"), [(1, 1, 0.0), (4, 3, 0.2)])
def test_predicts_as_one_pass_of_sgd(d, examples, batch, queries, ridge):
    x, y, x_query = task(d, examples, batch, queries, seed=d + examples)
    learner = sgd_learner(d, examples, 0.2 / d, ridge, queries=queries)
    check_close(learner(x, y, x_query), pass_of_sgd(x, y, x_query, 0.2 / d, ridge))


def test_is_made_of_standard_parts():
    learner = sgd_learner(2, 3, 0.1)
    assert {type(module) for block in learner.blocks for module in block.modules()} <= STANDARD


def test_a_step_is_of_constant_depth_and_linear_width():
    layouts = [sgd_layout(d, examples=2) for d in (4, 8, 16)]
    steps = [sgd_step(layout, 0, 0.1) for layout in layouts]
    assert {len(step) for step in steps} == {6}
    for widths in ([widest(step) for step in steps], [layout.width for layout in layouts]):
        assert widths[2] - widths[1] == 2 * (widths[1] - widths[0])
    assert len(sgd_learner(4, 3, 0.1).blocks) == 3 * 6 + 1


def test_works_in_float32():
    x, y, x_query = task(4, 6)
    got = sgd_learner(4, 6, 0.05, 0.1, queries=2).float()(x.float(), y.float(), x_query.float())
    assert got.dtype == torch.float32
    check_close(got.double(), pass_of_sgd(x, y, x_query, 0.05, 0.1), 1e-3)


def test_has_the_gradients_of_sgd():
    inputs = [tensor.requires_grad_() for tensor in task(3, 4)]
    learner = sgd_learner(3, 4, 0.1, 0.1, queries=2)
    got = torch.autograd.grad(learner(*inputs).square().sum(), inputs)
    wanted = torch.autograd.grad(pass_of_sgd(*inputs, 0.1, 0.1).square().sum(), inputs)
    for one, other in zip(got, wanted, strict=True):
        check_close(one, other)


def test_errors_name_the_argument():
    layout = sgd_layout(2, examples=3)
    with pytest.raises(ValueError, match="example must be from 0 to 2, got 3"):
        sgd_step(layout, 3, 0.1)
    with pytest.raises(ValueError, match="learning_rate must be positive"):
        sgd_step(layout, 0, 0.0)
    with pytest.raises(ValueError, match="ridge must not be negative"):
        sgd_learner(2, 3, 0.1, -1.0)
    with pytest.raises(ValueError, match="bound must be positive"):
        sgd_learner(2, 3, 0.1, bound=0.0)
    with pytest.raises(ValueError, match="x must be positive"):
        sgd_learner(0, 3, 0.1)
    with pytest.raises(ValueError, match="y must have shape"):
        sgd_learner(2, 3, 0.1)(torch.zeros(1, 3, 2), torch.zeros(1, 2, 1), torch.zeros(1, 1, 2))
