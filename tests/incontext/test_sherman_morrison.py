import pytest
import torch
from linear_regression import STANDARD, check_close, task, widest

from fastsciml.incontext.sherman_morrison import ridge_learner, sherman_morrison_layout, sherman_morrison_step


def solution(x, y, ridge):
    """(lambda I + X^T X)^-1 X^T y, [B, d, 1]."""
    return torch.linalg.solve(ridge * torch.eye(x.shape[-1], dtype=x.dtype) + x.mT @ x, x.mT @ y)


@pytest.mark.parametrize("d", [1, 2, 4, 8])
@pytest.mark.parametrize("ridge", [0.2, 1.0])
def test_a_step_is_that_of_sherman_and_morrison_and_of_the_queries_alone(d, ridge):
    layout = sherman_morrison_layout(d, examples=2, queries=3)
    x, y, x_query = task(d, examples=2, queries=3, seed=d)
    before = layout.alternate(x, y, x_query)
    seen = torch.randn(3, 4, d, dtype=torch.float64)
    inverse = torch.linalg.inv(ridge * torch.eye(d, dtype=torch.float64) + seen.mT @ seen)
    moments = torch.randn(3, d, dtype=torch.float64)
    before[:, layout.queries, layout["inverse"]] = inverse.flatten(1)[:, None]
    before[:, layout.queries, layout["moments"]] = moments[:, None]
    after = sherman_morrison_step(layout, 1, ridge)(before)

    u = x[:, 1, :, None]
    image = inverse @ u
    updated = inverse - image @ image.mT / (1 + u.mT @ image)
    check_close(after[:, layout.queries, layout["inverse"]], updated.flatten(1)[:, None].expand(-1, 3, -1))
    check_close(after[:, layout.queries, layout["moments"]], (moments + y[:, 1] * x[:, 1])[:, None].expand(-1, 3, -1))

    others = after[:, : layout.queries.start].clone()
    assert others[:, 1:, layout["divisor"]].eq(1).all()
    others[..., layout["divisor"]] = 0
    assert torch.equal(others, before[:, : layout.queries.start])


@pytest.mark.parametrize("d", [1, 2, 4, 8])
@pytest.mark.parametrize("examples", [1, 5, 12])
@pytest.mark.parametrize(("batch", "queries", "ridge"), [(1, 1, 0.1), (4, 3, 1.0)])
def test_predicts_as_ridge_regression(d, examples, batch, queries, ridge):
    x, y, x_query = task(d, examples, batch, queries, seed=d + examples)
    learner = ridge_learner(d, examples, ridge, queries=queries)
    check_close(learner(x, y, x_query), x_query @ solution(x, y, ridge))


def test_is_made_of_standard_parts():
    learner = ridge_learner(2, 3, 0.5)
    assert {type(module) for block in learner.blocks for module in block.modules()} <= STANDARD


def test_a_step_is_of_constant_depth_and_quadratic_width():
    layouts = [sherman_morrison_layout(d, examples=2) for d in (2, 4, 6, 8)]
    steps = [sherman_morrison_step(layout, 0, 1.0) for layout in layouts]
    assert {len(step) for step in steps} == {10}
    for widths in ([widest(step) for step in steps], [layout.width for layout in layouts]):
        third_difference = widths[3] - 3 * widths[2] + 3 * widths[1] - widths[0]
        assert third_difference == 0
    assert len(ridge_learner(2, 3, 1.0).blocks) == 3 * 10 + 3


def test_works_in_float32():
    x, y, x_query = task(4, 6)
    got = ridge_learner(4, 6, 1.0, queries=2).float()(x.float(), y.float(), x_query.float())
    assert got.dtype == torch.float32
    check_close(got.double(), x_query @ solution(x, y, 1.0), 1e-2)


def test_has_the_gradients_of_ridge_regression():
    inputs = [tensor.requires_grad_() for tensor in task(3, 4)]
    x, y, x_query = inputs
    got = torch.autograd.grad(ridge_learner(3, 4, 1.0, queries=2)(*inputs).square().sum(), inputs)
    wanted = torch.autograd.grad((x_query @ solution(x, y, 1.0)).square().sum(), inputs)
    for one, other in zip(got, wanted, strict=True):
        check_close(one, other)


def test_errors_name_the_argument():
    layout = sherman_morrison_layout(2, examples=3)
    with pytest.raises(ValueError, match="example must be from 0 to 2, got -1"):
        sherman_morrison_step(layout, -1, 1.0)
    with pytest.raises(ValueError, match="ridge must be positive"):
        sherman_morrison_step(layout, 0, 0.0)
    with pytest.raises(ValueError, match="bound must be positive"):
        ridge_learner(2, 3, 1.0, bound=-1.0)
    with pytest.raises(ValueError, match="ridge must be positive"):
        ridge_learner(2, 3, 0.0)
    with pytest.raises(ValueError, match="x_query must have shape"):
        ridge_learner(2, 3, 1.0)(torch.zeros(1, 3, 2), torch.zeros(1, 3, 1), torch.zeros(1, 2, 2))
