"""A layer of MgNO against the same layer in torch's convolutions, and the machine's matrix products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import limits, memory, mgno_memory
from .machine import load
from .measure import Spread, ratio, seconds_of_rounds
from .mgno_peers import Case
from .report import Cell, Comparison, Figures, Judgement, Report, Settings, Target, Tell, judged

FULL_SIZE, QUICK_SIZE = 256, 32
FORMATS = ("channels_last", "contiguous")

Seconds = dict[str, list[float]]


def run(settings: Settings, tell: Tell) -> Report:
    load_before = load()
    n = settings.size
    case = Case((n, n))
    tell("checking")
    for checked in (Case((n, n), batch=1), *_others(settings)):
        checked.check()
    tell(f"timing {case.name}")
    seconds = seconds_of_rounds(_competitors(case), settings.repetitions)
    others = []
    for other in _others(settings):
        tell(f"timing {other.name}")
        others.append((other, seconds_of_rounds(_competitors(other), settings.repetitions)))
    tell("measuring memory")
    measured = memory.measurable() and not settings.quick
    peaks = {name: mgno_memory.peak_tensors(name, settings.threads) for name in mgno_memory.NAMES} if measured else {}
    return Report(
        "mgno",
        settings,
        _judge(settings, case, seconds, peaks),
        [_first_figures(case, seconds), _size_figures(others), *([_memory_figures(peaks)] if peaks else [])],
        [
            f"{settings.threads} threads, {settings.repetitions} rounds, competitors in turn: median (least..most).",
            "Outputs and gradients agreed with the modules in float64 before a time was taken.",
            f"Before this run: {load_before}.",
        ],
        [
            Comparison(f"MgNO layer, {case.name}, {what}", "torch's modules", ratio(_best(seconds, end), seconds[ours]))
            for what, ours, end in (("forward", "ours", ""), ("both", "ours both", " both"))
        ],
    )


def _others(settings: Settings) -> list[Case]:
    n = settings.size
    return [
        Case((n // 3, n // 3)),
        Case((n // 2, n // 2), channels=32, levels=5),
        Case((n // 2, n // 2), batch=1),
        Case((n // 8, n // 8, n // 8), batch=2, levels=min(4, settings.size // 8)),
    ]


def _competitors(case: Case) -> dict[str, Callable[[], Any]]:
    competitors: dict[str, Callable[[], Any]] = {
        "product": limits.matrix_product(),
        "ours": case.forward(case.ours()),
        "ours both": case.both(case.ours()),
        "ours, made anew both": case.both(case.ours(checkpoint=True)),
    }
    for name in FORMATS:
        last = name == "channels_last"
        layer = case.modules(last)
        competitors |= {name: case.forward(layer, last), f"{name} both": case.both(layer, last)}
    return competitors


def _best(seconds: Seconds, suffix: str = "") -> list[float]:
    """The rounds of the memory format that is fastest in the median."""
    return min((seconds[name + suffix] for name in FORMATS), key=lambda s: Spread.of(s).median)


def _share(case: Case, seconds: Seconds, name: str, times: int = 1) -> Spread:
    """Of the rate of matrix products, round by round; a backward pass counts as two forward ones."""
    rates, factor = ratio(seconds["product"], seconds[name]), times * case.flops / limits.matrix_flops()
    return Spread(rates.median * factor, rates.least * factor, rates.most * factor)


def _judge(settings: Settings, case: Case, seconds: Seconds, peaks: dict[str, float]) -> list[Judgement]:
    best = min((peaks[name] for name in FORMATS if name in peaks), default=0.0)
    measured: dict[Target, Spread | None] = {
        Target("forward: torch's best format's seconds / ours", 2.0, True): ratio(_best(seconds), seconds["ours"]),
        Target("forward + backward: torch's best format's / ours", 2.0, True): ratio(
            _best(seconds, " both"), seconds["ours both"]
        ),
        Target("peak memory, ours / torch's best format", 0.5): Spread.of([peaks["ours"] / best]) if best else None,
        Target("peak memory, ours with fields made anew / torch's", 0.5): Spread.of([peaks["ours, made anew"] / best])
        if best
        else None,
    }
    return judged(measured, full=not settings.quick and settings.size == FULL_SIZE)


def _first_figures(case: Case, seconds: Seconds) -> Figures:
    rows: list[dict[str, Cell]] = []
    for name, its in seconds.items():
        both = name.endswith("both")
        share = "" if name == "product" else f"{_share(case, seconds, name, 3 if both else 1).median:.0%}"
        rows.append(
            {
                "what": name,
                "ms": Spread.of(1e3 * s for s in its),
                "its seconds / ours": ratio(its, seconds["ours both" if both else "ours"]),
                "share of the flop limit": share,
            }
        )
    note = (
        f"both: forward + backward to f and every weight. {case.flops / 1e9:.1f} Gflop forward, by direct sums; sums "
        "of two rows at once need fewer. product: torch.mm of 2048 x 2048 float32 matrices."
    )
    return Figures(case.name, rows, note)


def _size_figures(others: list[tuple[Case, Seconds]]) -> Figures:
    rows: list[dict[str, Cell]] = [
        {
            "layer": case.name,
            "ms": Spread.of(1e3 * s for s in seconds["ours"]),
            "torch / ours": ratio(_best(seconds), seconds["ours"]),
            "both, ms": Spread.of(1e3 * s for s in seconds["ours both"]),
            "both, torch / ours": ratio(_best(seconds, " both"), seconds["ours both"]),
            "share": f"{_share(case, seconds, 'ours').median:.0%}",
        }
        for case, seconds in others
    ]
    return Figures("Other sizes", rows, "torch: its faster memory format.")


def _memory_figures(peaks: dict[str, float]) -> Figures:
    rows: list[dict[str, Cell]] = [{"layer": name, "tensors of f's size": peak} for name, peak in peaks.items()]
    return Figures("Peak memory of forward + backward, 256 x 256, f among them", rows)
