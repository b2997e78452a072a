"""The computational primitives of Akyürek et al., each as one transformer layer with weights set by hand.

Akyürek, Schuurmans, Andreas, Ma, Zhou, "What learning algorithm is in-context learning? Investigations with linear
models", ICLR 2023, section 3 and appendix: mov, mul, div and aff, of which programs are made. Here they are made of
softmax attention, linear maps, GELU and LayerNorm alone, and exact up to rounding. Rows have names (`Layout`) instead
of numbers. To write means to overwrite: a layer also subtracts what its residual connection would keep.

Layers are made in float64 on the CPU; `.to` moves them, to a dtype of less accuracy as well. Their weights are
parameters like any.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fastsciml.incontext.gelu_square import square_by_gelu
from fastsciml.incontext.layout import NULL, Layout
from fastsciml.nn import InContextBlock, SoftmaxSelfAttention

# exp(-SHARPNESS) is 0 in every dtype, so that softmax is exactly one-hot.
SHARPNESS = 1000.0

# What multiplies the divisor in div's LayerNorm. 1e8 makes div good to 1e-10 as long as |dividends| < 1e3 |divisor|;
# more would spoil float32, in which the mean of the entries is not exactly 0.
DOMINANCE = 1e8

# Of div's LayerNorm, normal in float32: it matters only where dividends and divisor are all 0, as in the null token.
EPS = 1e-20


def mov(layout: Layout, reads: Mapping[int, int], source: str, target: str) -> InContextBlock:
    """Write rows `source` of token s into rows `target` of token t, for each t and s = reads[t].

    Softmax attention to positions, in two heads: one brings what is written, the other takes away what was there.
    Tokens that read none attend to the null token, whose rows are 0, and stay as they are. This is
    mov(H; s, t, i, j, i', j').

    Args:
        layout: of the tokens.
        reads: for each token that is written, the one it reads; NULL, 0, to clear the rows.
        source: rows that are read.
        target: rows that are written, as many; they may be the same.

    Raises:
        ValueError: a token is not there, the null token would be written, or the rows differ in number.

    Source: Akyürek et al., "What learning algorithm is in-context learning?" (ICLR 2023), section 3.
    """
    _check_count(layout, source, layout.count(target), "source")
    looks = torch.zeros(2, layout.length, layout.length, dtype=torch.float64)
    looks[:, NULL] = 1
    for t, s in reads.items():
        if not (NULL < t < layout.length and NULL <= s < layout.length):
            raise ValueError(f"reads must be between tokens 0 to {layout.length - 1}, and not into 0, got {t}: {s}")
        looks[:, NULL, t] = 0
        looks[0, s, t] = looks[1, t, t] = 1
    values = torch.stack([layout.select(source), -layout.select(target)])
    return InContextBlock(_attention_to_positions(layout, looks, values, target))


def mul(
    layout: Layout,
    left: str,
    right: str,
    target: str,
    shape: tuple[int, int, int],
    bounds: tuple[float, float] = (8.0, 8.0),
) -> InContextBlock:
    """Write the product of an a x b matrix at rows `left` and a b x c matrix at rows `right` into rows `target`.

    In every token, by an MLP with 24 a b c + 2 a c GELUs: x y = ((x + y) / 2)^2 - ((x - y) / 2)^2, and squares as
    `square_by_gelu` has them. This is mul(H; a, b, c, (i, j), (i', j'), (i'', j'')).

    Args:
        layout: of the tokens.
        left: rows of the one matrix, row by row.
        right: rows of the other.
        target: rows of the product; they may be those of a factor.
        shape: a, b and c.
        bounds: of the entries of left and right, in absolute value. The error of a product x y is about
            5e-15 (bounds[0] |y| + bounds[1] |x|) within them; beyond them there is no promise.

    Raises:
        ValueError: rows do not fit the shape, or a bound is not positive.

    Source: Akyürek et al., "What learning algorithm is in-context learning?" (ICLR 2023), section 3.
    """
    a, b, c = shape
    for argument, name, count in (("left", left, a * b), ("right", right, b * c), ("target", target, a * c)):
        _check_count(layout, name, count, argument)
    if min(bounds) <= 0:
        raise ValueError(f"bounds must be positive, got {bounds}")
    i, k, j = torch.cartesian_prod(*map(torch.arange, shape)).T
    x = layout.select(left)[i * b + k] / bounds[0]
    y = layout.select(right)[k * c + j] / bounds[1]
    products = bounds[0] * bounds[1] * layout.select(target)[i * c + j].T
    scales, weights = square_by_gelu()
    read = torch.kron(torch.cat([scales, -scales])[:, None], torch.cat([x + y, x - y]) / 2)
    write = torch.kron(torch.cat([weights, weights]), torch.cat([products, -products], 1))
    old = layout.select(target)
    return _gelu_layer(torch.cat([read, old, -old]), torch.cat([write, -old.T, old.T], 1))


def div(layout: Layout, dividends: str, divisor: str, target: str) -> InContextBlock:
    """Write rows `dividends` over the absolute value of row `divisor` into rows `target`.

    In every token, by an MLP with LayerNorm for its nonlinearity: it divides (x, -x, M y, -M y), whose mean is 0, by
    the standard deviation, |M y| / sqrt(n + 1) up to x^2. The paper has the LayerNorm before the MLP's first linear
    map, where it sees the whole token, whose other rows have to be overpowered; after that map it sees nothing but
    dividends and divisor. Attention of each token to itself clears the target. This is div(H; (i, j), i', (i'',
    j'')).

    The relative error is (|x| / |M y|)^2 / 2 with M = 1e8, and rounding: 5e-13 for |x| = 100 |y|, 5e-11 for 1,000 |y|.
    |y| < 1e-11 comes near to what LayerNorm adds to the variance.

    Args:
        layout: of the tokens.
        dividends: rows x that are divided.
        divisor: one row y, not 0, except in tokens where the dividends are 0, as in the null token: there 0 is written.
        target: rows of the quotients, as many as dividends, other than dividends and divisor.

    Raises:
        ValueError: rows differ in number, or the target is dividends or divisor.

    Source: Akyürek et al., "What learning algorithm is in-context learning?" (ICLR 2023), section 3.
    """
    n = layout.count(dividends)
    _check_count(layout, target, n, "target")
    _check_count(layout, divisor, 1, "divisor")
    if target in (dividends, divisor):
        raise ValueError(f"target must differ from dividends and divisor, got {target!r}")
    itself = torch.eye(layout.length, dtype=torch.float64)[None]
    clear = _attention_to_positions(layout, itself, -layout.select(target)[None], target)
    x, y = layout.select(dividends), layout.select(divisor)
    # Each entry beside its negative, so that sums over them stay small. The difference of the two outputs is taken, in
    # which what rounding leaves of the mean cancels.
    sign = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    read = torch.kron(torch.cat([x, DOMINANCE * y]), sign)
    write = torch.kron(layout.select(target), DOMINANCE / (n + 1) ** 0.5 * sign / 2).T
    norm = nn.LayerNorm(2 * n + 2, eps=EPS, elementwise_affine=False)
    return InContextBlock(clear, nn.Sequential(_linear(read), norm, _linear(nn.functional.pad(write, (0, 2)))))


def aff(
    layout: Layout, terms: Mapping[str, Tensor | float], target: str, bias: Tensor | float | None = None
) -> InContextBlock:
    """Write the sum of W h over the terms, rows h and matrices W, plus a bias, into rows `target`.

    In every token but the null token, by an MLP with two GELUs a row, GELU(z) - GELU(-z) = z. With two terms this is
    aff(H; (i, j), (i', j'), (i'', j''), W1, W2, b).

    Args:
        layout: of the tokens.
        terms: for the names of rows, W [rows of target, rows], or a number that multiplies as many rows. For a term of
            "position", W [rows of target, length] has what is added in each token.
        target: rows of the sum; they may be those of a term.
        bias: [rows of target] or a number; None: 0. Like the matrices of any dtype, taken in float64.

    Raises:
        ValueError: the shape of a matrix or of the bias does not fit.

    Source: Akyürek et al., "What learning algorithm is in-context learning?" (ICLR 2023), section 3.
    """
    count, new = layout.count(target), -layout.select(target)
    for name, term in terms.items():
        rows = layout.count(name)
        if not isinstance(term, Tensor):
            _check_count(layout, name, count, "terms that are numbers")
            term = term * torch.eye(count, dtype=torch.float64)
        if term.shape != (count, rows):
            raise ValueError(f"terms must be {(count, rows)} for rows {name!r}, got shape {tuple(term.shape)}")
        new = new + term.to(new) @ layout.select(name)
    if bias is not None:
        if isinstance(bias, Tensor) and bias.shape != (count,):
            raise ValueError(f"bias must be {(count,)} for rows {target!r}, got shape {tuple(bias.shape)}")
        # A sum of positions is 1 in all tokens but the null token, which a linear map's own bias would not leave at 0.
        there = layout.select("position")[NULL + 1 :].sum(0)
        new = new + torch.as_tensor(bias, dtype=torch.float64).expand(count)[:, None] * there
    write = layout.select(target).T
    return _gelu_layer(torch.cat([new, -new]), torch.cat([write, -write], 1))


def _attention_to_positions(layout: Layout, looks: Tensor, values: Tensor, target: str) -> SoftmaxSelfAttention:
    """Heads in which token t sees the token s with looks[head, s, t] = 1, and adds its values to rows `target`."""
    heads, rows, width = values.shape
    attention = SoftmaxSelfAttention(
        width, heads, head_dim=max(layout.length, rows), scale=1.0, device="meta", dtype=torch.float64
    ).to_empty(device="cpu")
    positions = layout.select("position")
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.zero_()
        attention.query[:, : layout.length] = SHARPNESS * looks @ positions
        attention.key[:, : layout.length] = positions
        attention.value[:, :rows] = values
        attention.projection[:, :, :rows] = layout.select(target).T
    return attention


def _gelu_layer(read: Tensor, write: Tensor) -> InContextBlock:
    """The layer h + write GELU(read h)."""
    return InContextBlock(None, nn.Sequential(_linear(read), nn.GELU(), _linear(write)))


def _linear(weight: Tensor) -> nn.Linear:
    outwards, inwards = weight.shape
    linear = nn.Linear(inwards, outwards, bias=False, device="meta")
    linear.weight = nn.Parameter(weight.contiguous())
    return linear


def _check_count(layout: Layout, name: str, count: int, argument: str) -> None:
    if layout.count(name) != count:
        raise ValueError(f"{argument} must have {count} rows, but {name!r} has {layout.count(name)}")
