import pytest
import torch

from fastsciml.ops import direction_products, direction_update
from fastsciml.ops.direction_vectors import direction_products_definition, direction_update_definition

# Odd lengths around those of a block (1024) and a segment (16384) with the numbers of directions that go with them; the
# last is worth two threads.
SIZES = [((1,), 0), ((1023,), 1), ((3, 5, 7), 8), ((16385,), 2), ((40, 45, 40), 3)]
DTYPES = [torch.float32, torch.float64]


def vectors(shape, count, dtype):
    """X, r, q, A q, the directions and their images."""
    x, r, q, aq, *rest = torch.randn(4 + 2 * count, *shape, dtype=dtype)
    return x, r, q, aq, rest[:count], rest[count:]


def doubled(given):
    return [[t.double() for t in one] if isinstance(one, list) else one.double().clone() for one in given]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "count"), SIZES)
def test_products_agree_with_the_definition(shape, count, dtype, threads):
    _, r, q, aq, directions, images = vectors(shape, count, dtype)
    products = direction_products(q, aq, r, directions, images)
    reference = direction_products_definition(*doubled((q, aq, r, directions, images)))
    assert products.shape == (2 + 2 * count,)
    torch.testing.assert_close(products, reference, rtol=1e-12, atol=1e-12 * q.numel())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "count"), SIZES)
def test_update_agrees_with_the_definition(shape, count, dtype, threads):
    given = vectors(shape, count, dtype)
    lengths = [0.3, *(0.1 * d - 0.2 for d in range(count))]
    expected = doubled(given)
    if count > 2:
        given[4][2].fill_(torch.nan)  # its beta is 0: nobody reads it
        given[5][2].fill_(torch.nan)
        lengths[3] = 0.0
    squared = direction_update(*given, lengths)
    reference = direction_update_definition(*expected, torch.tensor(lengths, dtype=torch.float64))
    epsilon = torch.finfo(dtype).eps
    for ours, theirs in zip(given[:4], expected[:4], strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=8 * epsilon, atol=8 * epsilon)
    assert squared == pytest.approx(float(reference), rel=20 * epsilon)


def test_the_same_from_any_number_of_threads():
    given = vectors((40, 45, 40), 3, torch.float32)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            x, r, q, aq = (t.clone() for t in given[:4])
            products = direction_products(q, aq, r, *given[4:])
            squared = direction_update(x, r, q, aq, *given[4:], [0.3, 0.1, -0.2, 0.4])
            results.append((products, x, r, q, aq, torch.tensor(squared)))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_other_dtypes_take_the_definition():
    given = vectors((50,), 2, torch.bfloat16)
    products = direction_products(*given[2:4], given[1], *given[4:])
    reference = direction_products_definition(*doubled((*given[2:4], given[1], *given[4:])))
    torch.testing.assert_close(products, reference)
    expected = doubled(given)
    squared = direction_update(*given, [0.3, 0.1, -0.2])
    reference = direction_update_definition(*expected, torch.tensor([0.3, 0.1, -0.2], dtype=torch.float64))
    assert squared == pytest.approx(float(reference), rel=0.05)


@pytest.mark.parametrize("name", ["products", "update"])
def test_opcheck(name):
    x, r, q, aq, directions, images = vectors((17,), 2, torch.float64)
    if name == "products":
        op, arguments = torch.ops.fastsciml.direction_products.default, (q, aq, r, directions, images)
    else:
        op = torch.ops.fastsciml.direction_update.default
        arguments = (x, r, q, aq, directions, images, torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))
    torch.library.opcheck(op, arguments, test_utils=["test_schema", "test_faketensor"])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(x=torch.zeros(6).double()), RuntimeError, "x must have the shape of the other tensors"),
        (dict(r=torch.zeros(5)), RuntimeError, "r has the wrong dtype"),
        (dict(aq=torch.zeros(10).double()[::2]), RuntimeError, "aq must be contiguous"),
        (dict(directions=[torch.zeros(5)]), RuntimeError, "every direction has the wrong dtype"),
        (dict(images=[torch.zeros(6).double()]), RuntimeError, "every image must have the shape"),
        (dict(images=[]), ValueError, "got 1 directions and 0 images"),
        (dict(lengths=[1.0]), RuntimeError, "lengths must have one entry more than there are directions"),
        (dict(directions=9 * [torch.zeros(5).double()], images=9 * [torch.zeros(5).double()]), RuntimeError, "most 8"),
    ],
)
def test_refuses_what_does_not_fit(change, error, message):
    x, r, q, aq, directions, images = vectors((5,), 1, torch.float64)
    given = dict(x=x, r=r, q=q, aq=aq, directions=directions, images=images, lengths=[1.0, 0.5]) | change
    with pytest.raises(error, match=message):
        direction_update(**given)
    if not {"x", "lengths"} & set(change):
        del given["x"], given["lengths"]
        with pytest.raises(error, match=message):
            direction_products(**given)
