"""EvoNorm's layers against copying their input, their own formula in PyTorch, and the pairs of layers they replace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from fastsciml.kernels.evonorm_tiles import held_group
from torch import Tensor

from . import evonorm_memory, limits, memory
from .evonorm_peers import (
    GROUPS,
    Case,
    Function,
    b0_formula,
    batch_norm,
    compiled,
    group_norm,
    ours,
    s_formula,
    timm_layer,
)
from .machine import ABSENT, installed_version, load
from .measure import Spread, interleave, ratio
from .report import Cell, Comparison, Figures, Judgement, Report, Settings, Target, Tell, judged

FULL_SIZE, QUICK_SIZE = 56, 16
SMALL_BATCH = 2  # of a quick run
WITH_GROUPS = ("S0", "S1", "S2")

# Tensors of x's size that must move: S reads x, writes y; back it reads x, dy, writes dx. B reads x once more for the
# batch's statistics, and x and dy once more for the sums over the batch.
MUST_MOVE = {"S0 forward": 2, "S0 both": 5, "B0 both": 8}

# For every size: whose seconds are compared with ours, and the column's name.
PEERS = {
    "S0 forward": {
        "S0 forward eager": "eager",
        "S0 forward compiled": "compiled",
        "silu(GroupNorm) forward": "silu(GroupNorm)",
    },
    "S0 both": {"S0 eager both": "eager", "S0 compiled both": "compiled", "silu(GroupNorm) both": "silu(GroupNorm)"},
    "B0 both": {"B0 eager both": "eager", "relu(BatchNorm2d) both": "relu(BatchNorm2d)"},
}

Seconds = dict[str, list[float]]


@dataclass(frozen=True)
class Measured:
    """One shape and the seconds of every competitor's rounds."""

    case: Case
    seconds: Seconds

    def times(self, slower: str, faster: str) -> Spread:
        return ratio(self.seconds[slower], self.seconds[faster])


def run(settings: Settings, tell: Tell) -> Report:
    load_before = load()
    tell("measuring the copy bandwidth")
    bandwidth = limits.copy_bandwidth()
    measured = []
    for number, case in enumerate(_cases(settings)):
        tell(f"checking {case.name}")
        for name in (*WITH_GROUPS, "B0"):
            case.check(name)
        tell(f"timing {case.name}")
        competitors = _competitors(case, everything=number == 0)
        interleave(competitors, 2)  # compiles, too
        timings = interleave(competitors, settings.repetitions)
        measured.append(Measured(case, {name: timing.seconds for name, timing in timings.items()}))
    tell("measuring memory")
    peaks = {name: _peak(name, settings) for name in ("S0", "B0")}
    return Report(
        "evonorm",
        settings,
        _judge(settings, measured[0], peaks),
        [
            _first_figures(measured[0]),
            *(_size_figures(measured, what, peers) for what, peers in PEERS.items()),
            _limit_figures(measured, bandwidth),
            _cuda_figures(),
        ],
        [*_notes(settings), f"Before this run: {load_before}."],
        _comparisons(measured[0]),
        [f"timm is {ABSENT}: its layers not compared."] if installed_version("timm") == ABSENT else [],
    )


def _cases(settings: Settings) -> list[Case]:
    n, s = SMALL_BATCH if settings.quick else 32, settings.size
    shapes = [(n, 64, s, s), (n, 128, s // 2, s // 2), (n, 256, s // 4, s // 4), (n, 512, s // 8, s // 8)]
    shapes += [(2, 64, 2 * s, 2 * s), (1, 64, s - 1, s + 1)]
    if settings.quick:  # each is compiled anew, which takes seconds
        shapes = [shapes[0], shapes[-1]]
    return [*map(Case, shapes), Case(shapes[0], channels_last=True)]


def _competitors(case: Case, everything: bool) -> dict[str, Callable[[], Sequence[Tensor]]]:
    s0_formula = partial(s_formula, name="S0")
    competitors: dict[str, Callable[[], Sequence[Tensor]]] = {"clone": case.clone}
    for name in WITH_GROUPS if everything else ("S0",):
        formula = partial(s_formula, name=name)
        competitors[f"{name} forward"] = case.forward(partial(ours, name=name))
        competitors[f"{name} forward eager"] = case.forward(formula)
        competitors[f"{name} forward compiled"] = case.forward(compiled(formula))
    functions: dict[str, Function] = {
        "S0": partial(ours, name="S0"),
        "S0 eager": s0_formula,
        "S0 compiled": compiled(s0_formula),
        "silu(GroupNorm)": group_norm,
        "B0": partial(ours, name="B0"),
        "B0 eager": b0_formula,
        "relu(BatchNorm2d)": batch_norm,
    }
    competitors |= {f"{name} both": case.both(function) for name, function in functions.items()}
    competitors["silu(GroupNorm) forward"] = case.forward(group_norm)
    competitors["relu(BatchNorm2d) forward"] = case.forward(batch_norm)
    for name in ("S0", "B0") if everything else ():
        layer = timm_layer(name, case.shape[1])
        if layer is not None:
            competitors[f"timm {name} both"] = case.both(lambda x, *_, layer=layer: layer(x))
    return competitors


def _peak(name: str, settings: Settings) -> Spread | None:
    if not memory.measurable() or settings.quick:
        return None
    return Spread.of([evonorm_memory.peak_tensors(name, settings.threads)])


def _judge(settings: Settings, first: Measured, peaks: dict[str, Spread | None]) -> list[Judgement]:
    shape = first.case.name
    measured: dict[Target, Spread | None] = {}
    for name in WITH_GROUPS:
        forward = f"{name} forward"
        measured |= {
            Target(f"{forward}, {shape}: seconds / those of x.clone()", 2.0): first.times(forward, "clone"),
            Target(f"{forward}: eager PyTorch's seconds / ours", 30.0, True): first.times(f"{forward} eager", forward),
            Target(f"{forward}: torch.compile's / ours", 3.0, True): first.times(f"{forward} compiled", forward),
        }
    measured |= {
        Target("S0 forward + backward: seconds / those of x.clone()", 6.0): first.times("S0 both", "clone"),
        Target("S0 forward + backward: eager PyTorch's / ours", 20.0, True): first.times("S0 eager both", "S0 both"),
        Target("S0 forward + backward: torch.compile's / ours", 2.5, True): first.times("S0 compiled both", "S0 both"),
        Target("S0 forward + backward: silu(GroupNorm)'s / ours", 1.0, True): first.times(
            "silu(GroupNorm) both", "S0 both"
        ),
        Target("B0 training forward + backward: seconds / those of x.clone()", 8.0): first.times("B0 both", "clone"),
        Target("B0 training forward + backward: relu(BatchNorm2d)'s / ours", 1.0, True): first.times(
            "relu(BatchNorm2d) both", "B0 both"
        ),
        Target("S0: peak memory, tensors of x's size", 4.05): peaks["S0"],
        Target("B0: peak memory, tensors of x's size", 4.05): peaks["B0"],
    }
    return judged(measured, full=not settings.quick and settings.size == FULL_SIZE)


def _comparisons(first: Measured) -> list[Comparison]:
    peers = {ours: dict(of) for ours, of in PEERS.items()}
    for name in ("S0", "B0"):
        if f"timm {name} both" in first.seconds:
            peers[f"{name} both"][f"timm {name} both"] = "timm"
    return [
        Comparison(f"EvoNorm {ours}, {first.case.name}", column, first.times(peer, ours))
        for ours, of in peers.items()
        for peer, column in of.items()
    ]


def _first_figures(first: Measured) -> Figures:
    rows: list[dict[str, Cell]] = [
        {
            "what": name,
            "ms": Spread.of(1e3 * second for second in seconds),
            "times x.clone()": first.times(name, "clone"),
        }
        for name, seconds in first.seconds.items()
    ]
    return Figures(f"{first.case.name}, float32; both: forward + backward to x and every parameter", rows)


def _size_figures(measured: list[Measured], what: str, peers: dict[str, str]) -> Figures:
    """Ours in clones, then the peers: {competitor: column}."""
    rows: list[dict[str, Cell]] = []
    for m in measured:
        row: dict[str, Cell] = {"shape": m.case.name, f"{what} / clone": m.times(what, "clone")}
        rows.append(row | {column: m.times(peer, what).median for peer, column in peers.items()})
    return Figures(
        f"{what}, every size: seconds / those of x.clone(), then the peers' seconds / ours",
        rows,
        "last: channels_last. A small tensor is cloned in its cache, in less time than an operator takes to start.",
    )


def _limit_figures(measured: list[Measured], bandwidth: float) -> Figures:
    rows: list[dict[str, Cell]] = []
    for m in measured:
        row: dict[str, Cell] = {"shape": m.case.name}
        for what, tensors in MUST_MOVE.items():
            moved = tensors * m.case.x.numel() * m.case.x.element_size()
            row[what] = f"{moved / Spread.of(m.seconds[what]).median / bandwidth:.0%}"
        rows.append(row)
    return Figures(
        f"Share of the copy bandwidth, {bandwidth / 1e9:.3g} GB/s, if each moved only what it must",
        rows,
        "Tensors that must move: " + ", ".join(f"{what} {tensors}" for what, tensors in MUST_MOVE.items()) + ".",
    )


def _cuda_figures() -> Figures:
    rows: list[dict[str, Cell]] = []
    for shape in ((32, 64, 56, 56), (32, 256, 14, 14), (2, 64, 112, 112), (1, 64, 512, 512)):
        n, channels, height, width = shape
        tensor = 4 * n * channels * height * width / 1e6
        forward, backward = (
            held_group(channels // GROUPS, height * width, False, 4, backward=backward) for backward in (False, True)
        )
        rows.append(
            {
                "shape": "x".join(map(str, shape)),
                "S forward must move, MB": 2 * tensor,
                "moves": (3 if forward is None else 2) * tensor,
                "S backward must move": 3 * tensor,
                "its moves": (5 if backward is None else 3) * tensor,
                "B forward must move = moves": 3 * tensor,
                "B backward": 5 * tensor,
            }
        )
    return Figures("CUDA kernels: bytes from the code; not run here", rows, "A group that is held is read once.")


def _notes(settings: Settings) -> list[str]:
    return [
        f"{settings.threads} threads, {settings.repetitions} rounds, competitors in turn: median (least..most).",
        "Output and gradients agreed with the float64 definition at every shape before a time was taken.",
        "The pairs and the formulae get the same inputs; torch.compile compiles for the one shape, before the time.",
    ]
