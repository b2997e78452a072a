import pytest
import torch
from torch.nn import functional

from fastsciml.nn import LinearSelfAttention, SoftmaxSelfAttention

LAYERS = [LinearSelfAttention, SoftmaxSelfAttention]
DOUBLE = {"dtype": torch.float64}


def by_definition(layer, tokens, context=None):
    """sum_h P_h (weights of the keys seen) V_h e in the formula's own symbols, head by head and token by token."""
    seen = tokens if context is None else tokens[:, :context]
    scale = layer.scale or (1.0 if isinstance(layer, LinearSelfAttention) else layer.head_dim**-0.5)
    out = torch.zeros_like(tokens)
    for Q, K, V, P in zip(layer.query, layer.key, layer.value, layer.projection, strict=True):
        scores = scale * (tokens @ Q.T) @ (seen @ K.T).mT
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1) if layer.causal else torch.tensor(False)
        if isinstance(layer, SoftmaxSelfAttention):
            weights = scores.masked_fill(hidden, -torch.inf).softmax(-1)
        else:
            weights = scores.masked_fill(hidden, 0)
        out = out + weights @ (seen @ V.T) @ P.T
    return out


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize(
    ("length", "width", "heads", "head_dim", "causal", "context"),
    [
        (11, 11, 1, 11, False, 10),
        (40, 6, 2, None, False, None),
        (40, 6, 3, 5, False, 33),
        (7, 48, 4, None, False, 5),  # wider than a Gram matrix is worth
        (5, 8, 2, None, True, None),
        (130, 8, 2, 3, True, None),
        (1, 3, 1, None, False, 1),
    ],
)
def test_is_the_sum_over_heads(layer, scale, length, width, heads, head_dim, causal, context):
    made = layer(width, heads, head_dim=head_dim, causal=causal, scale=scale, **DOUBLE)
    tokens = torch.randn(3, length, width, **DOUBLE)
    expected = by_definition(made, tokens, context)
    torch.testing.assert_close(made(tokens, context), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("width", [6, 40])
def test_gradients_are_the_definitions(width):
    made = LinearSelfAttention(width, 2, **DOUBLE)
    tokens = torch.randn(2, 90, width, **DOUBLE).requires_grad_()
    leaves = [tokens, *made.parameters()]
    dout = torch.randn_like(tokens)
    found = torch.autograd.grad(made(tokens, 70), leaves, dout)
    expected = torch.autograd.grad(by_definition(made, tokens, 70), leaves, dout)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


def test_both_orders_of_products_are_used():
    assert LinearSelfAttention(11, head_dim=11)._by_gram(torch.empty(2, 11, 11))
    assert not LinearSelfAttention(11, head_dim=11, causal=True)._by_gram(torch.empty(2, 11, 11))
    assert not LinearSelfAttention(64, 4)._by_gram(torch.empty(2, 11, 64))


def test_no_token_seen_gives_zero():
    made = LinearSelfAttention(4)
    torch.testing.assert_close(made(torch.randn(2, 5, 4), 0), torch.zeros(2, 5, 4))
    with pytest.raises(ValueError, match="context must be positive"):
        SoftmaxSelfAttention(4)(torch.randn(2, 5, 4), 0)


@pytest.mark.parametrize("decayed", [False, True])
def test_pieces_of_a_stream_equal_the_whole(decayed):
    made = LinearSelfAttention(8, 2, causal=True, scale=0.5, **DOUBLE)
    tokens = torch.randn(2, 150, 8, **DOUBLE)
    decay = torch.tensor([0.9, 0.99], **DOUBLE) if decayed else None
    whole, last = made.stream(tokens, decay=decay)
    if not decayed:
        torch.testing.assert_close(whole, made(tokens))
    state, pieces = None, []
    for piece in tokens.split([70, 1, 79], 1):
        out, state = made.stream(piece, state, decay)
        pieces.append(out)
    torch.testing.assert_close(torch.cat(pieces, 1), whole)
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("layer", LAYERS)
def test_weights_go_from_one_kind_to_the_other(layer):
    state = LinearSelfAttention(6, 2).state_dict()
    assert set(state) == {"query", "key", "value", "projection"}
    layer(6, 2).load_state_dict(state)


@pytest.mark.parametrize("layer", LAYERS)
def test_first_weights_keep_the_size_of_tokens(layer):
    made = layer(64, 4)
    assert float(made.value.detach().std()) == pytest.approx(1 / 8, rel=0.1)
    made.reset_parameters(0.01)
    assert float(made.key.detach().std()) == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("layer", LAYERS)
def test_autocast_and_compile(layer):
    made, tokens = layer(8, 2), torch.randn(2, 9, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert functional.mse_loss(made(tokens).float(), made.float()(tokens).float()) < 1e-2
    compiled = torch.compile(made, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(tokens, 7), made(tokens, 7))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"embed_dim": 0}, "embed_dim must be positive"),
        ({"embed_dim": 4, "num_heads": 0}, "num_heads must be positive"),
        ({"embed_dim": 4, "num_heads": 3}, "num_heads must divide embed_dim"),
        ({"embed_dim": 4, "head_dim": 0}, "head_dim must be positive"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        LinearSelfAttention(**arguments)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    ("shape", "context", "causal", "sentence"),
    [
        ((2, 5), None, False, "tokens must be"),
        ((2, 5, 3), None, False, "tokens must be"),
        ((2, 5, 4), 6, False, "context must be from 0 to the length 5"),
        ((2, 5, 4), 2, True, "context needs causal=False"),
    ],
)
def test_tokens_that_do_not_fit_are_refused(layer, shape, context, causal, sentence):
    with pytest.raises(ValueError, match=sentence):
        layer(4, causal=causal)(torch.randn(shape), context)


def test_only_causal_attention_streams():
    with pytest.raises(ValueError, match="stream needs causal=True"):
        LinearSelfAttention(4).stream(torch.randn(2, 5, 4))
