import pytest
import torch

from fastsciml.incontext.layout import AlternatingLayout, Layout


def test_rows_follow_the_position_in_turn():
    layout = Layout(4, x=2, y=1)
    assert (layout["position"], layout["x"], layout["y"]) == (slice(0, 4), slice(4, 6), slice(6, 7))
    assert (layout.width, layout.count("x")) == (7, 2)
    token = torch.arange(7.0).double()
    assert (layout.select("x") @ token).tolist() == [4, 5]


def test_tokens_begin_with_the_null_token():
    layout = Layout(3, x=2, y=1)
    x = torch.randn(2, 2, 2)
    tokens = layout.tokens(x=x)
    assert tokens.dtype == x.dtype
    assert torch.equal(tokens[..., layout["position"]], torch.eye(3).expand(2, 3, 3))
    assert torch.equal(tokens[:, 1:, layout["x"]], x)
    assert tokens[:, 0, 3:].eq(0).all()
    assert tokens[..., layout["y"]].eq(0).all()


def test_examples_alternate():
    layout = AlternatingLayout(2, 3, x=2, y=1)
    x, y, x_query = torch.randn(4, 2, 2), torch.randn(4, 2, 1), torch.randn(4, 3, 2)
    tokens = layout.alternate(x, y, x_query)
    assert tokens.shape == (4, 8, layout.width)
    for example in range(2):
        read = torch.cat([x[:, example], torch.zeros(4, 1)], 1)
        assert torch.equal(tokens[:, layout.x_token(example), 8:], read)
        told = torch.cat([torch.zeros(4, 2), y[:, example]], 1)
        assert torch.equal(tokens[:, layout.y_token(example), 8:], told)
    assert torch.equal(tokens[:, layout.queries, 8:10], x_query)
    assert tokens[:, layout.queries, 10].eq(0).all()


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="length must be positive"):
        Layout(0, x=1)
    with pytest.raises(ValueError, match="x must be positive"):
        Layout(2, x=0)
    with pytest.raises(ValueError, match="rows must leave the name 'position'"):
        Layout(2, position=1)
    layout = AlternatingLayout(2, x=2, y=1)
    with pytest.raises(ValueError, match="rows must be one of position, x, y, got 'z'"):
        layout["z"]
    with pytest.raises(ValueError, match="rows must be given"):
        layout.tokens()
    with pytest.raises(ValueError, match=r"x must have shape \(1, 5, 2\), got \(1, 4, 2\)"):
        layout.tokens(x=torch.zeros(1, 4, 2))
    with pytest.raises(ValueError, match="example must be from 0 to 1, got 2"):
        layout.y_token(2)
    for name in ("examples", "queries"):
        with pytest.raises(ValueError, match=f"{name} must be positive"):
            AlternatingLayout(**{"examples": 1, "queries": 1, name: 0}, x=1, y=1)
    right = {"x": torch.zeros(3, 2, 2), "y": torch.zeros(3, 2, 1), "x_query": torch.zeros(3, 1, 2)}
    for name, values in right.items():
        with pytest.raises(ValueError, match=f"{name} must have shape"):
            layout.alternate(**{**right, name: values[..., :0]})
