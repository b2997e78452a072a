import pytest
import torch
from torch import nn
from torch.nn import functional

from fastsciml.operators import MgNO


def published_count(width, layers, levels):
    """Of 3 x 3 and 4 x 4 stencils without bias, counted from the paper's description for one input channel."""
    count = 0
    for f in [1] + [width] * (layers - 1):
        smoothings = 1 + (levels - 1) + 1  # one a level, two on the coarsest
        stencils = 9 * f * width * (2 * smoothings - 1)  # the first has no A
        transfers = (levels - 1) * (9 * f * f + 9 * width**2 + 16 * width**2)
        count += stencils + transfers + f * width + width
    return count + width


@pytest.mark.parametrize(("name", "layers"), [("darcy-smooth", 5), ("darcy-rough", 4), ("darcy-multiscale", 4)])
def test_presets_have_the_published_number_of_parameters(name, layers):
    model = MgNO.preset(name)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == published_count(24, layers, 6)
    if layers == 4:
        assert round(count / 1e6, 2) == 0.57


class Plain(nn.Module):
    """The published layers written with torch's modules, one channel in, Dirichlet, two levels."""

    def __init__(self, width):
        super().__init__()
        widths = [(1, width), (width, width)]
        conv = {"bias": False, "padding": 1}
        self.S0 = nn.ModuleList(nn.Conv2d(f, u, 3, **conv) for f, u in widths)
        self.R = nn.ModuleList(nn.Conv2d(f, f, 3, stride=2, **conv) for f, u in widths)
        self.Pi = nn.ModuleList(nn.Conv2d(u, u, 3, stride=2, **conv) for f, u in widths)
        self.A = nn.ModuleList(nn.Conv2d(u, f, 3, **conv) for f, u in 2 * widths)
        self.S = nn.ModuleList(nn.Conv2d(f, u, 3, **conv) for f, u in 2 * widths)
        self.RT = nn.ModuleList(nn.ConvTranspose2d(u, u, 4, stride=2, padding=1, bias=False) for f, u in widths)
        self.B = nn.ModuleList(nn.Conv2d(f, u, 1) for f, u in widths)
        self.last = nn.Conv2d(width, 1, 1, bias=False)

    def forward(self, x):
        for i in range(2):
            u0 = self.S0[i](x)
            f1, u1 = self.R[i](x), self.Pi[i](u0)
            for j in (i, 2 + i):
                u1 = u1 + self.S[j](f1 - self.A[j](u1))
            x = functional.gelu(u0 + self.RT[i](u1) + self.B[i](x))
        return self.last(x)

    def as_ours(self):
        state = {"end.weight": self.last.weight}
        for i in range(2):
            level = f"cycles.{i}.levels."
            names = {"0.pre.0.S": self.S0[i], "0.R": self.R[i], "0.Pi": self.Pi[i], "0.P": self.RT[i]}
            for k, j in enumerate((i, 2 + i)):
                names |= {f"1.pre.{k}.S": self.S[j], f"1.pre.{k}.A": self.A[j]}
            state |= {f"{level}{name}.weight": module.weight for name, module in names.items()}
            state |= {f"pointwise.{i}.{name}": value for name, value in self.B[i].state_dict().items()}
        return state


def test_is_the_published_model_in_torchs_modules():
    plain, model = Plain(6), MgNO(width=6, layers=2, levels=2)
    model.load_state_dict(plain.as_ours())
    x = torch.randn(3, 1, 12, 16)
    torch.testing.assert_close(model(x), plain(x))


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
@pytest.mark.parametrize(("dims", "shape"), [(1, (33,)), (2, (17, 30)), (3, (8, 9, 10))])
def test_every_parameter_learns_on_any_grid(dims, shape, boundary):
    model = MgNO(2, 3, width=4, layers=2, levels=3, post=1, dims=dims, boundary=boundary, use_residual=True)
    y = model(torch.randn(2, 2, *shape))
    assert y.shape == (2, 3, *shape)
    y.square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().max() > 0 for p in model.parameters())


def test_other_grids_than_in_training_are_taken():
    model = MgNO(width=4, levels=3)
    assert [tuple(model(torch.randn(1, 1, n, n)).shape[2:]) for n in (16, 31, 64)] == [(16, 16), (31, 31), (64, 64)]


def test_periodic_models_commute_with_shifts_of_the_coarsest_grid():
    model = MgNO(width=4, levels=3, boundary="periodic").double()
    x = torch.randn(1, 1, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(model(x.roll((4, 8), (2, 3))), model(x).roll((4, 8), (2, 3)))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"width": 0}, "width must be positive"),
        ({"layers": 0}, "layers must be positive"),
        ({"in_channels": 0}, "in_channels must be positive"),
        ({"dims": 4}, "dims must be 1, 2 or 3"),
        ({"activation": "other"}, "activation must be one of"),
        ({"boundary": "other"}, "boundary must be one of"),
        ({"pre": [1, 1]}, "pre must be one number, or one for each of the 6 levels"),
        ({"pre": 0}, "pre must be positive on the finest level"),
    ],
)
def test_settings_that_do_not_fit_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        MgNO(**arguments)


def test_unknown_preset_is_refused():
    with pytest.raises(ValueError, match="name must be one of darcy-smooth"):
        MgNO.preset("other")
