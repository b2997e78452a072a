"""A conjugate-direction step with two directions kept: its share of the memory's speed, and the same in PyTorch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from torch import Tensor

from fastsciml.ops import conjugate_direction_step, conjugate_line_search, join_rows, poisson_apply, split_rows
from fastsciml.ops.conjugate_direction import conjugate_direction_step_definition, conjugate_line_search_definition
from fastsciml.ops.pages import empty_in_huge_pages
from fastsciml.solvers.boundary import parse_boundary
from fastsciml.solvers.discretisation import Discretisation, Fill
from fastsciml.solvers.grid import make_grid, parse_spacing

from . import limits, report
from .machine import load
from .measure import DisagreementError, Spread, interleave, ratio
from .report import Figures, Judgement, Report, Settings, Target, Tell, judged

FULL_SIZE, QUICK_SIZE = 128, 64
DIRECTIONS = 2
# A round takes milliseconds: more of them cost nothing.
ROUNDS_EACH = 5
# Bytes per unknown, float32 (csrc/directions/operators.h): the line search reads z, r and the directions; the update
# reads them but r, and f, reads and writes u and z, writes r.
LINE_SEARCH_BYTES = 8 + 4 * DIRECTIONS
UPDATE_BYTES = 12 + 4 * DIRECTIONS + 12
# Of both against the definition in float64, relative: sums of float32 products, and one rounding of u.
PRODUCTS_AGREE, SOLUTIONS_AGREE = 1e-4, 1e-5

SHARE = Target("step with 2 directions, float32: time over that of the bytes that must move", 1.5)
IN_PYTORCH = Target("step with 2 directions, float32: times faster than in PyTorch operations", 4.0, at_least=True)


class State:
    """What all start from: unit spacing between Dirichlet faces, all float32, [n, n, n], in memory as a solver's."""

    def __init__(self, n: int) -> None:
        torch.manual_seed(0)
        made = [empty_in_huge_pages(n, n, n).copy_(torch.randn(n, n, n)) for _ in range(4 + DIRECTIONS)]
        self.u, self.f, self.z, self.r, *self.directions = made
        self.energies = [1e3 * n**3] * DIRECTIONS  # any positive number: they need not be conjugate to be timed

    def step_of(self, products: Sequence[float]) -> tuple[float, list[float]]:
        """Length and betas from the inner products, as a solver would."""
        energy, along, *rest = products
        betas = [-image / last for image, last in zip(rest[:DIRECTIONS], self.energies, strict=True)]
        for beta, image, p in zip(betas, rest[:DIRECTIONS], rest[DIRECTIONS:], strict=True):
            energy, along = energy + beta * image, along + beta * p
        return along / energy, betas


class Fused(State):
    """By fastsciml's two operators."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        grid = make_grid(self.u.shape, parse_spacing(1.0, self.u.shape), parse_boundary("dirichlet", 3))
        sample = Discretisation(grid, Fill(), torch.float32)
        self.hierarchy, self.operator = sample.hierarchy(), sample.operator
        self.z, self.r, *self.directions = (_split(t) for t in (self.z, self.r, *self.directions))

    def products(self) -> Tensor:
        return conjugate_line_search(self.z, self.directions, self.r, self.hierarchy)

    def __call__(self) -> float:
        length, betas = self.step_of(self.products().tolist())
        a = self.operator
        arguments = (a.couplings, a.periodic, a.faces, a.coefficient, a.alpha)
        return conjugate_direction_step(self.u, self.z, self.directions, self.r, self.f, *arguments, length, betas, 1.0)


class InPyTorch(State):
    """By PyTorch operations, A as it is usually written: slices of the field in a frame of zeros."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        # The face at an end is half a cell away.
        self.diagonal = torch.full_like(self.u, 6.0)
        for axis in range(3):
            for end in (0, n - 1):
                self.diagonal.select(axis, end).add_(1.0)

    def apply(self, v: Tensor) -> Tensor:
        w, i = torch.nn.functional.pad(v, 6 * [1]), slice(1, -1)
        x = w[:-2, i, i] + w[2:, i, i]
        y = w[i, :-2, i] + w[i, 2:, i]
        z = w[i, i, :-2] + w[i, i, 2:]
        return self.diagonal * v - x - y - z

    def products(self) -> Tensor:
        z, r, az, *ps = (t.view(-1) for t in (self.z, self.r, self.apply(self.z), *self.directions))
        pairs = [(z, az), (r, z), *((p, az) for p in ps), *((r, p) for p in ps)]
        return torch.stack([torch.dot(a, b) for a, b in pairs])

    def __call__(self) -> float:
        length, betas = self.step_of(self.products().tolist())
        for beta, p in zip(betas, self.directions, strict=True):
            self.z.add_(p, alpha=beta)
        self.u.add_(self.z, alpha=length)
        self.r = self.f - self.apply(self.u)
        return float(torch.linalg.vector_norm(self.r))


class InPlace(InPyTorch):
    """The same with A changed in place, slice by slice: about as fast as PyTorch operations get."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.image = torch.empty_like(self.u)

    def apply(self, v: Tensor) -> Tensor:
        out = torch.mul(v, 6.0, out=self.image)
        for axis in range(3):
            n = v.shape[axis]
            out.narrow(axis, 1, n - 1).sub_(v.narrow(axis, 0, n - 1))
            out.narrow(axis, 0, n - 1).sub_(v.narrow(axis, 1, n - 1))
            for end in (0, n - 1):  # the face is half a cell away
                out.select(axis, end).add_(v.select(axis, end))
        return out


@dataclass(frozen=True)
class StepTime:
    """Seconds of the rounds, taken in turn: the competitors, and a copy of `copied` bytes, read and written."""

    n: int
    fused: list[float]
    in_pytorch: list[float]
    in_place: list[float]
    copies: list[float]
    copied: int

    @property
    def bytes(self) -> int:
        return (LINE_SEARCH_BYTES + UPDATE_BYTES) * self.n**3

    @property
    def over_limit(self) -> Spread:
        return ratio(self.fused, [self.bytes / self.copied * second for second in self.copies])

    @property
    def times_faster(self) -> Spread:
        return ratio(self.in_pytorch, self.fused)

    def judge(self, settings: Settings) -> list[Judgement]:
        full = not settings.quick and settings.size == FULL_SIZE
        return judged({SHARE: self.over_limit, IN_PYTORCH: self.times_faster}, full)


def measure(settings: Settings, tell: Tell) -> StepTime:
    n = settings.size
    tell("checking a conjugate-direction step")
    for competitor in (Fused(n), InPyTorch(n), InPlace(n)):
        check(competitor)
    tell("timing conjugate-direction steps")
    source, target = torch.ones(2, limits.ELEMENTS, dtype=torch.float64)
    competitors: dict[str, Callable[[], object]] = {
        "fused": Fused(n),
        "in PyTorch": InPyTorch(n),
        "in place": InPlace(n),
        "copy": lambda: target.copy_(source),
    }
    interleave(competitors, 2)
    timings = interleave(competitors, ROUNDS_EACH * settings.repetitions)
    fused, in_pytorch, in_place, copies = (timings[name].seconds for name in competitors)
    return StepTime(n, fused, in_pytorch, in_place, copies, 2 * source.numel() * source.element_size())


def check(competitor: Fused | InPyTorch) -> None:
    """Both passes against the definitions in float64.

    Raises:
        DisagreementError: a result is wrong.
    """
    n = len(competitor.u)
    start, apply = State(n), _operator(n)
    u, f, z, r, *directions = (t.double() for t in (start.u, start.f, start.z, start.r, *start.directions))
    reference = conjugate_line_search_definition(z, directions, r, apply(z), torch.ones_like(z))
    products = competitor.products().double()
    length, betas = competitor.step_of(products.tolist())
    new_u, new_z, new_r, norm = conjugate_direction_step_definition(u, z, directions, f, apply, length, betas, 1.0)
    got = competitor()
    got_z, got_r = competitor.z, competitor.r
    if isinstance(competitor, Fused):
        got_z, got_r = join_rows(got_z, n), join_rows(got_r, n)
    sizes = torch.linalg.vector_norm(z) * torch.linalg.vector_norm(apply(z))
    wrong = [
        name
        for name, is_right in (
            ("inner products", bool(((products - reference).abs() <= PRODUCTS_AGREE * sizes).all())),
            ("u", _agrees(competitor.u, new_u)),
            ("z", _agrees(got_z, new_z)),
            ("r", _agrees(got_r, new_r)),
            ("norm", abs(got - float(norm)) <= PRODUCTS_AGREE * float(norm)),
        )
        if not is_right
    ]
    if wrong:
        raise DisagreementError(
            f"a conjugate-direction step at {n}^3 by {type(competitor).__name__} has a wrong {', '.join(wrong)}, so no "
            "time is reported"
        )


def figures(time: StepTime) -> Figures:
    return Figures(
        f"One conjugate-direction step, {DIRECTIONS} directions kept, float32",
        [
            {
                "grid": f"{time.n}^3",
                "ms": Spread.of(1e3 * second for second in time.fused),
                "in PyTorch, ms": Spread.of(1e3 * second for second in time.in_pytorch),
                "times faster": time.times_faster,
                "than in place": ratio(time.in_place, time.fused),
                "copy, GB/s": Spread.of(time.copied / second / 1e9 for second in time.copies),
                "time / limit": time.over_limit,
            }
        ],
        f"Line search and update: {LINE_SEARCH_BYTES} + {UPDATE_BYTES} bytes per cell must move. Limit: the time a "
        "copy, run in the same rounds, takes to move as many. In place: A in PyTorch without temporaries.",
    )


def run(settings: Settings, tell: Tell) -> Report:
    load_before = load()
    time = measure(settings, tell)
    notes = [f"{settings.threads} threads, competitors in turn: median (least..most).", f"Before: {load_before}."]
    return Report("directions_step", settings, time.judge(settings), [figures(time)], notes)


def _operator(n: int) -> Callable[[Tensor], Tensor]:
    grid = make_grid((n, n, n), parse_spacing(1.0, (n, n, n)), parse_boundary("dirichlet", 3))
    a = Discretisation(grid, Fill(), torch.float64).operator
    return lambda u: poisson_apply(u[None], a.couplings, a.periodic, a.faces, a.coefficient, a.alpha)[0]


def _split(rows: Tensor) -> Tensor:
    halves = split_rows(rows)
    return empty_in_huge_pages(*halves.shape).copy_(halves)


def _agrees(ours: Tensor, reference: Tensor) -> bool:
    error = torch.linalg.vector_norm(ours.double() - reference)
    return bool(error <= SOLUTIONS_AGREE * torch.linalg.vector_norm(reference))


if __name__ == "__main__":
    settings = Settings(FULL_SIZE)
    torch.set_num_threads(settings.threads)
    with Console(stderr=True).status("directions_step") as status:
        result = run(settings, status.update)
    report.show(result, Console() if sys.stdout.isatty() else Console(width=110))
