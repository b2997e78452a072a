"""How an aquifer conducts, from pumping tests: `python examples/coefficient_recovery.py [size] [steps]`.

Hydraulic tomography: water is pumped at one well after the other, and all wells tell their water level u, with noise.
-div(k grad u) = f holds with an unknown k. k = exp(m) comes from L-BFGS: the misfit's gradient passes through the
solves, and total variation keeps k as plain as the levels allow. Prints the relative error of k, writes
coefficient_recovery.png.
"""

import math
import sys
from time import perf_counter

import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from fastsciml import solve_poisson

size = int(sys.argv[1]) if len(sys.argv) > 1 else 64
iterations = int(sys.argv[2]) if len(sys.argv) > 2 else 150
WELLS_ACROSS, NOISE, VARIATION, REACH, STEPS_AT_ONCE = 9, 0.01, 20.0, 0.05, 5
h = 1 / size
torch.manual_seed(0)
ticks = (torch.arange(size, dtype=torch.float64) + 0.5) * h
x, y = torch.meshgrid(ticks, ticks, indexing="ij")

# A gravel channel and a lens of clay.
truth = torch.ones(size, size, dtype=torch.float64)
truth[(y - 0.62 - 0.16 * torch.sin(6.5 * x)).abs() < 0.09] = 6
truth[((x - 0.66) / 0.2) ** 2 + ((y - 0.24) / 0.11) ** 2 < 1] = 0.15

grid = (torch.cartesian_prod(*[torch.arange(WELLS_ACROSS)] * 2) + 0.5) / WELLS_ACROSS
wells = ((grid + 0.25 / WELLS_ACROSS * torch.randn(grid.shape)).clamp(0.02, 0.98) * size).long()
pumped = wells[1::4]
f = torch.zeros(len(pumped), size, size, dtype=torch.float64)
f[torch.arange(len(pumped)), pumped[:, 0], pumped[:, 1]] = -1 / h**2


def levels(k: torch.Tensor) -> torch.Tensor:
    """[tests, wells]; the level at the edges of the field is 0 and stays so."""
    u = solve_poisson(f, dims=2, spacing=h, coefficient=k, tol=1e-8).solution
    return u[:, wells[:, 0], wells[:, 1]]


exact = levels(truth)
noise = NOISE * exact.std()
observed = exact + noise * torch.randn_like(exact)

# k stays between 1 / 20 and 20, so that a line search cannot leave what the solver takes.
free = torch.zeros(size, size, dtype=torch.float64, requires_grad=True)
optimiser = torch.optim.LBFGS([free], max_iter=STEPS_AT_ONCE, history_size=20, line_search_fn="strong_wolfe")


def log_k() -> torch.Tensor:
    # L-BFGS finds broad features first if its variables are those of a screened Poisson problem.
    smooth = solve_poisson(free, spacing=h, boundary="neumann", alpha=1 / REACH**2, tol=1e-10).solution
    return math.log(20) * (smooth / REACH**2).tanh()


def misfit(m: torch.Tensor) -> torch.Tensor:
    """Mean square of the differences from the observed levels, in units of the noise: 1 is as good as it gets."""
    return ((levels(m.exp()) - observed) / noise).square().mean()


def loss() -> torch.Tensor:
    optimiser.zero_grad()
    m = log_k()
    steps = (m[1:, :-1] - m[:-1, :-1]).square() + (m[:-1, 1:] - m[:-1, :-1]).square()
    total = misfit(m) * observed.numel() / 2 + VARIATION * h * (steps + 1e-4).sqrt().sum()
    total.backward()
    return total


def solved_so_far() -> tuple[float, float]:
    with torch.no_grad():
        m = log_k()
        return float(misfit(m)), float((m.exp() - truth).norm() / truth.norm())


start, history = perf_counter(), [solved_so_far()]
for _ in range(0, iterations, STEPS_AT_ONCE):
    optimiser.step(loss)
    history.append(solved_so_far())
seconds = perf_counter() - start
misfits, errors = zip(*history, strict=True)
print(f"{len(pumped)} tests, {len(wells)} wells, {iterations} steps in {seconds:.1f} s")
print(f"mean square misfit: {misfits[0]:.0f} times the noise's at first, {misfits[-1]:.2f} times at the end")
print(f"relative error of k: {errors[0]:.3f} at first (k = 1), {errors[-1]:.3f} at the end")

figure = Figure(figsize=(14, 4.1), layout="constrained")
left, middle, right = figure.subplots(1, 3)
colours = {"cmap": "viridis", "norm": LogNorm(0.1, 10), "extent": (0, 1, 0, 1), "origin": "lower"}
for axes, k, title in ((left, truth, "Truth, and the wells"), (middle, log_k().detach().exp(), "Recovered")):
    image = axes.imshow(k.T, **colours)
    axes.set(title=title, xlabel="x", ylabel="y")
for places, colour, name in ((wells, "white", "observed"), (pumped, "tab:red", "pumped and observed")):
    left.scatter(*((places + 0.5) * h).T, s=14, color=colour, edgecolors="black", linewidths=0.4, label=name)
left.legend(loc="lower left", fontsize=8, framealpha=0.9)
figure.colorbar(image, ax=[left, middle], label="conductivity k", pad=0.01)
steps = range(0, iterations + 1, STEPS_AT_ONCE)
right.semilogy(steps, misfits, label="mean square misfit / noise$^2$")
right.semilogy(steps, errors, label="relative error of k")
right.axhline(1, color="0.5", linestyle="dashed", linewidth=1)
right.set(title="Progress", xlabel="steps of L-BFGS", box_aspect=1)
right.legend()
right.grid(alpha=0.3)
figure.savefig("coefficient_recovery.png", dpi=100)
