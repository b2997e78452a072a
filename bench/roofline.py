"""Every CPU kernel against the roof that the machine's memory and arithmetic put over it, both measured in turn."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from fastsciml.ops import (
    Transform,
    axis_eigenvalues,
    fast_poisson,
    gram_attention,
    poisson_apply,
    poisson_residual_norm,
)
from fastsciml.ops.gram_attention import gram_attention_definition
from fastsciml.ops.multigrid_stencil import Boundary, Kind, stencil, stencil_definition
from fastsciml.ops.poisson_apply import poisson_apply_definition
from fastsciml.ops.poisson_residual_norm import poisson_residual_norm_definition
from fastsciml.solvers.boundary import parse_boundary
from fastsciml.solvers.discretisation import Discretisation, Fill
from fastsciml.solvers.grid import make_grid, parse_spacing

from . import directions_step, limits
from .attention_peers import Case as AttentionCase
from .attention_peers import ours as attention
from .evonorm_peers import Case as EvoNormCase
from .evonorm_peers import ours as evonorm
from .machine import load
from .measure import DisagreementError, Spread, interleave, ratio
from .poisson_cycle import CYCLE_BYTES, Cycle
from .poisson_problems import noisy_box
from .report import Cell, Figures, Report, Settings, Tell

FULL_SIZE, QUICK_SIZE = 256, 64
ROUNDS_EACH = 2
AGREEMENT = 1e-5
CHANNELS = 24

# Flops count the formula's multiplications and additions, a division or a maximum as one. The bytes are those that must
# move, read or written once, as the kernels' headers state them; all numbers are float32's.

# csrc/poisson/operators.h: for each of six faces a difference and a product, and their sum.
APPLY_BYTES, APPLY_FLOPS = 8, 6 + 6 + 5
# csrc/multigrid/passes.h. A sweep's cell: f and six products, times the inverse diagonal, less v, relaxed, added. Four
# sweeps on the finest level, six on the others, which hold a seventh as many cells; of the first, from zero, half the
# cells are f times two numbers. The residual and its mean; the correction's interpolation along z, then y, then x
# (3/4 + 3/2 + 3), weighed and added.
SWEEP_FLOPS, RESIDUAL_FLOPS, TRANSFER_FLOPS = 12 + 4, 12 + 2, 1 + 5.25 + 2
FROM_ZERO_FLOPS = (2 - SWEEP_FLOPS) / 2
CYCLE_FLOPS = (4 + 6 / 7) * SWEEP_FLOPS + (FROM_ZERO_FLOPS + RESIDUAL_FLOPS + TRANSFER_FLOPS) * 8 / 7
# csrc/directions/operators.h, m directions: A z and 2 + 2 m inner products; then z += sum beta p, u += length z,
# r = scale (f - A u) and its square.
STEP_BYTES = directions_step.LINE_SEARCH_BYTES + directions_step.UPDATE_BYTES
STEP_FLOPS = (
    APPLY_FLOPS + 2 * (2 + 2 * directions_step.DIRECTIONS) + 2 * directions_step.DIRECTIONS + 2 + APPLY_FLOPS + 4
)
# csrc/poisson/residual_norm_cpu.cpp: A u, the difference, its square summed.
NORM_BYTES, NORM_FLOPS = 8, APPLY_FLOPS + 3
# csrc/spectral/fast_poisson_cpu.cpp: three passes, each reading and writing; along each axis there and back a real
# transform of 2.5 n log2 n, as benchmarks of transforms count, then the sum of eigenvalues, the division, a product.
SINES_BYTES, TRANSFORM_FLOPS, DIVISION_FLOPS = 3 * 8, 2.5, 3
# csrc/evonorm/: moments are a difference, a square and two sums. A sigmoid is an exponential (core/exp.h: 3 to round, 4
# to reduce, 12 for the polynomial, 1 to scale), 1 more and a division; its argument a product. Forward scales and
# shifts. Backward (variants.h): the sigmoid anew, the slopes, three sums, and a x + b added.
MOMENTS, SIGMOID, AFFINE = 4, 1 + 20 + 2, 3
S_FORWARD, S_BACKWARD = MOMENTS + SIGMOID + 2, SIGMOID + 9 + 3 + AFFINE
# Quotients: v x + own, the maximum, the division, weight x, bias. Backward the same, in both readings; the slopes and
# five sums in the first, dx in the second.
B_QUOTIENT = 2 + 1 + 1
B_FORWARD, B_BACKWARD = MOMENTS + B_QUOTIENT + 2, 2 * B_QUOTIENT + 4 + 5 + 4 + AFFINE
# Tensors of x's size, as bench/evonorm.py counts them.
EVONORM = {
    "EvoNorm S0 forward": (2, S_FORWARD),
    "EvoNorm S0 forward + backward": (5, S_FORWARD + S_BACKWARD),
    "EvoNorm B0 forward": (3, B_FORWARD),
    "EvoNorm B0 forward + backward": (8, B_FORWARD + B_BACKWARD),
}


@dataclass(frozen=True)
class Kernel:
    """What is run, and what one run must move and compute."""

    name: str
    size: str
    bytes: float
    flops: float
    run: Callable[[], object]

    @property
    def intensity(self) -> float:
        return self.flops / self.bytes


@dataclass(frozen=True)
class Measured:
    """Seconds of the rounds, in turn: the kernels, a copy of `copied` bytes, a product of `multiplied` flops."""

    kernels: list[Kernel]
    seconds: list[list[float]]
    copies: list[float]
    products: list[float]
    copied: float
    multiplied: float

    def share(self, number: int) -> Spread:
        """Of the speed that the nearer of the two limits allows, round by round."""
        kernel = self.kernels[number]
        limits_ = [
            max(kernel.bytes / self.copied * copy, kernel.flops / self.multiplied * product)
            for copy, product in zip(self.copies, self.products, strict=True)
        ]
        return ratio(limits_, self.seconds[number])

    def limited_by(self, number: int) -> str:
        kernel = self.kernels[number]
        return "memory" if kernel.intensity < self.rate / self.bandwidth else "arithmetic"

    @property
    def bandwidth(self) -> float:
        return self.copied / Spread.of(self.copies).median

    @property
    def rate(self) -> float:
        return self.multiplied / Spread.of(self.products).median


def run(settings: Settings, tell: Tell) -> Report:
    load_before = load()
    measured = measure(settings, tell)
    return Report(
        "roofline",
        settings,
        [],
        [_kernel_figures(measured), _limit_figures(measured)],
        [
            f"{settings.threads} threads, kernels, copy and product in turn: median (least..most).",
            "Results agreed with the definitions before a time was taken.",
            f"Before this run: {load_before}.",
        ],
    )


def measure(settings: Settings, tell: Tell) -> Measured:
    tell("checking the kernels")
    made = kernels(settings)
    tell("timing the kernels, a copy and a product")
    source, target = torch.ones(2, limits.ELEMENTS, dtype=torch.float64)
    competitors: dict[str, Callable[[], object]] = {kernel.name: kernel.run for kernel in made}
    competitors |= {"copy": lambda: target.copy_(source), "product": limits.matrix_product()}
    interleave(competitors, 2)
    timings = interleave(competitors, ROUNDS_EACH * settings.repetitions)
    return Measured(
        made,
        [timings[kernel.name].seconds for kernel in made],
        timings["copy"].seconds,
        timings["product"].seconds,
        2.0 * source.numel() * source.element_size(),
        limits.matrix_flops(),
    )


def kernels(settings: Settings) -> list[Kernel]:
    """One case of each, its results checked.

    Raises:
        DisagreementError: one is wrong.
    """
    n = settings.size
    poisson = [_apply(n), _residual_norm(n), _cycle(n), _step(n), _sines(n)]
    return [*poisson, *_evonorm(settings), _attention(settings), _gram(settings), _stencil(n)]


def _couplings(n: int, dtype: torch.dtype) -> tuple[Tensor, list[int]]:
    """Of a Dirichlet box."""
    grid = make_grid((n, n, n), parse_spacing(1.0, (n, n, n)), parse_boundary("dirichlet", 3))
    a = Discretisation(grid, Fill(), dtype).operator
    return a.couplings, a.periodic


def _apply(n: int) -> Kernel:
    u, (couplings, periodic) = torch.randn(1, n, n, n), _couplings(n, torch.float32)
    exact = poisson_apply_definition(u.double(), _couplings(n, torch.float64)[0], periodic, None, None, None)
    _check("poisson_apply", poisson_apply(u, couplings, periodic), exact)
    return Kernel(
        "Poisson operator",
        f"{n}^3",
        APPLY_BYTES * n**3,
        APPLY_FLOPS * n**3,
        partial(poisson_apply, u, couplings, periodic),
    )


def _residual_norm(n: int) -> Kernel:
    u, f, (couplings, periodic) = torch.randn(n, n, n), torch.randn(n, n, n), _couplings(n, torch.float32)
    exact = poisson_residual_norm_definition(u.double(), f.double(), _couplings(n, torch.float64)[0], periodic)
    run = partial(poisson_residual_norm, u, f, couplings, periodic)
    _check("poisson_residual_norm", torch.tensor(run()), exact)
    return Kernel("residual norm", f"{n}^3", NORM_BYTES * n**3, NORM_FLOPS * n**3, run)


def _sines(n: int) -> Kernel:
    f = torch.randn(1, n, n, n)
    eigenvalues = [axis_eigenvalues(n, 1.0, Transform.DIRICHLET, torch.float32)] * 3
    run = partial(fast_poisson, f, [Transform.DIRICHLET] * 3, eigenvalues)
    _check("fast_poisson", poisson_apply(run().double(), *_couplings(n, torch.float64)), f.double())
    flops = 6 * TRANSFORM_FLOPS * math.log2(n) + DIVISION_FLOPS
    return Kernel("sine transforms' solve", f"{n}^3", SINES_BYTES * n**3, flops * n**3, run)


def _cycle(n: int) -> Kernel:
    cycle = Cycle(noisy_box(n))
    cycle()
    cycle.check()
    return Kernel("V-cycle", f"{n}^3", CYCLE_BYTES * n**3, CYCLE_FLOPS * n**3, cycle)


def _step(n: int) -> Kernel:
    directions_step.check(directions_step.Fused(n))
    step = directions_step.Fused(n)
    return Kernel("conjugate step, 2 directions", f"{n}^3", STEP_BYTES * n**3, STEP_FLOPS * n**3, step)


def _evonorm(settings: Settings) -> list[Kernel]:
    case = EvoNormCase((2, 64, 56, 56) if settings.quick else (32, 64, 56, 56))
    for layer in ("S0", "B0"):
        case.check(layer)
    made, numbers = [], case.x.numel()
    for name, (tensors, flops) in EVONORM.items():
        function = partial(evonorm, name=name.split()[1])
        run = case.both(function) if name.endswith("backward") else case.forward(function)
        made.append(Kernel(name, case.name, 4.0 * tensors * numbers, float(flops) * numbers, run))
    return made


def _attention(settings: Settings) -> Kernel:
    """Flops as in csrc/attention/scan.h's chunks; q, k and v are read, o is written."""
    case = AttentionCase(1024 if settings.quick else 16384)
    AttentionCase(min(case.length, 4096)).check([attention])
    return Kernel("linear attention", case.name, 4.0 * 4 * case.rows[0].numel(), case.flops, case.forward(attention))


def _gram(settings: Settings) -> Kernel:
    """Tasks of 11 tokens of 11 numbers, one head: G, A G B, that times the tokens. Tokens are read, as many written."""
    tasks, width = 2**13 if settings.quick else 2**17, 11
    tokens, (left, right) = torch.randn(tasks, width, width), torch.randn(2, 1, width, width)
    run = partial(gram_attention, tokens, left, right)
    some = tokens[:100].double()
    _check("gram_attention", run()[:100], gram_attention_definition(some, left.double(), right.double(), width))
    size = f"{tasks:,} x {width} x {width}"
    return Kernel("Gram attention", size, 8.0 * tokens.numel(), 4 * 2.0 * width**3 * tasks, run)


def _stencil(n: int) -> Kernel:
    """csrc/stencils/stencil_cpu.cpp: 2 C_in C_out taps flops per point; the field is read, another written."""
    batch = 8
    x, weight = torch.randn(batch, CHANNELS, n, n), torch.randn(CHANNELS, CHANNELS, 3, 3)
    exact = stencil_definition(x[:1].double(), weight.double(), Kind.SAME, Boundary.DIRICHLET, (n, n))
    apply = partial(stencil, x, weight, Kind.SAME, Boundary.DIRICHLET, (n, n))
    _check("multigrid_stencil", apply()[:1], exact)
    points = batch * n**2
    size = f"{batch} x {CHANNELS} x {n} x {n}"
    return Kernel("stencil", size, 4.0 * 2 * CHANNELS * points, 2.0 * CHANNELS**2 * 9 * points, apply)


def _check(name: str, out: Tensor, exact: Tensor) -> None:
    error = float((out.double() - exact).norm() / exact.norm())
    if not error <= AGREEMENT:
        raise DisagreementError(f"{name} differs from its definition by {error:.1e}, so no time is reported")


def _kernel_figures(m: Measured) -> Figures:
    rows: list[dict[str, Cell]] = [
        {
            "kernel": kernel.name,
            "size": kernel.size,
            "MB": kernel.bytes / 1e6,
            "Mflop": kernel.flops / 1e6,
            "flop/byte": kernel.intensity,
            "ms": Spread.of(1e3 * second for second in seconds),
            "limit": m.limited_by(number),
            "share": m.share(number),
        }
        for number, (kernel, seconds) in enumerate(zip(m.kernels, m.seconds, strict=True))
    ]
    note = (
        "MB that must move, flops that the formula asks for (bench/roofline.py). Share: of the speed at the nearer "
        "limit. What fits a cache may exceed 1, and so may sums of two rows at once, which need fewer flops."
    )
    return Figures("Kernels against the machine's limits, float32", rows, note)


def _limit_figures(m: Measured) -> Figures:
    row: dict[str, Cell] = {
        "copy, GB/s": m.bandwidth / 1e9,
        "torch.mm, Gflop/s": m.rate / 1e9,
        "where they meet, flop/byte": m.rate / m.bandwidth,
    }
    return Figures("The limits, in the same rounds", [row])
