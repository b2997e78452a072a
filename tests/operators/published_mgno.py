"""The published models in torch's modules, with the published names, written from the paper's description."""

import torch
from torch import nn
from torch.nn import functional

MODES = {"dirichlet": "zeros", "neumann": "reflect", "periodic": "circular"}


class Iteration(nn.Module):
    def __init__(self, f, u, first, conv):
        super().__init__()
        self.S = nn.Conv2d(f, u, **conv)
        if not first:
            self.A = nn.Conv2d(u, f, **conv)

    def forward(self, u, f):
        return (self.S(f) if u is None else u + self.S(f - self.A(u))), f


class Coarsening(nn.Module):
    def __init__(self, f, u, f_coarse, u_coarse, conv):
        super().__init__()
        self.R = nn.Conv2d(f, f_coarse, stride=2, **conv)
        self.Pi = nn.Conv2d(u, u_coarse, stride=2, **conv)

    def forward(self, u, f):
        return self.Pi(u), self.R(f)


class Cycle(nn.Module):
    def __init__(self, f, u, counts, *, boundary, kernels, bias=False, inner=False, growing=False, norm_grid=None):
        super().__init__()
        self.depth, self.inner, self.norms = len(counts), inner, norm_grid is not None
        mode = MODES[boundary]
        conv = {"kernel_size": 3, "padding": 1, "padding_mode": mode, "bias": bias}
        coarsening = {"kernel_size": 3, "padding": 0 if inner else 1, "bias": False}
        if not inner:
            coarsening["padding_mode"] = mode
        fs, us = ([c * (l + 1) if growing else c for l in range(self.depth)] for c in (f, u))
        for l, (pre, post) in enumerate(counts):
            down = [] if l == 0 else [Coarsening(fs[l - 1], us[l - 1], fs[l], us[l], coarsening)]
            down += [Iteration(fs[l], us[l], l == 0 and i == 0 and not inner, conv) for i in range(pre)]
            up = [Iteration(fs[l], us[l], False, conv) for _ in range(post)] or [nn.Identity()]
            setattr(self, f"layer{l}", nn.Sequential(*down))
            setattr(self, f"post_smooth_layer{l}", nn.Sequential(*up))
        self.RTlayers = nn.ModuleList(
            nn.ConvTranspose2d(us[l + 1], us[l], k, stride=2, padding=0 if inner else 1, bias=False)
            for l, k in enumerate(kernels)
        )
        if self.norms:
            self.norm_layer_list = nn.ModuleList(
                nn.LayerNorm([us[l], *(n >> l for n in norm_grid)]) for l in range(self.depth - 1)
            )

    def forward(self, f):
        u, levels = None, []
        for l in range(self.depth):
            for step in getattr(self, f"layer{l}"):
                u, f = step(u, f)
            levels.append((u, f))
        for l in reversed(range(self.depth)):
            fine, f = levels[l]
            if l < self.depth - 1:
                u = fine + self.RTlayers[l](u)
                u = self.norm_layer_list[l](u) if self.norms else u
            for step in getattr(self, f"post_smooth_layer{l}"):
                u = u if isinstance(step, nn.Identity) else step(u, f)[0]
        return u


class Darcy(nn.Module):
    def __init__(self, width, layers, counts, kernels, in_channels=1):
        super().__init__()
        before = [in_channels] + [width] * (layers - 1)
        cycle = {"boundary": "dirichlet", "kernels": kernels}
        self.conv_list = nn.ModuleList(Cycle(f, width, counts, **cycle) for f in before)
        self.linear_list = nn.ModuleList(nn.Conv2d(f, width, 1) for f in before)
        self.linear = nn.Conv2d(width, 1, 1, bias=False)

    def forward(self, u):
        for conv, linear in zip(self.conv_list, self.linear_list, strict=True):
            u = functional.gelu(conv(u) + linear(u))
        return self.linear(u)


class NavierStokes(nn.Module):
    def __init__(self, width, layers, counts, grid):
        super().__init__()
        cycle = {"boundary": "periodic", "kernels": [4] * (len(counts) - 1), "bias": True, "norm_grid": grid}
        before = [1] + [width] * (layers - 1)
        self.conv_list = nn.ModuleList(Cycle(f, width, counts, **cycle) for f in before)
        self.last_layer = nn.Conv2d(width, 1, 1, bias=False)

    def forward(self, u):
        u_0 = u
        for conv in self.conv_list:
            u = functional.gelu(conv(u))
        return u_0 + self.last_layer(u)


class Helmholtz(nn.Module):
    """Its first iterations carry an A that nothing reads."""

    def __init__(self, width, layers, counts, kernels, grid):
        super().__init__()
        cycle = {"boundary": "neumann", "kernels": kernels, "bias": True, "inner": True, "growing": True}
        before = [1] + [width] * (layers - 1)
        self.conv_list = nn.ModuleList(Cycle(f, width, counts, **cycle) for f in before)
        self.norm_layer_list = nn.ModuleList(nn.LayerNorm([width, *grid]) for _ in before)
        self.last_layer = Cycle(width, 1, counts, **cycle)

    def forward(self, u):
        for conv, norm in zip(self.conv_list, self.norm_layer_list, strict=True):
            u = functional.gelu(norm(conv(u)))
        return self.last_layer(u)


def once(*last):
    """One iteration a level on the way down but for the last ones."""
    return lambda levels: [(1, 0)] * (levels - len(last)) + [(n, 0) for n in last]


# By preset: the model at its published size on a grid, and the arguments with which a preset is this model.
PUBLISHED = {
    "darcy-smooth": (lambda grid: Darcy(24, 5, once(2)(6), [3, 4, 3, 3, 4]), {}),
    "darcy-rough": (lambda grid: Darcy(24, 4, once(2)(6), [4] * 5), {}),
    "darcy-multiscale": (lambda grid: Darcy(24, 4, once(2)(6), [4] * 5), {}),
    "navier-stokes": (lambda grid: NavierStokes(32, 5, once(2, 2)(5), grid), {"transfers": "zeros"}),
    "helmholtz": (lambda grid: Helmholtz(20, 4, once(2)(5), [3, 4, 4, 3], grid), {"transfers": "inner"}),
}
# Small ones with the halvings of the published grids, on which the published prolongations meet the finer level.
GRIDS = {"darcy-smooth": 19, "darcy-rough": 32, "darcy-multiscale": 64, "navier-stokes": 16, "helmholtz": 53}


def randomised(model):
    """The model with values in every parameter that its first ones leave at 0 or 1."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model
