import pytest
import torch

from fastsciml.directions import DCDM


@pytest.mark.parametrize(("preset", "parameters"), [("64", 97_457), ("128", 139_025)])
def test_published_sizes_have_the_published_number_of_parameters(preset, parameters):
    assert sum(p.numel() for p in DCDM.preset(preset).parameters()) == parameters


@pytest.mark.parametrize("shape", [(8, 8, 8), (7, 5, 9), (1, 2, 3), (8, 6), (7, 9), (1, 1)])
def test_proposals_have_the_shape_of_any_grid(shape):
    network = DCDM(len(shape), channels=3, layers=(3, 1, 1))
    out = network(torch.randn(2, 1, *shape))
    assert out.shape == (2, 1, *shape)
    assert out.isfinite().all()
    assert out.is_contiguous()


def test_network_is_the_published_one_spelled_out():
    torch.manual_seed(1)
    net = DCDM.preset("64", dims=2)
    x = torch.randn(3, 1, 8, 6)
    relu, conv = torch.relu, net.before
    with torch.no_grad():
        stem = net.stem(x)
        first = relu(conv[0](stem))
        third = relu(conv[2](relu(conv[1](first)))) + first
        fine = relu(conv[3](third))
        coarse = torch.nn.functional.avg_pool2d(fine, 2)
        for pair in net.coarse:
            coarse = relu(pair.second(relu(pair.first(coarse)))) + coarse
        up = coarse.repeat_interleave(2, -1).repeat_interleave(2, -2) + fine
        for pair in net.after:
            up = relu(pair.second(relu(pair.first(up)))) + up
        torch.testing.assert_close(net(x), net.last(up))


def test_odd_extents_pool_the_cells_that_are_there():
    net = DCDM(2, channels=2, layers=(1, 0, 0))
    x = torch.randn(1, 1, 5, 3)
    with torch.no_grad():
        fine = torch.relu(net.before[0](net.stem(x)))
        corner = net.last(fine + fine)[..., -1, -1]  # a cell alone in its window
        torch.testing.assert_close(net(x)[..., -1, -1], corner)


@pytest.mark.parametrize("batch", [1, 3])
def test_without_gradients_it_computes_the_same(batch):
    network, x = DCDM(channels=4, layers=(2, 1, 1)), torch.randn(batch, 1, 6, 7, 8)
    with torch.no_grad():
        out = network(x)
    torch.testing.assert_close(out, network(x))


def test_first_weights_make_it_homogeneous():
    network, x = DCDM(2, channels=4), torch.randn(1, 1, 8, 8)
    torch.testing.assert_close(network(1e-3 * x), 1e-3 * network(x))


def test_half_precision_by_autocast():
    network, x = DCDM(channels=4, layers=(2, 1, 1)), torch.randn(2, 1, 8, 8, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = network(x).float()
    torch.testing.assert_close(half, network(x).detach(), rtol=0.1, atol=0.05)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"dims": 1}, "dims must be 2 or 3"),
        ({"channels": 0}, "channels must be a positive"),
        ({"layers": (0, 1, 1)}, "layers must be three"),
        ({"layers": (4, 3)}, "layers must be three"),
    ],
)
def test_bad_arguments_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        DCDM(**arguments)


def test_bad_preset_and_input_are_refused():
    with pytest.raises(ValueError, match="preset must be one of 64, 128"):
        DCDM.preset("32")
    with pytest.raises(ValueError, match=r"residual must be \[batch, 1, x, y, z\]"):
        DCDM()(torch.randn(1, 1, 8, 8))
