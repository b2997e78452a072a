import pytest
import torch
from torch import nn

from fastsciml.nn import InContextBlock, InContextLearner, InContextTransformer, LinearSelfAttention


def examples(batch=2, count=7, queries=3, x_dim=5, y_dim=2):
    return torch.rand(batch, count, x_dim), torch.rand(batch, count, y_dim), torch.rand(batch, queries, x_dim)


@pytest.mark.parametrize("attention", ["linear", "softmax"])
@pytest.mark.parametrize("looped", [False, True])
@pytest.mark.parametrize("parts", [{}, {"mlp_width": 9}, {"mlp_width": 9, "layer_norm": True, "num_heads": 2}])
def test_every_part_is_trained(attention, looped, parts):
    made = InContextLearner.of_depth(5, 2, 3, looped=looped, attention=attention, **parts)
    prediction = made(*examples())
    assert prediction.shape == (2, 3, 2)
    prediction.square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().max() > 0 for p in made.parameters())
    assert len(made.blocks) == (1 if looped else 3)


@pytest.mark.parametrize("attention", ["linear", "softmax"])
def test_queries_do_not_see_each_other_and_examples_have_no_order(attention):
    made = InContextLearner.of_depth(5, 2, 2, attention=attention, mlp_width=8)
    x, y, x_query = examples()
    whole = made(x, y, x_query)
    torch.testing.assert_close(torch.cat([made(x, y, q) for q in x_query.split(1, 1)], 1), whole)
    order = torch.randperm(7)
    torch.testing.assert_close(made(x[:, order], y[:, order], x_query), whole)


def test_looped_learner_is_its_block_repeated():
    looped = InContextLearner.of_depth(5, 2, 4, looped=True)
    unrolled = InContextLearner(5, 2, [looped.blocks[0]] * 4)
    given = examples()
    torch.testing.assert_close(looped(*given), unrolled(*given))


def test_features_stand_in_the_tokens():
    features = nn.Linear(1, 5)
    made = InContextLearner.of_depth(5, 2, features=features)
    x, y, x_query = examples(x_dim=1)
    bare = InContextLearner(5, 2, made.blocks)
    torch.testing.assert_close(made(x, y, x_query), bare(features(x), y, features(x_query)))


def test_block_adds_what_its_parts_give():
    attention, mlp, norm = LinearSelfAttention(4), nn.Linear(4, 4), nn.LayerNorm(4)
    tokens = torch.randn(2, 6, 4)
    after = tokens + attention(norm(tokens), 5)
    block = InContextBlock(attention, mlp, attention_norm=norm, mlp_norm=norm)
    torch.testing.assert_close(block(tokens, 5), after + mlp(norm(after)))
    torch.testing.assert_close(InContextBlock(None, mlp)(tokens), tokens + mlp(tokens))


@pytest.mark.parametrize("linear", [False, True])
def test_transformer_sees_only_what_came_before(linear):
    made = InContextTransformer(5, 2, width=16, depth=2, max_examples=8, linear=linear)
    x, y, x_query = examples()
    before = made.prefixes(x, y)
    assert before.shape == (2, 7, 2)
    changed_y, changed_x = y.clone(), x.clone()
    changed_y[:, 4:] = 9
    changed_x[:, 5:] = 9
    after = made.prefixes(changed_x, changed_y)
    torch.testing.assert_close(after[:, :5], before[:, :5])
    assert (after[:, 5:] != before[:, 5:]).all()
    asked = [made.prefixes(torch.cat([x, q], 1), torch.cat([y, y[:, :1]], 1))[:, -1:] for q in x_query.split(1, 1)]
    torch.testing.assert_close(made(x, y, x_query), torch.cat(asked, 1))


def test_transformer_trains_every_parameter():
    made = InContextTransformer(5, 2, width=16, depth=2, max_examples=7)
    x, y, _ = examples()
    made.prefixes(x, y).square().sum().backward()
    unused = {"position"}  # the last y is not looked at
    assert all(p.grad is not None for p in made.parameters())
    assert all(p.grad.abs().max() > 0 for name, p in made.named_parameters() if name not in unused)


@pytest.mark.parametrize(
    ("shapes", "sentence"),
    [
        (((2, 7), (2, 7, 2), (2, 3, 5)), r"x must be \[batch"),
        (((2, 7, 4), (2, 7, 2), (2, 3, 5)), "x must have width 5"),
        (((2, 7, 5), (2, 7, 1), (2, 3, 5)), "y must have width 2"),
        (((2, 7, 5), (2, 6, 2), (2, 3, 5)), "y must have the 7 examples"),
        (((2, 7, 5), (3, 7, 2), (2, 3, 5)), "y must have the batch"),
        (((2, 7, 5), (2, 7, 2), (2, 3, 4)), "x_query must have width 5"),
    ],
)
@pytest.mark.parametrize("made", [InContextLearner.of_depth(5, 2), InContextTransformer(5, 2, width=4)])
def test_examples_that_do_not_fit_are_refused(made, shapes, sentence):
    with pytest.raises(ValueError, match=sentence):
        made(*map(torch.randn, shapes))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: InContextLearner.of_depth(5, 2, 0), "depth must be positive"),
        (lambda: InContextLearner.of_depth(5, 2, attention="other"), "attention must be 'linear' or 'softmax'"),
        (lambda: InContextLearner(0, 2, [nn.Identity()]), "x_dim must be positive"),
        (lambda: InContextLearner(5, 2, []), "blocks must be at least one"),
        (lambda: InContextTransformer(5, depth=0), "depth must be positive"),
        (lambda: InContextTransformer(5, width=10, num_heads=3), "num_heads must divide"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_too_many_examples_for_the_positions_are_refused():
    with pytest.raises(ValueError, match="at most max_examples, 7"):
        InContextTransformer(5, 2, width=4, max_examples=7)(*examples())
