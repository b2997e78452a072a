import pytest
import torch
from linear_regression import STANDARD, check_close, task
from torch import nn

from fastsciml.incontext.layout import AlternatingLayout
from fastsciml.incontext.token_construction import token_construction
from fastsciml.nn import InContextBlock, LinearSelfAttention


def descent_layer(layout, rate):
    """One step of gradient descent, by proposition 1 of von Oswald et al., on tokens of the layout."""
    width = layout.width
    attention = LinearSelfAttention(width, head_dim=width, dtype=torch.float64)
    reads_x, reads_y = torch.zeros(2, width, width, dtype=torch.float64)
    reads_x.diagonal()[layout["x"]] = 1
    reads_y.diagonal()[layout["y"]] = -1
    with torch.no_grad():
        attention.query.copy_(reads_x)
        attention.key.copy_(reads_x)
        attention.value.copy_(reads_y)
        attention.projection.copy_(rate * torch.eye(width, dtype=torch.float64))
    return InContextBlock(attention)


def descended(x, y, rate, steps):
    """Weights [B, y_dim, d] after steps of gradient descent from 0 on half the sum of squares."""
    w = torch.zeros(x.shape[0], y.shape[-1], x.shape[-1], dtype=x.dtype)
    for _ in range(steps):
        w = w - rate * (x @ w.mT - y).mT @ x
    return w


@pytest.mark.parametrize(("d", "y_dim"), [(1, 1), (2, 1), (4, 3), (8, 1)])
@pytest.mark.parametrize(("examples", "batch"), [(1, 1), (7, 3)])
def test_builds_tokens_of_x_and_y(d, y_dim, examples, batch):
    layout = AlternatingLayout(examples, 2, x=d, y=y_dim, other=2)
    x, _, x_query = task(d, examples, batch)
    y = torch.randn(batch, examples, y_dim, dtype=torch.float64)
    before = layout.alternate(x, y, x_query)
    after = token_construction(layout)(before)
    pairs = after[:, [layout.y_token(example) for example in range(examples)]]
    assert torch.equal(pairs[..., layout["x"]], x)
    assert torch.equal(pairs[..., layout["y"]], y)
    read = after[:, [layout.x_token(example) for example in range(examples)], layout.length :]
    assert read.eq(0).all()
    assert torch.equal(after[:, layout.queries], before[:, layout.queries])


@pytest.mark.parametrize("d", [1, 2, 4])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("y_dim", [1, 2])
def test_linear_attention_after_it_descends_gradients(d, steps, y_dim):
    examples = 6
    x, _, x_query = task(d, examples)
    y = torch.randn(3, examples, y_dim, dtype=torch.float64)
    layout = AlternatingLayout(examples, 2, x=d, y=y_dim)
    tokens, descent = token_construction(layout)(layout.alternate(x, y, x_query)), descent_layer(layout, 0.3 / examples)
    for _ in range(steps):
        tokens = descent(tokens, context=layout.queries.start)
    check_close(-tokens[:, layout.queries, layout["y"]], x_query @ descended(x, y, 0.3 / examples, steps).mT)


def test_is_one_layer_of_softmax_attention():
    layer = token_construction(AlternatingLayout(3, x=2, y=1))
    assert {type(module) for module in layer.modules()} <= STANDARD - {nn.Linear, nn.GELU, nn.LayerNorm}


def test_works_in_float32_and_has_gradients():
    layout = AlternatingLayout(3, 2, x=2, y=1)
    x, y, x_query = (tensor.float() for tensor in task(2, 3))
    x.requires_grad_()
    after = token_construction(layout).float()(layout.alternate(x, y, x_query))
    weights = torch.randn_like(x)
    pairs = after[:, [layout.y_token(example) for example in range(3)], layout["x"]]
    assert torch.equal(pairs, x)
    (gradient,) = torch.autograd.grad((weights * pairs).sum(), x)
    check_close(gradient, weights, 1e-6)
