"""The V-cycle layer's variants against the same steps in torch's functions."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from fastsciml.nn import MgConv1d, MgConv2d, MgConv3d

LAYERS = {1: MgConv1d, 2: MgConv2d, 3: MgConv3d}
PADDING = {"dirichlet": "constant", "neumann": "reflect", "periodic": "circular"}
CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


def by_torch(layer, f):
    """The layer's V-cycle, recursively, with the biases where they stand in the formulae."""
    dims = f.dim() - 2

    def padded(x):
        return functional.pad(x, [1, 1] * dims, mode=PADDING[layer.boundary])

    def apply(stencil, x, stride=1):
        return CONVOLVE[dims](padded(x), stencil.weight, stencil.bias, stride=stride)

    def iterate(u, f, iterations):
        for parts in iterations:
            u = apply(parts["S"], f) if u is None else u + apply(parts["S"], f - apply(parts["A"], u))
        return u

    def cycle(u, f, levels):
        level = levels[0]
        u = iterate(u, f, level["pre"])
        if "P" in level:
            r = f - apply(level["A"], u) if "A" in level else f
            below = cycle(apply(level["Pi"], u, 2), apply(level["R"], r, 2), levels[1:])
            weight = functional.pad(level["P"].weight, [0, 4 - level["P"].weight.shape[2]] * dims)
            fine = TRANSPOSED[dims](padded(below), weight, stride=2, padding=3)
            u = u + fine[(..., *(slice(n) for n in u.shape[2:]))]
            if "norm" in level:
                u = functional.layer_norm(u, u.shape[1:]) * level["norm"].weight + level["norm"].bias
        return iterate(u, f, level["post"])

    return cycle(None, f, list(layer.levels))


def randomised(layer):
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return layer.double()


@pytest.mark.parametrize("boundary", PADDING)
@pytest.mark.parametrize(("dims", "shape"), [(1, (21,)), (2, (12, 13)), (3, (9, 10, 12))])
def test_biases_norms_channels_and_prolongations(dims, shape, boundary):
    variant = {"bias": True, "norm": ["layer", None], "prolongation": [3, 4], "use_residual": True}
    layer = LAYERS[dims]([2, 3, 4], [3, 5, 4], 3, pre=[2, 0, 2], post=[1, 1, 0], boundary=boundary, **variant)
    f = torch.randn(2, 2, *shape, dtype=torch.float64)
    randomised(layer)
    torch.testing.assert_close(layer(f), by_torch(layer, f))


def test_a_norm_of_every_point():
    layer = randomised(MgConv2d(1, 2, 3, norm="layer", grid=(9, 12)))
    assert [tuple(level["norm"].weight.shape) for level in layer.levels if "norm" in level] == [(2, 9, 12), (2, 5, 6)]
    f = torch.randn(2, 1, 9, 12, dtype=torch.float64)
    torch.testing.assert_close(layer(f), by_torch(layer, f))
    with pytest.raises(ValueError, match=r"the extents \(9, 12\) of the norms, got \(12, 9\)"):
        layer(f.mT)


@pytest.mark.parametrize("transfers", ["boundary", "zeros", "inner"])
@pytest.mark.parametrize("bias", [False, True])
def test_the_end_of_a_layer(bias, transfers):
    layer = MgConv2d(2, 3, 2, bias=bias, transfers=transfers)
    pointwise, f = nn.Conv2d(2, 3, 1), torch.randn(2, 2, 9, 8)
    expected = functional.relu(layer(f) + pointwise(f))
    torch.testing.assert_close(layer(f, pointwise=pointwise, activation="relu"), expected)


@pytest.mark.parametrize("transfers", ["boundary", "zeros"])
def test_checkpoints_have_the_same_gradients(transfers):
    layers = [MgConv2d(2, 3, 3, norm="layer", transfers=transfers, checkpoint=kept) for kept in (False, True)]
    layers[1].load_state_dict(layers[0].state_dict())
    f = torch.randn(2, 2, 9, 8, requires_grad=True)
    gradients = [torch.autograd.grad(layer(f).square().sum(), [f, *layer.parameters()]) for layer in layers]
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"in_channels": [1, 2]}, "in_channels must be one positive number, or one for each of the 3 levels"),
        ({"out_channels": [1, 0, 1]}, "out_channels must be one positive number"),
        ({"prolongation": 5}, "prolongation must be 3 or 4, got 5"),
        ({"norm": "other"}, "norm must be None or"),
        ({"norm": ["layer"]}, "one for each of 2 levels"),
        ({"transfers": "other"}, "transfers must be one of boundary, zeros, inner"),
        ({"grid": (8,)}, "grid must be 2 positive extents"),
    ],
)
def test_settings_that_do_not_fit_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        MgConv2d(**{"in_channels": 1, "out_channels": 2, "levels": 3, **arguments})


@pytest.mark.parametrize(("transfers", "coarsest"), [("zeros", r"\[1, 2\]"), ("inner", r"\[0, 1\]")])
def test_grids_too_small_are_refused(transfers, coarsest):
    layer = MgConv2d(1, 2, 3, boundary="neumann", transfers=transfers)
    with pytest.raises(ValueError, match=f"coarsest level, got {coarsest}"):
        layer(torch.randn(1, 1, 4, 7))
