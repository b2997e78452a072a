"""Residuals of one pressure solve by several search directions: `python examples/learned_directions.py [size]`.

Conjugate gradients, the same with a plain V-cycle for a preconditioner, with a learned one, and along the directions of
a convolutional network that was trained on this problem at 32^3. Writes learned_directions.png.
"""

import sys

import torch
from matplotlib.figure import Figure
from torch import nn

from fastsciml import LearnedDirections, solve_poisson
from fastsciml.data import smoke_plume
from fastsciml.directions import MultigridDirection, load_direction

size = int(sys.argv[1]) if len(sys.argv) > 1 else 32
tolerance = 1e-8

plume = smoke_plume((size, size, size))
problem = {"spacing": plume.spacing, "boundary": plume.boundary, "solid": plume.solid}
networks: dict[str, tuple[nn.Module, int]] = {
    "conjugate gradients": (nn.Identity(), 1),
    "DCDM, a convolutional network": (load_direction("dcdm-3d"), 2),
    "plain V-cycle": (MultigridDirection(3), 1),
    "learned V-cycle": (load_direction("multigrid-3d"), 1),
}

figure = Figure(figsize=(7, 4.5), layout="constrained")
axes = figure.subplots()
for name, (network, memory) in networks.items():
    learned = LearnedDirections(network, memory, fallback=None)
    f = torch.from_numpy(plume.rhs).double()
    result = solve_poisson(f, **problem, method=learned, tol=tolerance, max_iterations=20 * size)
    print(f"{name}: {result}")
    axes.semilogy(result.residuals.ravel(), marker="o", markersize=3, label=f"{name}: {result.seconds.solve:.2g} s")
axes.set(xlabel="directions", ylabel="relative residual", xscale="symlog", title=f"Smoke plume past a ball, {size}$^3$")
axes.set_xlim(0, None)
axes.legend(loc="upper right")
axes.grid(alpha=0.3)
figure.savefig("learned_directions.png", dpi=130)
