"""EvoNorm's layers on a CUDA device: the device's time, from CUDA graphs, against what a user would write instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from .evonorm_peers import Case, Function, b0_formula, batch_norm, compiled, group_norm, ours, s_formula
from .gpu_time import captured, timed
from .measure import Spread, interleave, ratio
from .report import Cell, Figures, Settings, Tell

# Batches of a ResNet-50's stages; the last two are the largest again.
SHAPES = ((128, 64, 56, 56), (32, 64, 56, 56), (128, 256, 14, 14), (128, 512, 7, 7), (2, 64, 112, 112))
QUICK_SHAPES = ((2, 64, 16, 16),)
# Tensors of x's size that must move through memory (bench/evonorm.py).
MUST_MOVE = {"S0 forward": 2, "S0 both": 5, "B0 both": 8}


@dataclass(frozen=True)
class Measured:
    case: Case
    seconds: dict[str, list[float]]

    def times(self, slower: str, faster: str) -> Spread:
        return ratio(self.seconds[slower], self.seconds[faster])

    def share(self, what: str, bandwidth: float) -> str:
        moved = MUST_MOVE[what] * self.case.x.nbytes
        return f"{moved / Spread.of(self.seconds[what]).median / bandwidth:.0%}"


def figures(settings: Settings, bandwidth: float, tell: Tell) -> list[Figures]:
    measured = []
    for number, case in enumerate(_cases(settings)):
        tell(f"EvoNorm: checking and timing {case.name}")
        for name in ("S0", "S1", "S2", "B0"):
            case.check(name)
        runs = {name: timed(captured(run)) for name, run in _competitors(case, with_compiled=number in (0, 1)).items()}
        timings = interleave(runs, settings.repetitions)
        measured.append(Measured(case, {name: timing.seconds for name, timing in timings.items()}))
    return [_table(measured, what, bandwidth) for what in MUST_MOVE]


def _cases(settings: Settings) -> list[Case]:
    shapes = QUICK_SHAPES if settings.quick else SHAPES
    return [
        *(Case(shape, device="cuda") for shape in shapes),
        Case(shapes[0], channels_last=True, device="cuda"),
        Case(shapes[0], dtype=torch.bfloat16, device="cuda"),
    ]


def _competitors(case: Case, with_compiled: bool) -> dict[str, Callable[[], Sequence[Tensor]]]:
    s0: Function = partial(s_formula, name="S0")
    peers: dict[str, dict[str, Function]] = {
        "S0": {"": partial(ours, name="S0"), " eager": s0, " GroupNorm": group_norm},
        "B0": {"": partial(ours, name="B0"), " eager": b0_formula, " BatchNorm": batch_norm},
    }
    if with_compiled:
        peers["S0"][" compiled"], peers["B0"][" compiled"] = compiled(s0), compiled(b0_formula)
    competitors: dict[str, Callable[[], Sequence[Tensor]]] = {"clone": case.clone}
    for name, functions in peers.items():
        for suffix, function in functions.items():
            competitors[f"{name} both{suffix}"] = case.both(function)
            if name == "S0":
                competitors[f"{name} forward{suffix}"] = case.forward(function)
    return competitors


def _table(measured: list[Measured], what: str, bandwidth: float) -> Figures:
    """Ours in clones, then the peers' seconds over ours."""
    suffixes = [name.removeprefix(what) for name in measured[0].seconds if name.startswith(f"{what} ")]
    rows: list[dict[str, Cell]] = []
    for m in measured:
        row: dict[str, Cell] = {
            "shape": m.case.name,
            "µs": 1e6 * Spread.of(m.seconds[what]).median,
            "/ clone": m.times(what, "clone").median,
            "of the bandwidth": m.share(what, bandwidth),
        }
        for suffix in suffixes:
            peer = what + suffix
            row[f"{suffix.strip()} / ours"] = m.times(peer, what).median if peer in m.seconds else "not timed"
        rows.append(row)
    return Figures(
        f"EvoNorm, {what}: replayed as a CUDA graph",
        rows,
        f"Share of the bandwidth if {MUST_MOVE[what]} tensors moved; small ones stay in the L2 cache. GroupNorm with "
        "SiLU, BatchNorm with ReLU.",
    )
