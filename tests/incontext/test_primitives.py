import pytest
import torch
from torch import nn

from fastsciml.incontext.gelu_square import square_by_gelu
from fastsciml.incontext.layout import NULL, Layout
from fastsciml.incontext.primitives import aff, div, mov, mul
from fastsciml.nn import InContextBlock, SoftmaxSelfAttention

STANDARD = {InContextBlock, SoftmaxSelfAttention, nn.Sequential, nn.Linear, nn.GELU, nn.LayerNorm}


def filled(length, batch=3, **rows):
    """A layout, and tokens with normal numbers in all rows."""
    layout = Layout(length, **rows)
    shapes = {name: (batch, length - 1, count) for name, count in rows.items()}
    return layout, layout.tokens(**{name: torch.randn(shape, dtype=torch.float64) for name, shape in shapes.items()})


def check_close(got, wanted, tolerance=1e-10):
    assert (got - wanted).abs().max() <= tolerance * wanted.abs().max()


def check_others_stay(layout, before, after, target, tokens=slice(1, None)):
    """Not a bit has changed but in rows `target` of the tokens."""
    written = torch.zeros(layout.length, layout.width, dtype=torch.bool)
    written[tokens, layout[target]] = True
    assert torch.equal(before[:, ~written], after[:, ~written])


@pytest.mark.parametrize("rows", [1, 2, 4, 8])
@pytest.mark.parametrize("length", [3, 20])
@pytest.mark.parametrize("target", ["p", "q"])
def test_mov_copies_rows_between_tokens(length, rows, target):
    layout, tokens = filled(length, p=rows, q=rows, r=2)
    reads = {t: int(torch.randint(length, ())) for t in range(1, length, 2)}
    moved = mov(layout, reads, "p", target)(tokens)
    check_close(moved[:, list(reads), layout[target]], tokens[:, list(reads.values()), layout["p"]], 1e-15)
    check_others_stay(layout, tokens, moved, target, list(reads))


def test_mov_clears_what_reads_the_null_token():
    layout, tokens = filled(4, p=2)
    moved = mov(layout, {1: NULL, 2: 2}, "p", "p")(tokens)
    assert moved[:, 1, layout["p"]].eq(0).all()
    assert torch.equal(moved[:, 2:], tokens[:, 2:])


def test_squares_are_sums_of_gelus():
    scales, weights = square_by_gelu()
    z = torch.linspace(-1, 1, 4001, dtype=torch.float64)
    arguments = z[:, None] * scales
    error = (nn.functional.gelu(arguments) + nn.functional.gelu(-arguments)) @ weights - z**2
    assert (error.abs() <= 1e-14 * z.abs()).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 4, 1), (2, 2, 2), (3, 1, 2), (2, 3, 4), (8, 8, 1)], ids=str)
def test_mul_multiplies_matrices(shape):
    a, b, c = shape
    layout, tokens = filled(5, p=a * b, q=b * c, r=a * c, s=1)
    after = mul(layout, "p", "q", "r", shape)(tokens)
    left, right = tokens[..., layout["p"]].unflatten(-1, (a, b)), tokens[..., layout["q"]].unflatten(-1, (b, c))
    check_close(after[..., layout["r"]], (left @ right).flatten(-2))
    check_others_stay(layout, tokens, after, "r")


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (8.0, 8.0), (1.0, 1000.0), (1000.0, 1000.0)], ids=str)
def test_mul_is_exact_up_to_rounding_within_its_bounds(bounds):
    layout = Layout(1001, p=1, q=1, r=1)
    sizes = torch.tensor(bounds) * 10.0 ** -torch.randint(4, (1, 1000, 2))
    x, y = ((torch.rand(1, 1000, 2, dtype=torch.float64) * 2 - 1) * sizes).split(1, -1)
    after = mul(layout, "p", "q", "r", (1, 1, 1), bounds)(layout.tokens(p=x, q=y))
    error = (after[:, 1:, layout["r"]] - x * y).abs()
    assert (error <= 1e-14 * (bounds[0] * y.abs() + bounds[1] * x.abs())).all()


def test_mul_may_write_over_a_factor():
    layout, tokens = filled(4, p=1, q=1)
    p, q = tokens[..., layout["p"]], tokens[..., layout["q"]]
    check_close(mul(layout, "p", "q", "p", (1, 1, 1))(tokens)[..., layout["p"]], p * q)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 16])
@pytest.mark.parametrize("ratio", [1e-3, 1.0, 1e3])
def test_div_divides_by_the_absolute_value(rows, ratio):
    layout, tokens = filled(30, p=rows, q=1, r=rows, s=2)
    x, y, r = layout["p"], layout["q"], layout["r"]
    sign = tokens[:, 1:, y].sign()
    tokens[:, 1:, y] = sign * tokens[:, 1:, x].norm(dim=-1, keepdim=True) / ratio
    after = div(layout, "p", "q", "r")(tokens)
    check_close(after[:, 1:, r], tokens[:, 1:, x] / tokens[:, 1:, y].abs())
    check_others_stay(layout, tokens, after, "r")


@pytest.mark.parametrize("rows", [1, 2, 4, 8])
@pytest.mark.parametrize("target", ["p", "q", "r"])
def test_aff_adds_linear_maps_and_a_bias(rows, target):
    layout, tokens = filled(5, p=rows, q=rows, r=rows, s=2)
    W1, W2, b = torch.randn(rows, rows), torch.randn(rows, rows, dtype=torch.float64), torch.randn(rows)
    after = aff(layout, {"p": W1, "q": W2}, target, b)(tokens)
    wanted = tokens[..., layout["p"]] @ W1.double().T + tokens[..., layout["q"]] @ W2.T + b
    check_close(after[:, 1:, layout[target]], wanted[:, 1:])
    check_others_stay(layout, tokens, after, target)


def test_aff_takes_numbers_for_multiples_of_the_identity():
    layout, tokens = filled(5, p=2, q=2)
    p, q = tokens[..., layout["p"]], tokens[..., layout["q"]]
    after = aff(layout, {"p": 0.3, "q": -2.0}, "q", bias=0.1)(tokens)
    check_close(after[:, 1:, layout["q"]], (0.3 * p - 2 * q + 0.1)[:, 1:])


def test_aff_of_the_position_writes_in_tokens_that_it_chooses():
    layout, tokens = filled(5, p=2)
    values = torch.zeros(2, 5)
    values[:, 3] = torch.tensor([1.0, -2.0])
    after = aff(layout, {"p": 1.0, "position": values}, "p")(tokens)
    check_close(after[:, 3, layout["p"]], tokens[:, 3, layout["p"]] + values[:, 3])
    check_others_stay(layout, tokens, after, "p", 3)


def layers():
    layout, tokens = filled(5, p=4, q=4, r=4, s=1)
    tokens[:, 1:, layout["s"]] = tokens[:, 1:, layout["s"]].abs() + 0.5
    return (
        layout,
        tokens,
        {
            "mov": mov(layout, {1: 2, 3: 1}, "p", "r"),
            "mul": mul(layout, "p", "q", "r", (2, 2, 2)),
            "div": div(layout, "p", "s", "r"),
            "aff": aff(layout, {"p": 2.0, "r": -1.0}, "r", bias=1.0),
        },
    )


PRIMITIVES = ["mov", "mul", "div", "aff"]


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_each_is_one_layer_of_standard_parts(primitive):
    layer = layers()[2][primitive]
    assert isinstance(layer, InContextBlock)
    assert {type(module) for module in layer.modules()} <= STANDARD
    assert sum(isinstance(module, (nn.GELU, nn.LayerNorm)) for module in layer.modules()) <= 1


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_the_null_token_stays_null(primitive):
    _, tokens, made = layers()
    assert torch.equal(made[primitive](tokens)[:, NULL], tokens[:, NULL])


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_works_in_float32(primitive):
    _, tokens, made = layers()
    layer = made[primitive]
    wanted = layer(tokens)
    after = layer.float()(tokens.float())
    assert after.dtype == torch.float32
    check_close(after, wanted, 1e-4)


ALGORITHMS = {
    "mov": lambda p, q, s: torch.stack([p[:, 1], torch.zeros_like(p[:, 0]), p[:, 0], torch.zeros_like(p[:, 0])], 1),
    "mul": lambda p, q, s: (p.unflatten(-1, (2, 2)) @ q.unflatten(-1, (2, 2))).flatten(-2),
    "div": lambda p, q, s: p / s,
    "aff": lambda p, q, s: 2 * p + 1,
}


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_has_the_algorithms_gradients(primitive):
    layout, tokens, made = layers()
    inputs = [tokens[:, 1:, layout[name]].clone().requires_grad_() for name in ("p", "q", "s")]
    after = made[primitive](layout.tokens(**dict(zip(("p", "q", "s"), inputs, strict=True))))[:, 1:, layout["r"]]
    weights = torch.randn_like(after)
    got = torch.autograd.grad((weights * after).sum(), inputs, materialize_grads=True)
    wanted = torch.autograd.grad((weights * ALGORITHMS[primitive](*inputs)).sum(), inputs, materialize_grads=True)
    for one, other in zip(got, wanted, strict=True):
        check_close(one, other)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_works_under_functional_transforms(primitive):
    _, tokens, made = layers()
    layer = made[primitive]
    parameters = {name: parameter.detach() for name, parameter in layer.named_parameters()}

    def loss(parameters, tokens):
        return torch.func.functional_call(layer, parameters, (tokens[None],)).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, tokens)
    layer(tokens).square().sum().backward()
    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(each[name].sum(0), parameter.grad)


def test_errors_name_the_argument():
    layout = Layout(4, p=2, q=2, r=1, s=4)
    for reads in ({0: 1}, {4: 1}, {1: 4}, {1: -1}):
        with pytest.raises(ValueError, match="reads must be between tokens 0 to 3"):
            mov(layout, reads, "p", "q")
    with pytest.raises(ValueError, match="source must have 1 rows, but 'p' has 2"):
        mov(layout, {1: 2}, "p", "r")
    for argument, names in {"left": "rqr", "right": "prr", "target": "pqq"}.items():
        with pytest.raises(ValueError, match=f"{argument} must have"):
            mul(layout, *names, (1, 2, 1))
    with pytest.raises(ValueError, match="bounds must be positive"):
        mul(layout, "p", "q", "r", (1, 2, 1), (1.0, 0.0))
    with pytest.raises(ValueError, match="target must have 2 rows"):
        div(layout, "p", "r", "s")
    with pytest.raises(ValueError, match="divisor must have 1 rows"):
        div(layout, "p", "p", "q")
    with pytest.raises(ValueError, match="target must differ"):
        div(layout, "p", "r", "p")
    with pytest.raises(ValueError, match=r"terms must be \(2, 4\) for rows 's'"):
        aff(layout, {"s": torch.zeros(2, 2)}, "p")
    with pytest.raises(ValueError, match="terms that are numbers must have 2 rows"):
        aff(layout, {"s": 1.0}, "p")
    with pytest.raises(ValueError, match=r"bias must be \(2,\)"):
        aff(layout, {}, "p", torch.zeros(3))
    with pytest.raises(ValueError, match="rows must be one of"):
        aff(layout, {"z": 1.0}, "p")
